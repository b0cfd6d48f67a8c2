"""Tasks and labels: what they keep, whom they refer to and are given to, how they change, in every store mode."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.integration.journeys.service import JourneyService, Person
from tests.unit.entrypoints.http.service import Json, pointers

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOBODY = "f" * 24
TASKS_AT_ONCE = 24
ASSIGNERS = 16
BULK = 60


async def test_a_task_keeps_every_field_to_the_last_character(service: JourneyService, anna: Person) -> None:
    project = await service.view(anna, "POST", "/v1/projects", {"name": "Garden"})
    label = await service.view(anna, "POST", "/v1/labels", {"name": f"wet {anna.id}", "color": "#0000ff"})
    parent = await service.view(anna, "POST", "/v1/tasks", {"title": "Before"})
    wanted: Json = {
        "title": "x" * 500,
        "description": 'tab\t, new\nline, "quotes", \\, Ä e\u0301, \N{ROCKET}, \u2028, $where {a.b} %s \x7f',
        "status": "BLOCKED",
        "priority": "HIGH",
        "projectId": project["id"],
        "parentId": parent["id"],
        "labelIds": [label["id"]],
        "startedAt": "0001-01-01T00:00:00.000Z",
        "dueAt": "9999-12-31T23:59:59.999Z",
        "isAcknowledged": True,
    }

    made = await service.view(anna, "POST", "/v1/tasks", wanted)

    assert {name: made[name] for name in wanted} == wanted
    assert await service.view(anna, "GET", f"/v1/tasks/{made['id']}") == made
    assert await service.items(anna, f"/v1/tasks?labelId={label['id']}") == [made]
    await service.require_sound()


async def test_a_task_is_changed_compared_and_put_back(service: JourneyService, anna: Person) -> None:
    made = await service.view(
        anna, "POST", "/v1/tasks", {"title": "Dig", "dueAt": "2026-03-01T12:00:00+01:00"}
    )
    path = f"/v1/tasks/{made['id']}"
    changed = await service.view(anna, "PATCH", path, {"status": "DONE", "dueAt": None, "priority": "LOW"})
    assert (changed["status"], changed["dueAt"], changed["title"]) == ("DONE", None, "Dig")

    back = await service.view(anna, "POST", f"{path}/rollback", {"version": 1})

    assert (back["version"], back["status"], back["dueAt"]) == (3, "TODO", "2026-03-01T11:00:00.000Z")
    assert await service.view(anna, "GET", f"{path}/versions/2") == changed
    difference = await service.view(anna, "GET", f"{path}/diff?from=1&to=2")
    assert difference["changes"]["priority"] == {"before": "MEDIUM", "after": "LOW"}
    audit = await service.items(anna, f"{path}/audit")
    assert [entry["action"] for entry in audit] == ["ROLLED_BACK", "UPDATED", "CREATED"]
    await service.require_sound()


async def test_what_does_not_exist_cannot_be_referred_to(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    bens = await service.view(ben, "POST", "/v1/projects", {"name": "Secret"})
    task = await service.view(anna, "POST", "/v1/tasks", {"title": "Dig"})
    child = await service.view(anna, "POST", "/v1/tasks", {"title": "Deeper", "parentId": task["id"]})
    before = await service.stored()

    body: dict[str, Any] = {"projectId": NOBODY, "parentId": NOBODY, "labelIds": [NOBODY]}
    refused = await service.call(anna, "POST", "/v1/tasks", {"title": "x", **body})
    foreign = await service.call(anna, "POST", "/v1/tasks", {"title": "x", "projectId": bens["id"]})
    circle = await service.call(anna, "PATCH", f"/v1/tasks/{task['id']}", {"parentId": child["id"]})

    assert (refused.status_code, sorted(pointers(refused))) == (
        422,
        ["/labelIds/0", "/parentId", "/projectId"],
    )
    assert (foreign.status_code, pointers(foreign)) == (422, ["/projectId"])
    assert (circle.status_code, pointers(circle)) == (422, ["/parentId"])
    assert await service.stored() == before


async def test_many_writers_at_once_lose_nothing(service: JourneyService, anna: Person) -> None:
    project = await service.view(anna, "POST", "/v1/projects", {"name": "Garden"})

    async def work(number: int) -> Json:
        body = {"title": f"Task {number}", "projectId": project["id"]}
        made = await service.view(anna, "POST", "/v1/tasks", body)
        return await service.view(
            anna, "PATCH", f"/v1/tasks/{made['id']}", {"status": "DONE"}, If_Match='"1"'
        )

    done = await asyncio.gather(*(work(number) for number in range(TASKS_AT_ONCE)))

    listed = await service.items(anna, f"/v1/tasks?projectId={project['id']}")
    assert {task["id"]: task for task in listed} == {task["id"]: task for task in done}
    assert len(listed) == TASKS_AT_ONCE
    await service.require_sound()


async def test_many_who_assign_at_once_leave_one_assignment(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    carl = await service.newcomer()
    task = await service.view(anna, "POST", "/v1/tasks", {"title": "Dig"})
    people = (ben.id, carl.id)

    async def give(number: int) -> int:
        body = {"assigneeId": people[number % 2], "assigneeType": "USER"}
        if number % 4 < 2:
            path = f"/v1/tasks/{task['id']}/assign"
            return (await service.call(anna, "POST", path, body)).status_code
        body["taskId"] = task["id"]
        return (await service.call(anna, "POST", "/v1/task-assignments", body)).status_code

    statuses = Counter(await asyncio.gather(*(give(number) for number in range(ASSIGNERS))))

    assert set(statuses) <= {200, 201, 409}
    live = await service.items(anna, f"/v1/task-assignments?taskId={task['id']}")
    shown = await service.view(anna, "GET", f"/v1/tasks/{task['id']}")
    assert [(one["assigneeId"], one["assigneeType"]) for one in live] == [(shown["assigneeId"], "USER")]
    others = await service.items(carl if shown["assigneeId"] == ben.id else ben, "/v1/task-assignments")
    assert others == []
    await service.require_sound()


async def test_a_teams_task_is_taken_over_put_off_and_given_back(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    team = await service.view(anna, "POST", "/v1/teams", {"name": "Gardeners"})
    await service.call(anna, "POST", f"/v1/teams/{team['id']}/members", {"userIds": [ben.id]}, expect=200)
    task = await service.view(anna, "POST", "/v1/tasks", {"title": "Dig"})
    body = {"taskId": task["id"], "assigneeId": team["id"], "assigneeType": "TEAM"}
    assignment = await service.view(anna, "POST", "/v1/task-assignments", body)
    path = f"/v1/tasks/{task['id']}"

    await service.view(
        ben, "PATCH", f"/v1/task-assignments/{assignment['id']}", {"executorId": ben.id}, If_Match='"1"'
    )
    put_off = await service.view(ben, "POST", f"{path}/defer", {"deferredTill": "2900-01-01T00:00:00Z"})

    assert (put_off["status"], put_off["executorId"]) == ("DEFERRED", ben.id)
    assert [one["id"] for one in await service.items(ben, "/v1/tasks?status=DEFERRED")] == [task["id"]]
    taken_over = await service.items(ben, f"/v1/task-assignments?executorId={ben.id}")
    assert [one["id"] for one in taken_over] == [assignment["id"]]
    await service.call(anna, "DELETE", path, expect=204)
    assert await service.items(ben, "/v1/task-assignments") == []
    await service.view(anna, "POST", f"{path}/restore")
    assert len(await service.items(ben, "/v1/task-assignments")) == 1
    await service.call(anna, "DELETE", f"{path}/assignment", expect=204)
    freed = await service.view(anna, "GET", path)
    assert (freed["assigneeId"], freed["executorId"], freed["displayId"]) == (None, None, task["displayId"])
    assert (await service.call(ben, "GET", path)).status_code == 404
    await service.require_sound()


async def test_many_operations_are_one_change_set_or_stand_by_themselves(
    service: JourneyService, anna: Person
) -> None:
    first = await service.view(anna, "POST", "/v1/tasks", {"title": "First"})
    second = await service.view(anna, "POST", "/v1/tasks", {"title": "Second"})
    operations: list[Json] = [{"op": "create", "title": f"Task {number}"} for number in range(BULK)]
    operations.append({"op": "update", "id": first["id"], "version": 1, "parentId": second["id"]})
    before = await service.stored()
    stale = {"op": "delete", "id": second["id"], "version": 5}

    refused = await service.call(anna, "POST", "/v1/tasks/bulk", {"operations": [*operations, stale]})
    assert (refused.status_code, pointers(refused)) == (412, [f"/operations/{len(operations)}"])
    assert await service.stored() == before
    done = await service.view(
        anna, "POST", "/v1/tasks/bulk", {"operations": operations}, Idempotency_Key="many"
    )
    again = await service.view(
        anna, "POST", "/v1/tasks/bulk", {"operations": operations}, Idempotency_Key="many"
    )
    each = await service.view(
        anna, "POST", "/v1/tasks/bulk", {"operations": [stale, *operations[:1]], "atomic": False}
    )

    assert again == done
    assert [outcome["status"] for outcome in each["outcomes"]] == [412, 201]
    listed = await service.items(anna, "/v1/tasks?sort=displayId")
    assert len(listed) == BULK + 3
    assert len({task["displayId"] for task in listed}) == len(listed)
    assert len(await service.items(anna, f"/v1/tasks/{second['id']}/versions")) == 1
    await service.require_sound()


async def test_a_label_has_one_name_and_its_maker_changes_it(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    name = f"urgent {anna.id}"
    label = await service.view(anna, "POST", "/v1/labels", {"name": name})
    path = f"/v1/labels/{label['id']}"
    before = await service.stored()

    taken = await service.call(ben, "POST", "/v1/labels", {"name": name})
    forbidden = await service.call(ben, "PATCH", path, {"color": "#ff0000"})

    assert (taken.status_code, pointers(taken)) == (409, ["/name"])
    assert forbidden.status_code == 403
    assert await service.stored() == before
    assert (await service.view(ben, "GET", path)) == label
    changed = await service.view(anna, "PATCH", path, {"color": "#ff0000"}, If_Match='"1"')
    await service.call(anna, "DELETE", path, If_Match='"2"', expect=204)
    trash = await service.items(anna, "/v1/labels/trash")
    restored = await service.view(anna, "POST", f"{path}/restore")
    assert (changed["color"], restored["color"], restored["version"]) == ("#ff0000", "#ff0000", 4)
    assert label["id"] in {each["id"] for each in trash}
    await service.require_sound()


async def test_one_name_wanted_by_many_at_once_goes_to_one(service: JourneyService, anna: Person) -> None:
    name = f"rare {anna.id}"

    answers = await asyncio.gather(
        *(service.call(anna, "POST", "/v1/labels", {"name": name}) for _ in range(TASKS_AT_ONCE))
    )

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: TASKS_AT_ONCE - 1}
    assert len(await service.items(anna, f"/v1/labels?q={anna.id}")) == 1
    await service.require_sound()
