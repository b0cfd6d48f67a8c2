"""Many operations on tasks in one request."""

from typing import Any

import msgspec
import pytest

from tests.unit.entrypoints.http.service import BEN, Json, Service, pointers

PATH = "/v1/tasks/bulk"
NOTHING = "f" * 24


async def write(service: Service, operations: Any, **more: Any) -> Any:
    how = {"atomic": more.pop("atomic")} if "atomic" in more else {}
    return await service.call("POST", PATH, {"operations": operations, **how}, **more)


@pytest.fixture
async def tasks(service: Service) -> list[Json]:
    return [await service.made("/v1/tasks", {"title": f"Task {number}"}) for number in range(3)]


async def test_creating_changing_and_deleting_is_one_request(service: Service, tasks: list[Json]) -> None:
    first, second, _ = (task["id"] for task in tasks)
    operations = [
        {"op": "create", "title": "New", "priority": "HIGH", "dueAt": "2026-05-01T02:00:00+02:00"},
        {"op": "update", "id": first, "version": 1, "status": "DONE", "description": None},
        {"op": "delete", "id": second, "version": 1},
    ]

    answer = await write(service, operations)

    assert answer.status_code == 200, answer.text
    made, changed, deleted = answer.json()["outcomes"]
    assert [each["status"] for each in (made, changed, deleted)] == [201, 200, 200]
    assert (made["task"]["dueAt"], made["task"]["displayId"]) == ("2026-05-01T00:00:00.000Z", "#4")
    assert made["task"] == (await service.call("GET", f"/v1/tasks/{made['task']['id']}")).json()
    assert changed["task"]["status"] == "DONE"
    assert deleted["task"]["isDeleted"]


async def test_one_error_refuses_everything_with_its_place(service: Service, tasks: list[Json]) -> None:
    before = await service.stored()
    good = {"op": "create", "title": "New"}
    for operations, status, expected in (
        ([good, {"op": "create"}], 400, ["/operations/1/title"]),
        (
            [good, {"op": "create", "title": "x", "colour": 1}, 7],
            400,
            ["/operations/1/colour", "/operations/2"],
        ),
        ([good, {"op": "move"}], 400, ["/operations/1/op"]),
        ([good, {"id": NOTHING}], 400, ["/operations/1/op"]),
        ([good, {"op": "delete", "id": "x"}], 400, ["/operations/1/id"]),
        ([good, {"op": "update", "id": NOTHING, "title": "x"}], 404, ["/operations/1"]),
        ([good, {"op": "delete", "id": tasks[0]["id"], "version": 9}], 412, ["/operations/1"]),
        (
            [good, {"op": "update", "id": tasks[0]["id"], "labelIds": [NOTHING]}],
            422,
            ["/operations/1/labelIds/0"],
        ),
        ([{"op": "delete", "id": tasks[0]["id"]}] * 2, 422, ["/operations/1/id"]),
        ([], 400, ["/operations"]),
        ([good] * 1_001, 400, ["/operations"]),
    ):
        refused = await write(service, operations)
        assert (refused.status_code, pointers(refused)) == (status, expected), refused.text
    assert await service.stored() == before


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (b'{"operations": [{"op": "create", "title": "a", "title": "b"}]}', "/operations/0/title"),
        (b'{"operations": [{"op": "create", "op": "delete", "title": "b"}]}', "/operations/0/op"),
        (b'{"operations": [{"op": "create", "title": "a\\u0000b"}]}', "/operations/0/title"),
        (b'{"operations": [{"op": "create", "title": "a\\ud800b"}]}', "/operations/0/title"),
        (b'{"operations": [{"op": "create\\ud800", "title": "a"}]}', "/operations/0/op"),
        (b'{"operations": [{"op": ["create"], "title": "a\\udc00"}]}', "/operations/0/op"),
        (b'{"operations": [7, {"op": "delete", "id": "\\ud800"}]}', "/operations/0"),
        (b'{"operations": [{"op": "create", "title": "x"}], "atomic": "yes"}', "/atomic"),
        (b'{"operations": [{"op": "create", "title": "x"}], "operations": []}', "/operations"),
        (
            b'{"operations": [{"op": "create", "title": "x"}], "operations": [{"op": "delete", "id": "y"}]}',
            "/operations",
        ),
        (b'{"operations": {}}', "/operations"),
        (b'{"operations": [{"op": "create", "title": "x"}], "more": 1}', "/more"),
        (
            b'{"operations": [{"op": "create", "title": "x", "dueAt": "2026-01-01T00:00:00.0001Z"}]}',
            "/operations/0/dueAt",
        ),
        (b"[]", ""),
    ],
)
async def test_a_body_that_is_no_list_of_operations_changes_nothing(
    service: Service, raw: bytes, pointer: str
) -> None:
    before = await service.stored()
    refused = await service.call("POST", PATH, raw=raw)
    assert (refused.status_code, pointers(refused)[:1]) == (400, [pointer]), refused.text
    assert await service.stored() == before


async def test_each_operation_is_answered_as_if_it_were_alone(service: Service, tasks: list[Json]) -> None:
    mine = await service.made("/v1/tasks", {"title": "Ben's"}, by=BEN)
    operations = [
        {"op": "create", "title": ""},
        {"op": "update", "id": mine["id"], "title": "Ben's own", "version": 1},
        {"op": "update", "id": tasks[0]["id"], "title": "Anna's"},
        {"op": "update", "id": mine["id"], "title": "again"},
        {"op": "create", "title": "New", "labelIds": [NOTHING]},
        {"op": "create", "title": "New"},
        {"op": "fly"},
    ]

    answer = await write(service, operations, atomic=False, by=BEN)

    outcomes = answer.json()["outcomes"]
    assert [each["index"] for each in outcomes] == list(range(len(operations)))
    assert [each["status"] for each in outcomes] == [400, 200, 404, 422, 422, 201, 400]
    refused = [each["problem"] for each in outcomes if "problem" in each]
    assert [error["pointer"] for each in refused for error in each["errors"]] == [
        "/operations/0/title",
        "/operations/2",
        "/operations/3/id",
        "/operations/4/labelIds/0",
        "/operations/6/op",
    ]
    assert refused[0]["code"] == "invalid"
    assert outcomes[1]["task"]["title"] == "Ben's own"
    listed = (await service.call("GET", "/v1/tasks", by=BEN)).json()["items"]
    assert sorted(task["title"] for task in listed) == ["Ben's own", "New"]


async def test_a_text_that_is_no_unicode_is_the_error_of_its_operation_alone(service: Service) -> None:
    raw = b'{"operations": [{"op": "create", "title": "ok"}, {"op": "create", "title": "a\\ud800"}], "atomic": false}'
    answer = await service.call("POST", PATH, raw=raw)
    first, second = answer.json()["outcomes"]
    assert (first["status"], second["status"]) == (201, 400)
    assert [error["pointer"] for error in second["problem"]["errors"]] == ["/operations/1/title"]


async def test_the_same_operations_with_the_same_key_are_carried_out_once(
    service: Service, tasks: list[Json]
) -> None:
    operations = [
        {"op": "update", "id": tasks[0]["id"], "title": "Task 0"},
        {"op": "create", "title": "New"},
        {"op": "create", "title": "Newer"},
        {"op": "delete", "id": tasks[1]["id"]},
    ]
    first = await write(service, operations, Idempotency_Key="many")
    made = first.json()["outcomes"][1]["task"]
    await service.call("PATCH", f"/v1/tasks/{made['id']}", {"title": "Changed since"})
    before = await service.stored()

    again = await write(service, operations, Idempotency_Key="many")

    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = await write(service, operations[1:], Idempotency_Key="many")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await service.stored() == before


async def test_a_replay_tells_of_unchanged_tasks_what_was_told_then(
    service: Service, tasks: list[Json]
) -> None:
    await service.call("PATCH", f"/v1/tasks/{tasks[0]['id']}", {"title": "Named"})
    await service.call("PUT", f"/v1/watchlist/{tasks[0]['id']}")
    operations = [
        {"op": "update", "id": tasks[0]["id"], "title": "Named"},
        {"op": "update", "id": tasks[1]["id"], "title": "Task 1"},
        {"op": "create", "title": "New"},
    ]
    first = await write(service, operations, Idempotency_Key="many")
    assert [each["task"]["version"] for each in first.json()["outcomes"]] == [2, 1, 1]
    for title in ("Later", "Later still"):
        await service.call("PATCH", f"/v1/tasks/{tasks[0]['id']}", {"title": title})
    await service.call("DELETE", f"/v1/watchlist/{tasks[0]['id']}")

    again = await write(service, operations, Idempotency_Key="many")

    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()


async def test_a_change_of_many_clears_with_null_as_a_change_of_one_does(service: Service) -> None:
    task = await service.made("/v1/tasks", {"title": "Dig", "priority": "LOW"})

    answer = await write(service, [{"op": "update", "id": task["id"], "priority": None, "labelIds": None}])

    changed = answer.json()["outcomes"][0]["task"]
    assert (changed["priority"], changed["labelIds"], changed["version"]) == ("MEDIUM", [], 2)


async def test_operations_that_stand_by_themselves_take_no_key(service: Service) -> None:
    refused = await write(service, [{"op": "create", "title": "New"}], atomic=False, Idempotency_Key="many")
    assert (refused.status_code, pointers(refused)) == (400, ["/Idempotency-Key"])
    assert not (await service.stored())["tasks"]


async def test_where_versions_are_mandatory_each_change_names_one() -> None:
    service = Service(REQUIRE_IF_MATCH="true")
    task = await service.made("/v1/tasks", {"title": "Dig"})
    unnamed = {"op": "update", "id": task["id"], "title": "x"}
    refused = await write(service, [{"op": "create", "title": "New"}, unnamed])
    assert (refused.status_code, pointers(refused)) == (428, ["/operations/1/version"])
    each = await write(service, [unnamed, {**unnamed, "version": 1}], atomic=False)
    assert [one["status"] for one in each.json()["outcomes"]] == [428, 200]


async def test_a_body_that_is_too_large_is_refused(service: Service) -> None:
    operation = {"op": "create", "title": "x" * 500, "description": "y" * 1_500}
    raw = msgspec.json.encode({"operations": [operation] * 600})
    refused = await service.call("POST", PATH, raw=raw)
    assert refused.status_code == 413
    wrong_type = await service.call("POST", PATH, raw=b"{}", kind="text/plain")
    assert wrong_type.status_code == 415
