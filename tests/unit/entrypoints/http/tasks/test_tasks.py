from typing import Any

import pytest

from tests.unit.entrypoints.http.service import ADMIN, BEN, Service, pointers


async def test_priorities_are_shown_and_taken_by_name(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig", "priority": "HIGH"})

    changed = await service.call("PATCH", f"/v1/tasks/{made['id']}", {"priority": "LOW"})

    assert (made["priority"], changed.json()["priority"]) == ("HIGH", "LOW")
    assert (await service.stored())["tasks"][0]["priority"] == 3
    audit = (await service.call("GET", f"/v1/tasks/{made['id']}/audit")).json()["items"]
    assert audit[0]["changes"]["priority"] == {"before": "HIGH", "after": "LOW"}


async def test_what_a_merge_patch_clears_is_as_in_a_new_task(service: Service) -> None:
    label = await service.made("/v1/labels", {"name": "urgent"})
    usual = await service.made("/v1/tasks", {"title": "Dig"})
    task = await service.made(
        "/v1/tasks",
        {"title": "Dig", "priority": "HIGH", "labelIds": [label["id"]], "dueAt": "2027-01-01T00:00:00Z"},
    )
    cleared = {"priority": None, "labelIds": None, "dueAt": None}

    answer = await service.call("PATCH", f"/v1/tasks/{task['id']}", cleared)

    assert answer.status_code == 200, answer.text
    assert {name: answer.json()[name] for name in cleared} == {name: usual[name] for name in cleared}
    assert (answer.json()["labelIds"], answer.json()["priority"]) == ([], "MEDIUM")
    assert (await service.call("GET", f"/v1/tasks/{task['id']}")).json() == answer.json()


@pytest.mark.parametrize("name", ["title", "status", "isAcknowledged"])
async def test_what_a_task_is_never_without_cannot_be_cleared(service: Service, name: str) -> None:
    task = await service.made("/v1/tasks", {"title": "Dig"})
    before = await service.stored()

    refused = await service.call("PATCH", f"/v1/tasks/{task['id']}", {name: None})

    assert (refused.status_code, pointers(refused)) == (400, [f"/{name}"])
    assert await service.stored() == before


async def test_instants_with_an_offset_are_stored_in_utc(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig", "dueAt": "2026-05-01T02:00:00.250+02:00"})

    assert made["dueAt"] == "2026-05-01T00:00:00.250Z"
    assert (await service.call("GET", f"/v1/tasks/{made['id']}")).json()["dueAt"] == made["dueAt"]


async def test_references_that_do_not_exist_are_all_named(service: Service) -> None:
    nobody = "e" * 24
    before = await service.stored()

    body = {"title": "Dig", "projectId": nobody, "labelIds": [nobody], "parentId": nobody}
    refused = await service.call("POST", "/v1/tasks", body)

    assert refused.status_code == 422
    assert pointers(refused) == ["/projectId", "/labelIds/0", "/parentId"]
    assert await service.stored() == before


async def test_a_task_cannot_become_its_own_ancestor(service: Service) -> None:
    parent = await service.made("/v1/tasks", {"title": "Garden"})
    child = await service.made("/v1/tasks", {"title": "Pond", "parentId": parent["id"]})

    refused = await service.call("PATCH", f"/v1/tasks/{parent['id']}", {"parentId": child["id"]})

    assert (refused.status_code, pointers(refused)) == (422, ["/parentId"])


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("sort=priority", ["urgent", "plain", "idle"]),
        ("sort=-priority", ["idle", "plain", "urgent"]),
        ("status=DONE", ["idle"]),
        ("priority=HIGH", ["urgent"]),
        ("q=PLAIN", ["plain"]),
        ("dueBefore=2026-06-01T00:00:00Z", ["urgent"]),
        ("dueAfter=2026-06-01T00:00:00.000%2B00:00", ["plain"]),
        (f"createdBy={'c' * 24}", []),
    ],
)
async def test_lists_filter_and_sort(service: Service, query: str, titles: list[str]) -> None:
    due: dict[str, Any] = {"urgent": "2026-05-01T00:00:00Z", "plain": "2026-07-01T00:00:00Z", "idle": None}
    for title, priority, status in (
        ("plain", "MEDIUM", "TODO"),
        ("urgent", "HIGH", "TODO"),
        ("idle", "LOW", "DONE"),
    ):
        body = {"title": title, "priority": priority, "status": status, "dueAt": due[title]}
        await service.made("/v1/tasks", body)

    answer = await service.call("GET", f"/v1/tasks?{query}")

    assert answer.status_code == 200, answer.text
    assert [item["title"] for item in answer.json()["items"]] == titles


async def test_the_trash_lists_deleted_tasks_only(service: Service) -> None:
    kept = await service.made("/v1/tasks", {"title": "Dig"})
    gone = await service.made("/v1/tasks", {"title": "Weed"})
    await service.call("DELETE", f"/v1/tasks/{gone['id']}")

    trash = (await service.call("GET", "/v1/tasks/trash")).json()["items"]

    assert [item["id"] for item in trash] == [gone["id"]]
    await service.call("POST", f"/v1/tasks/{gone['id']}/restore")
    live = (await service.call("GET", "/v1/tasks?sort=createdAt")).json()["items"]
    assert [item["id"] for item in live] == [kept["id"], gone["id"]]


async def test_a_task_in_the_trash_must_be_restored_before_it_changes(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig"})
    await service.call("DELETE", f"/v1/tasks/{made['id']}")

    refused = await service.call("PATCH", f"/v1/tasks/{made['id']}", {"title": "Weed"})

    assert refused.status_code == 409


async def test_the_key_of_an_imported_task_is_not_shown(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig"})
    audit = (await service.call("GET", f"/v1/tasks/{made['id']}/audit")).json()["items"]

    assert "externalKey" not in made
    assert "externalKey" not in audit[0]["changes"]


async def test_the_whole_audit_trail_is_for_administrators(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig"}, X_Request_ID="dig-1")

    everything = await service.call("GET", "/v1/audit", by=ADMIN)
    assert [entry["entityId"] for entry in everything.json()["items"]] == [made["id"]]
    assert everything.json()["items"][0]["requestId"] == "dig-1"
    assert everything.json()["items"][0]["sync"] is None
    assert (await service.call("GET", "/v1/audit", by=BEN)).json()["items"] == []
    foreign = await service.call("GET", f"/v1/audit?actorId={'a' * 24}", by=BEN)
    assert (foreign.status_code, foreign.json()["code"]) == (403, "forbidden")
    later = await service.call("GET", "/v1/audit?from=2027-01-01T00:00:00Z", by=ADMIN)
    assert later.json()["items"] == []
