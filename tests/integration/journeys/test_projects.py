"""A project from its first version to its last, in every store mode."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.integration.journeys.service import JourneyService, Person
from tests.unit.entrypoints.http.service import pointers

pytestmark = pytest.mark.asyncio(loop_scope="session")

EDITORS = 12


async def test_who_signs_in_is_known_and_who_does_not_is_refused(
    service: JourneyService, anna: Person
) -> None:
    me = await service.view(anna, "GET", "/v1/users/me")
    again = await service.view(None, "POST", "/v1/auth/dev/token", {"email": anna.email.upper()})
    found = await service.items(anna, f"/v1/users?search={anna.email.partition('@')[0]}")
    named = await service.view(anna, "PATCH", f"/v1/users/{anna.id}", {"name": "Anna"}, If_Match='"1"')
    refused = await service.call(None, "GET", "/v1/users/me")

    assert (me["id"], me["email"], me["grants"], me["version"]) == (anna.id, anna.email, [], 1)
    assert again["user"] == me
    assert [user["id"] for user in found] == [anna.id]
    assert (named["name"], named["version"]) == ("Anna", 2)
    assert (refused.status_code, refused.headers["www-authenticate"][:6]) == (401, "Bearer")
    assert (await service.view(service.admin, "GET", "/v1/users/me"))["grants"] == ["admin"]
    await service.require_sound()


async def test_a_project_is_read_as_it_was_made_and_only_when_it_changed(
    service: JourneyService, anna: Person
) -> None:
    wanted = {"name": "Gärten \N{ROCKET}", "description": "a\nb", "color": "#00ff00", "status": "ARCHIVED"}
    made = await service.call(anna, "POST", "/v1/projects", wanted, expect=201)
    read = await service.call(anna, "GET", made.headers["location"], expect=200)
    same = await service.call(anna, "GET", made.headers["location"], If_None_Match=read.headers["etag"])

    assert read.json() == made.json()
    assert {name: read.json()[name] for name in wanted} == wanted
    assert (read.json()["ownerId"], read.json()["createdBy"]) == (anna.id, anna.id)
    assert (same.status_code, same.content) == (304, b"")
    await service.require_sound()


async def test_a_merge_patch_changes_what_it_names_and_nothing_else(
    service: JourneyService, anna: Person
) -> None:
    made = await service.view(
        anna, "POST", "/v1/projects", {"name": "Garden", "description": "Beds", "color": "#00ff00"}
    )
    path = f"/v1/projects/{made['id']}"

    kind = "application/merge-patch+json"
    changed = await service.view(anna, "PATCH", path, {"description": None, "name": "Park"}, kind=kind)
    same = await service.view(anna, "PATCH", path, {"name": "Park"})

    expected = {**made, "description": None, "name": "Park", "version": 2, "updatedAt": changed["updatedAt"]}
    assert changed == same == expected == await service.view(anna, "GET", path)
    await service.require_sound()


async def test_a_stale_edit_is_refused_and_changes_nothing(service: JourneyService, anna: Person) -> None:
    made = await service.view(anna, "POST", "/v1/projects", {"name": "Garden"})
    path = f"/v1/projects/{made['id']}"
    await service.view(anna, "PATCH", path, {"name": "Park"}, If_Match='"1"')
    before = await service.stored()

    stale: list[tuple[str, str, Any]] = [
        ("PATCH", path, {"name": "Late"}),
        ("DELETE", path, None),
        ("POST", f"{path}/restore", None),
        ("POST", f"{path}/rollback", {"version": 1}),
    ]
    for method, address, body in stale:
        refused = await service.call(anna, method, address, body, If_Match='"1"')
        problem = refused.json()
        assert (refused.status_code, problem["currentVersion"]) == (412, 2), (method, address, problem)
    assert await service.stored() == before


async def test_of_many_editors_of_one_version_exactly_one_wins(service: JourneyService, anna: Person) -> None:
    made = await service.view(anna, "POST", "/v1/projects", {"name": "Garden"})
    path = f"/v1/projects/{made['id']}"

    answers = await asyncio.gather(
        *(
            service.call(anna, "PATCH", path, {"name": f"Editor {number}"}, If_Match='"1"')
            for number in range(EDITORS)
        )
    )

    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[200] == 1
    assert statuses[200] + statuses[409] + statuses[412] == EDITORS, statuses
    (winner,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert await service.view(anna, "GET", path) == winner
    assert winner["version"] == 2
    await service.require_sound()


async def test_every_version_can_be_listed_read_compared_and_put_back(
    service: JourneyService, anna: Person
) -> None:
    made = await service.view(anna, "POST", "/v1/projects", {"name": "Garden"})
    path = f"/v1/projects/{made['id']}"
    second = await service.view(anna, "PATCH", path, {"name": "Park", "description": "Trees"})
    await service.call(anna, "DELETE", path, expect=204)
    await service.view(anna, "POST", f"{path}/restore")

    back = await service.view(anna, "POST", f"{path}/rollback", {"version": 1}, If_Match='"4"')

    assert (back["version"], back["name"], back["description"]) == (5, "Garden", None)
    versions = [await service.view(anna, "GET", f"{path}/versions/{number}") for number in (1, 2, 5)]
    assert versions == [made, second, back]
    pages = await service.pages(anna, f"{path}/versions?limit=2")
    assert [[entry["version"] for entry in page] for page in pages] == [[5, 4], [3, 2], [1]]
    difference = await service.view(anna, "GET", f"{path}/diff?from=1&to=2")
    assert difference["changes"] == {
        "name": {"before": "Garden", "after": "Park"},
        "description": {"before": None, "after": "Trees"},
    }
    await service.require_sound()


async def test_the_audit_trail_tells_who_did_what_by_which_request(
    service: JourneyService, anna: Person
) -> None:
    made = await service.view(anna, "POST", "/v1/projects", {"name": "Garden"}, X_Request_ID="journey-1")
    path = f"/v1/projects/{made['id']}"
    await service.view(service.admin, "PATCH", path, {"name": "Park"}, X_Request_ID="journey-2")
    await service.require_sound()

    of_project = await service.items(anna, f"{path}/audit")
    of_admin = await service.items(service.admin, f"/v1/audit?collection=projects&entityId={made['id']}")
    of_anna = await service.items(anna, f"/v1/audit?actorId={anna.id}&collection=projects")

    told = [(entry["version"], entry["action"], entry["actorId"], entry["requestId"]) for entry in of_project]
    assert told == [
        (2, "UPDATED", service.admin.id, "journey-2"),
        (1, "CREATED", anna.id, "journey-1"),
    ]
    assert of_project[0]["changes"] == {"name": {"before": "Garden", "after": "Park"}}
    assert of_admin == of_project
    assert of_anna == of_project[1:]
    mirrored = "SYNCED" if service.stack.relay is not None else None
    assert {entry["sync"] for entry in of_project} == {mirrored}


async def test_the_same_request_with_the_same_key_is_carried_out_once(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    key = "one-and-the-same"
    first = await service.call(
        anna, "POST", "/v1/projects", {"name": "Garden"}, Idempotency_Key=key, expect=201
    )
    before = await service.stored()

    replayed = await service.call(anna, "POST", "/v1/projects", {"name": "Garden"}, Idempotency_Key=key)
    other_body = await service.call(anna, "POST", "/v1/projects", {"name": "Park"}, Idempotency_Key=key)

    assert (replayed.status_code, replayed.json()) == (201, first.json())
    assert replayed.headers["idempotency-replayed"] == "true"
    assert other_body.status_code == 422
    assert await service.stored() == before
    bens = await service.call(ben, "POST", "/v1/projects", {"name": "Garden"}, Idempotency_Key=key)
    assert (bens.status_code, bens.json()["ownerId"]) == (201, ben.id)
    await service.require_sound()


async def test_a_request_sent_many_times_at_once_is_carried_out_once(
    service: JourneyService, anna: Person
) -> None:
    answers = await asyncio.gather(
        *(
            service.call(anna, "POST", "/v1/projects", {"name": "Garden"}, Idempotency_Key="at-once")
            for _ in range(EDITORS)
        )
    )

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert len(await service.items(anna, "/v1/projects")) == 1
    await service.require_sound()


async def test_a_name_is_taken_once_for_each_owner_and_free_again_in_the_trash(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    made = await service.view(anna, "POST", "/v1/projects", {"name": "Garden"})
    path = f"/v1/projects/{made['id']}"
    await service.view(ben, "POST", "/v1/projects", {"name": "Garden"})
    before = await service.stored()

    refused = await service.call(anna, "POST", "/v1/projects", {"name": "Garden"})

    assert (refused.status_code, refused.json()["code"]) == (409, "already_exists")
    assert "/name" in pointers(refused)
    assert await service.stored() == before
    await service.call(anna, "DELETE", path, expect=204)
    await service.call(anna, "POST", "/v1/projects", {"name": "Garden"}, expect=201)
    assert (await service.call(anna, "POST", f"{path}/restore")).status_code == 409
    await service.require_sound()


async def test_strangers_meet_nothing_of_it(service: JourneyService, anna: Person, ben: Person) -> None:
    project = await service.view(anna, "POST", "/v1/projects", {"name": "Garden"})
    task = await service.view(anna, "POST", "/v1/tasks", {"title": "Dig", "projectId": project["id"]})
    path, task_path = f"/v1/projects/{project['id']}", f"/v1/tasks/{task['id']}"
    before = await service.stored()

    for owned in (path, f"{path}/timeline", task_path):
        asked: list[tuple[str, str, Any]] = [
            ("GET", owned, None),
            ("PATCH", owned, {}),
            ("GET", f"{owned}/versions", None),
            ("GET", f"{owned}/versions/1", None),
            ("GET", f"{owned}/diff?from=1&to=1", None),
            ("GET", f"{owned}/audit", None),
            ("POST", f"{owned}/rollback", {"version": 1}),
        ]
        if owned != f"{path}/timeline":
            asked += [("DELETE", owned, None), ("POST", f"{owned}/restore", None)]
        for method, address, body in asked:
            answer = await service.call(ben, method, address, body)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, address)
    for listed in ("/v1/projects", "/v1/tasks", f"/v1/tasks?projectId={project['id']}", "/v1/projects/trash"):
        assert await service.items(ben, listed) == []
    assert await service.items(ben, f"/v1/audit?entityId={project['id']}") == []
    assert (await service.call(ben, "GET", "/v1/sync/metrics")).status_code == 403
    assert await service.stored() == before
