"""Putting tasks off, giving them away, and how assignments look."""

import pytest

from tests.unit.entrypoints.http.company import CARL, EVE, gather
from tests.unit.entrypoints.http.service import ADMIN, ANNA, BEN, Json, Service, pointers

LATER = "2026-05-01T00:00:00.000Z"


@pytest.fixture(autouse=True)
async def _people(service: Service) -> None:
    await gather(service)


async def teams_task(service: Service) -> tuple[Json, Json, Json]:
    """A team of Anna and Ben, a task of Anna's given to it, and the assignment."""
    team = await service.made("/v1/teams", {"name": "Gardeners"})
    await service.call("POST", f"/v1/teams/{team['id']}/members", {"userIds": [BEN]})
    task = await service.made("/v1/tasks", {"title": "Dig"})
    assignment = await service.made(
        "/v1/task-assignments", {"taskId": task["id"], "assigneeId": team["id"], "assigneeType": "TEAM"}
    )
    return team, task, assignment


async def test_tasks_are_numbered_and_the_number_is_theirs(service: Service) -> None:
    made = [await service.made("/v1/tasks", {"title": f"Task {number}"}) for number in range(12)]
    assert [task["displayId"] for task in made] == [f"#{number}" for number in range(1, 13)]
    descending = (await service.call("GET", "/v1/tasks?sort=-displayId")).json()["items"]
    assert [task["id"] for task in descending] == [task["id"] for task in reversed(made)]
    refused = await service.call("PATCH", f"/v1/tasks/{made[0]['id']}", {"displayId": "#99"})
    assert (refused.status_code, pointers(refused)) == (400, ["/displayId"])
    audit = (await service.call("GET", f"/v1/tasks/{made[0]['id']}/audit")).json()["items"]
    assert audit[0]["changes"]["displayId"] == {"before": None, "after": "#1"}


async def test_a_task_that_is_put_off_is_shown_so_while_it_lasts(service: Service) -> None:
    task = await service.made("/v1/tasks", {"title": "Dig"})
    path = f"/v1/tasks/{task['id']}"

    put_off = await service.call("POST", f"{path}/defer", {"deferredTill": LATER}, If_Match='"1"')

    assert put_off.status_code == 200, put_off.text
    assert put_off.headers["etag"] == '"2"'
    assert (put_off.json()["status"], put_off.json()["deferredTill"]) == ("DEFERRED", LATER)
    assert (await service.stored())["tasks"][0]["status"] == "TODO"
    taken_up = await service.call("POST", f"{path}/defer", {"deferredTill": None})
    assert (taken_up.json()["status"], taken_up.json()["deferredTill"]) == ("TODO", None)


async def test_a_task_comes_back_by_itself(service: Service) -> None:
    task = await service.made("/v1/tasks", {"title": "Dig"})
    await service.call("POST", f"/v1/tasks/{task['id']}/defer", {"deferredTill": "2026-03-02T13:00:00Z"})
    service.clock.pass_time(3_600)
    shown = (await service.call("GET", f"/v1/tasks/{task['id']}")).json()
    assert (shown["status"], shown["version"]) == ("TODO", 2)


@pytest.mark.parametrize(
    ("changes", "until", "status", "pointer"),
    [
        ({"dueAt": "2026-04-01T00:00:00Z"}, LATER, 422, ["/deferredTill"]),
        ({}, "2026-03-01T00:00:00Z", 422, ["/deferredTill"]),
        ({"status": "DONE"}, LATER, 409, []),
        ({}, "tomorrow", 400, ["/deferredTill"]),
        ({}, "2026-05-01T00:00:00.0001Z", 400, ["/deferredTill"]),
    ],
)
async def test_a_deferral_that_cannot_be_changes_nothing(
    service: Service, changes: Json, until: str, status: int, pointer: list[str]
) -> None:
    task = await service.made("/v1/tasks", {"title": "Dig", **changes})
    before = await service.stored()
    refused = await service.call("POST", f"/v1/tasks/{task['id']}/defer", {"deferredTill": until})
    assert (refused.status_code, pointers(refused)) == (status, pointer)
    assert await service.stored() == before


async def test_a_deferral_under_a_stale_version_is_refused(service: Service) -> None:
    task = await service.made("/v1/tasks", {"title": "Dig"})
    path = f"/v1/tasks/{task['id']}"
    refused = await service.call("POST", f"{path}/defer", {"deferredTill": LATER}, If_Match='"7"')
    assert (refused.status_code, refused.json()["currentVersion"]) == (412, 1)


async def test_a_task_is_given_to_a_user_and_freed(service: Service) -> None:
    task = await service.made("/v1/tasks", {"title": "Dig"})
    path = f"/v1/tasks/{task['id']}"
    body = {"assigneeId": BEN, "assigneeType": "USER"}

    given = await service.call("POST", f"{path}/assign", body, If_Match='"1"')

    assert given.status_code == 200, given.text
    assert (given.json()["assigneeId"], given.json()["assigneeType"]) == (BEN, "USER")
    assert (await service.call("GET", path, by=BEN)).status_code == 200
    again = await service.call("POST", f"{path}/assign", body)
    assert again.json()["version"] == 2
    freed = await service.call("DELETE", f"{path}/assignment", If_Match='"2"')
    assert (freed.status_code, freed.headers["etag"]) == (204, '"3"')
    assert (await service.call("GET", path, by=BEN)).status_code == 404
    assert (await service.call("DELETE", f"{path}/assignment")).status_code == 404


async def test_who_cannot_be_found_is_given_nothing(service: Service) -> None:
    task = await service.made("/v1/tasks", {"title": "Dig"})
    evils = await service.made("/v1/teams", {"name": "Others"}, by=EVE)
    before = await service.stored()
    for id, kind in (("f" * 24, "USER"), ("f" * 24, "TEAM"), (evils["id"], "TEAM")):
        body = {"assigneeId": id, "assigneeType": kind}
        refused = await service.call("POST", f"/v1/tasks/{task['id']}/assign", body)
        assert (refused.status_code, pointers(refused)) == (422, ["/assigneeId"])
    malformed = await service.call("POST", f"/v1/tasks/{task['id']}/assign", {"assigneeId": "me"})
    assert (malformed.status_code, pointers(malformed)) == (400, ["/assigneeId", "/assigneeType"])
    assert await service.stored() == before


async def test_a_member_takes_over_and_hands_back(service: Service) -> None:
    team, task, assignment = await teams_task(service)
    path = f"/v1/task-assignments/{assignment['id']}"

    taken = await service.call("PATCH", path, {"executorId": BEN}, by=BEN, If_Match='"1"')

    assert taken.status_code == 200, taken.text
    assert (taken.json()["executorId"], taken.headers["etag"]) == (BEN, '"2"')
    shown = (await service.call("GET", f"/v1/tasks/{task['id']}", by=BEN)).json()
    assert (shown["assigneeId"], shown["executorId"]) == (team["id"], BEN)
    stale = await service.call("PATCH", path, {"executorId": None}, by=BEN, If_Match='"1"')
    assert (stale.status_code, stale.json()["currentVersion"]) == (412, 2)
    stranger = await service.call("PATCH", path, {"executorId": CARL})
    assert (stranger.status_code, pointers(stranger)) == (422, ["/executorId"])
    handed_back = await service.call("PATCH", path, {"executorId": None}, by=BEN)
    assert handed_back.json()["executorId"] is None


async def test_assignments_are_read_listed_and_ended(service: Service) -> None:
    _, task, assignment = await teams_task(service)
    other = await service.made("/v1/tasks", {"title": "Weed"})
    body = {"taskId": other["id"], "assigneeId": CARL, "assigneeType": "USER"}
    carls = await service.made("/v1/task-assignments", body)
    path = f"/v1/task-assignments/{assignment['id']}"

    async def listed(query: str = "", by: str = ANNA) -> list[str]:
        answer = await service.call("GET", f"/v1/task-assignments{query}", by=by)
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["items"]]

    assert await listed() == [carls["id"], assignment["id"]]
    assert await listed(f"?taskId={task['id']}") == [assignment["id"]]
    assert await listed(f"?assigneeId={CARL}&count=exact") == [carls["id"]]
    assert await listed(by=CARL) == [carls["id"]]
    assert await listed(by=EVE) == []
    assert (await service.call("GET", path, by=BEN)).json() == assignment
    assert (await service.call("GET", path, by=EVE)).status_code == 404
    assert (await service.call("DELETE", path, by=BEN)).status_code == 403
    ended = await service.call("DELETE", path, If_Match='"1"')
    assert (ended.status_code, ended.headers["etag"]) == (204, '"2"')
    assert await listed() == [carls["id"]]
    over = (await service.call("GET", path)).json()
    assert (over["isDeleted"], over["deletedBy"]) == (True, ANNA)
    assert (await service.call("PATCH", path, {"executorId": BEN})).status_code == 409
    assert (await service.call("GET", f"/v1/tasks/{task['id']}")).json()["assigneeId"] is None


async def test_the_same_request_with_the_same_key_gives_a_task_once(service: Service) -> None:
    task = await service.made("/v1/tasks", {"title": "Dig"})
    body = {"taskId": task["id"], "assigneeId": BEN, "assigneeType": "USER"}
    first = await service.call("POST", "/v1/task-assignments", body, Idempotency_Key="give")
    taken = {"assigneeId": CARL, "assigneeType": "USER"}
    await service.call("POST", f"/v1/tasks/{task['id']}/assign", taken)

    again = await service.call("POST", "/v1/task-assignments", body, Idempotency_Key="give")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    assert again.headers["location"] == f"/v1/task-assignments/{first.json()['id']}"
    shown = (await service.call("GET", f"/v1/tasks/{task['id']}")).json()
    assert shown["assigneeId"] == CARL


async def test_a_task_that_is_not_there_is_given_to_nobody(service: Service) -> None:
    task = await service.made("/v1/tasks", {"title": "Dig"})
    body = {"taskId": task["id"], "assigneeId": EVE, "assigneeType": "USER"}
    refused = await service.call("POST", "/v1/task-assignments", body, by=EVE)
    assert (refused.status_code, pointers(refused)) == (422, ["/taskId"])
    assert (await service.call("POST", "/v1/task-assignments", body, by=ADMIN)).status_code == 201
