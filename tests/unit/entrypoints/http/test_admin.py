"""/v1/admin: everybody's trash, its retention, slow queries and the cache."""

import pytest

from application.ports.diagnostics import CacheUse, SlowQuery
from tests.unit.builders import NOON
from tests.unit.entrypoints.http.service import ADMIN, BEN, Service

DAY = 86_400
READS = ("trash", "trash/tasks", "retention", "slow-queries", "cache")


@pytest.mark.parametrize("name", READS)
async def test_only_administrators_look(service: Service, name: str) -> None:
    assert (await service.call("GET", f"/v1/admin/{name}")).status_code == 403
    assert (await service.call("GET", f"/v1/admin/{name}", by=ADMIN)).status_code == 200


async def test_the_trash_of_all_is_counted_and_listed(service: Service) -> None:
    task = await service.made("/v1/tasks", {"title": "Dig"})
    other = await service.made("/v1/tasks", {"title": "Water"}, by=BEN)
    project = await service.made("/v1/projects", {"name": "Garden"}, by=BEN)
    await service.call("DELETE", f"/v1/tasks/{task['id']}")
    service.clock.pass_time(60)
    await service.call("DELETE", f"/v1/tasks/{other['id']}", by=BEN)
    await service.call("DELETE", f"/v1/projects/{project['id']}", by=BEN)
    counted = (await service.call("GET", "/v1/admin/trash", by=ADMIN)).json()["items"]
    assert {heap["collection"]: heap["count"] for heap in counted} == {
        "projects": 1,
        "tasks": 2,
        "labels": 0,
        "teams": 0,
    }
    page = (await service.call("GET", "/v1/admin/trash/tasks?limit=1", by=ADMIN)).json()
    assert [(item["id"], item["name"], item["collection"]) for item in page["items"]] == [
        (task["id"], "Dig", "tasks")
    ]
    assert counted[1]["oldestDeletedAt"] == page["items"][0]["deletedAt"]
    following = f"/v1/admin/trash/tasks?limit=1&cursor={page['nextCursor']}"
    rest = (await service.call("GET", following, by=ADMIN)).json()
    assert ([item["id"] for item in rest["items"]], rest["nextCursor"]) == ([other["id"]], None)
    named = (await service.call("GET", "/v1/admin/trash/projects", by=ADMIN)).json()["items"]
    assert [item["name"] for item in named] == ["Garden"]
    assert (await service.call("GET", "/v1/admin/trash/users", by=ADMIN)).status_code == 404


async def test_what_is_due_goes_for_good_and_answers_410(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig"})
    path = f"/v1/tasks/{made['id']}"
    await service.call("DELETE", path)
    service.clock.pass_time(31 * DAY)
    status = (await service.call("GET", "/v1/admin/retention", by=ADMIN)).json()
    assert (status["retentionDays"], status["expired"]["tasks"], status["lastRun"]) == (30, 1, None)
    dry = (await service.call("POST", "/v1/admin/retention?dryRun=true", by=ADMIN)).json()
    assert (dry["isDryRun"], dry["removed"]["tasks"]) == (True, 1)
    before = await service.stored()
    assert (await service.call("POST", "/v1/admin/retention")).status_code == 403
    assert await service.stored() == before

    run = await service.call("POST", "/v1/admin/retention", by=ADMIN)

    assert (run.status_code, run.json()["removed"], run.json()["kept"]) == (200, {"tasks": 1}, 0)
    for method, address, body in (
        ("GET", path, None),
        ("PATCH", path, {"title": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/restore", None),
        ("POST", f"{path}/rollback", {"version": 1}),
        ("GET", f"{path}/versions", None),
        ("GET", f"{path}/versions/1", None),
        ("GET", f"{path}/audit", None),
    ):
        answer = await service.call(method, address, body)
        assert (answer.status_code, answer.json()["code"]) == (410, "purged"), (method, address)
    after = (await service.call("GET", "/v1/admin/retention", by=ADMIN)).json()
    assert (after["expired"]["tasks"], after["lastRun"]) == (0, run.json())


async def test_a_repeated_request_does_not_bring_back_what_it_made(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig"}, Idempotency_Key="once")
    await service.call("DELETE", f"/v1/tasks/{made['id']}")
    service.clock.pass_time(31 * DAY)
    await service.call("POST", "/v1/admin/retention", by=ADMIN)
    before = await service.stored()
    again = await service.call("POST", "/v1/tasks", {"title": "Dig"}, Idempotency_Key="once")
    assert again.status_code == 410
    assert await service.stored() == before


async def test_the_audit_trail_keeps_who_did_what_to_what_is_gone(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig"})
    await service.call("DELETE", f"/v1/tasks/{made['id']}")
    service.clock.pass_time(31 * DAY)
    await service.call("POST", "/v1/admin/retention", by=ADMIN)
    path = f"/v1/audit?collection=tasks&entityId={made['id']}"
    of_admin = (await service.call("GET", path, by=ADMIN)).json()["items"]
    assert [entry["action"] for entry in of_admin] == ["PURGED", "DELETED", "CREATED"]
    assert (of_admin[0]["changes"], of_admin[2]["changes"]["title"]["after"]) == ({}, "Dig")
    own = (await service.call("GET", path)).json()["items"]
    assert [(entry["action"], entry["changes"]) for entry in own] == [("DELETED", {}), ("CREATED", {})]


async def test_slow_operations_are_told_without_their_values(service: Service) -> None:
    slow = SlowQuery(
        at=NOON, store="monty", operation="find", collection="tasks", outcome="ok", duration_ms=812.5
    )
    service.parts.diagnostics.slow = [slow]
    told = (await service.call("GET", "/v1/admin/slow-queries", by=ADMIN)).json()["items"]
    service.parts.diagnostics.slow = []
    assert told == [
        {
            "at": "2026-03-02T12:00:00.000Z",
            "store": "monty",
            "operation": "find",
            "collection": "tasks",
            "outcome": "ok",
            "durationMs": 812.5,
        }
    ]


@pytest.mark.parametrize(
    ("use", "shown"),
    [
        (None, (False, False, 0, 0, None)),
        (CacheUse(0, 0, in_use=True), (True, True, 0, 0, None)),
        (CacheUse(3, 1, in_use=False), (True, False, 3, 1, 0.75)),
    ],
)
async def test_the_cache_tells_how_much_it_knew(
    service: Service, use: CacheUse | None, shown: tuple[object, ...]
) -> None:
    service.parts.diagnostics.cache = use
    view = (await service.call("GET", "/v1/admin/cache", by=ADMIN)).json()
    service.parts.diagnostics.cache = None
    names = ("isConfigured", "inUse", "hits", "misses", "ratio")
    assert tuple(view[name] for name in names) == shown
