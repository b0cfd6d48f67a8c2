from datetime import timedelta
from functools import partial

import pytest

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from domain.entity import Stamp
from tests.unit.builders import actor
from tests.unit.entrypoints.http.service import ADMIN, ANNA, BEN, Service, pointers
from tests.unit.team_project import ASSIGNEE, LABELS, PROJECT, STRANGER, TASKS, TEAM, TeamProject

FIRST = f"/v1/tasks/{TASKS[0]}"


@pytest.fixture(autouse=True)
async def _garden(service: Service) -> None:
    await TeamProject(partial(StoredUnitOfWork, service.store, SortableIdentifiers())).store()


async def listed(service: Service, query: str, by: str = ANNA) -> list[str]:
    answer = await service.call("GET", f"/v1/tasks?limit=200&sort=displayId&{query}", by=by)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def defer(service: Service, task_id: str, *, minutes: int) -> None:
    """Puts a task off for some minutes from the service's present on."""
    begin = partial(StoredUnitOfWork, service.store, SortableIdentifiers())
    work, now = begin(actor()), service.clock.now()
    task = await work.tasks.get(task_id)
    work.tasks.save(task.defer(Stamp(now, ANNA), now + timedelta(minutes=minutes)))
    await work.commit()


async def test_a_task_is_shown_plain_unless_its_parts_are_asked_for(service: Service) -> None:
    plain = (await service.call("GET", FIRST)).json()
    full = (await service.call("GET", f"{FIRST}?expand=labels,assignee")).json()

    assert {name: full[name] for name in plain} == plain
    assert (plain["displayId"], plain["teamId"], plain["assigneeId"]) == ("#1", TEAM, ASSIGNEE)
    assert set(full) - set(plain) == {"labels", "assignee"}
    assert full["labels"] == [
        {"id": LABELS[0], "name": "label 0", "color": "#6b7280"},
        {"id": LABELS[1], "name": "label 1", "color": "#6b7280"},
    ]
    assert full["assignee"] == {
        "id": ASSIGNEE,
        "type": "USER",
        "name": "Cleo",
        "executorId": None,
        "executorName": None,
    }


async def test_a_team_and_its_executor_are_named_and_nobody_is_null(service: Service) -> None:
    query = "/v1/tasks?sort=displayId&limit=3&expand=assignee"
    items = (await service.call("GET", query)).json()["items"]

    assert [item["assignee"] and item["assignee"]["name"] for item in items] == ["Cleo", "Gardeners", None]
    assert items[1]["assignee"]["executorName"] == "Ben Berg"
    assert all("labels" not in item for item in items)


@pytest.mark.parametrize(
    "expand", ["watchers", "labels,", ",labels", "", "Labels", "labels;assignee", "labels%20assignee"]
)
@pytest.mark.parametrize("path", ["/v1/tasks", FIRST, "/v1/tasks/trash"])
async def test_unknown_parts_are_refused_by_name(service: Service, path: str, expand: str) -> None:
    refused = await service.call("GET", f"{path}?expand={expand}")

    assert (refused.status_code, pointers(refused)) == (400, ["/expand"])


async def test_a_reader_is_spared_what_he_knows_and_nothing_else(service: Service) -> None:
    async def status(path: str = FIRST, by: str = ANNA) -> int:
        return (await service.call("GET", path, by=by, If_None_Match='"2"')).status_code

    assert (await service.call("GET", FIRST)).headers["etag"] == '"2"'
    assert await status() == 304
    assert await status(f"{FIRST}?expand=labels") == 200
    await service.call("PUT", f"/v1/watchlist/{TASKS[0]}")
    assert (await status(), await status(by=BEN)) == (200, 304)


async def test_deferred_is_shown_and_found_as_long_as_it_lasts(service: Service) -> None:
    await defer(service, TASKS[4], minutes=10)
    path = f"/v1/tasks/{TASKS[4]}"

    assert (await service.call("GET", path)).json()["status"] == "DEFERRED"
    assert (await service.call("GET", path, If_None_Match='"2"')).status_code == 304
    assert await listed(service, "status=DEFERRED") == [TASKS[4]]
    assert TASKS[4] not in await listed(service, "status=TODO")
    assert TASKS[4] in await listed(service, "")
    service.clock.pass_time(10 * 60)
    assert (await service.call("GET", path, If_None_Match='"2"')).json()["status"] == "TODO"
    assert await listed(service, "status=DEFERRED") == []
    assert TASKS[4] in await listed(service, "status=TODO")


async def test_versions_show_the_status_that_they_had(service: Service) -> None:
    await defer(service, TASKS[4], minutes=10)
    service.clock.pass_time(3_600)
    path = f"/v1/tasks/{TASKS[4]}"

    shown = [(await service.call("GET", f"{path}/versions/{number}")).json()["status"] for number in (1, 2)]
    diff = (await service.call("GET", f"{path}/diff?from=1&to=2")).json()["changes"]

    assert shown == ["TODO", "DEFERRED"]
    assert diff["status"] == {"before": "TODO", "after": "DEFERRED"}
    assert diff["deferredTill"]["before"] is None


@pytest.mark.parametrize(
    ("query", "by", "expected"),
    [
        (f"teamId={TEAM}", ANNA, list(TASKS)),
        (f"teamId={TEAM}", BEN, list(TASKS)),
        (f"teamId={TEAM}", ADMIN, list(TASKS)),
        (f"teamId={TEAM}", ASSIGNEE, [TASKS[0]]),
        (f"teamId={TEAM}", STRANGER, []),
        (f"teamId={PROJECT}", ANNA, []),
        (f"assigneeId={ASSIGNEE}", ANNA, [TASKS[0]]),
        (f"assigneeId={ASSIGNEE}", STRANGER, []),
        (f"assigneeId={TEAM}", BEN, [TASKS[1]]),
        (f"projectId={PROJECT}&labelId={LABELS[2]}&q=1%20bed", ANNA, [TASKS[1]]),
        (f"projectId={PROJECT}", STRANGER, []),
        (f"createdBy={ANNA}", STRANGER, []),
    ],
)
async def test_filters_find_what_fits_and_may_be_seen(
    service: Service, query: str, by: str, expected: list[str]
) -> None:
    assert await listed(service, query, by) == expected
    counted = await service.call("GET", f"/v1/tasks?limit=1&count=exact&{query}", by=by)
    assert counted.json()["total"] == len(expected)


async def test_tasks_come_in_the_order_of_their_numbers(service: Service) -> None:
    assert await listed(service, "") == list(TASKS)
    backwards = await service.call("GET", "/v1/tasks?sort=-displayId&limit=11")
    assert [item["displayId"] for item in backwards.json()["items"]] == [f"#{20 - n}" for n in range(11)]
    rest = await service.call("GET", backwards.links["next"]["url"])
    assert [item["displayId"] for item in rest.json()["items"]] == [f"#{9 - n}" for n in range(9)]


@pytest.mark.parametrize("query", ["watching=no", "watching=1", "teamId=x", "assigneeId=you", "status=LATER"])
async def test_filters_that_mean_nothing_are_named(service: Service, query: str) -> None:
    refused = await service.call("GET", f"/v1/tasks?{query}")

    assert (refused.status_code, pointers(refused)) == (400, [f"/{query.partition('=')[0]}"])


async def test_watching_false_filters_nothing(service: Service) -> None:
    await service.call("PUT", f"/v1/watchlist/{TASKS[3]}")

    assert await listed(service, "watching=true") == [TASKS[3]]
    assert await listed(service, "watching=false") == await listed(service, "") == list(TASKS)


async def test_the_trash_shows_parts_and_belongs_to_those_who_see_the_tasks(service: Service) -> None:
    await service.call("DELETE", FIRST)

    trash = (await service.call("GET", "/v1/tasks/trash?expand=assignee")).json()["items"]
    assert [(item["id"], item["assignee"]["name"]) for item in trash] == [(TASKS[0], "Cleo")]
    assert (await service.call("GET", "/v1/tasks/trash", by=STRANGER)).json()["items"] == []


async def test_a_repeated_creation_is_answered_as_it_was(service: Service) -> None:
    body = {"title": "Pond", "projectId": PROJECT}
    first = await service.call("POST", "/v1/tasks", body, Idempotency_Key="pond-1")
    await service.call("PUT", f"/v1/watchlist/{first.json()['id']}")
    again = await service.call("POST", "/v1/tasks", body, Idempotency_Key="pond-1")

    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    assert first.json()["inWatchlist"] is False


@pytest.mark.parametrize(
    ("query", "places"),
    [
        (f"ids={TASKS[0]},{TASKS[2]},{STRANGER}", [0, 2]),
        ("displayId=1", [0]),
        ("displayId=%231,2", [0, 1]),
        (f"assigneeId={ASSIGNEE},{TEAM}", [0, 1]),
        (f"assigneeId=none,{TEAM}", [1, 2]),
        (f"teamId={TEAM},{STRANGER}", [0, 1, 2]),
        (f"projectId={PROJECT},{STRANGER}", [0, 1, 2]),
        ("projectId=none", []),
        ("parentId=none", [0, 1, 2]),
        (f"ids={TASKS[0]}&watching=true", []),
    ],
)
async def test_filters_take_several_values(service: Service, query: str, places: list[int]) -> None:
    shown = [task_id for task_id in await listed(service, query) if task_id in TASKS[:3]]
    assert shown == [TASKS[place] for place in places]


async def test_me_is_the_caller(service: Service) -> None:
    assert await listed(service, "assigneeId=me", by=ASSIGNEE) == [TASKS[0]]
    assert await listed(service, "createdBy=me", by=BEN) == []


async def test_subtasks_are_found_by_their_parent(service: Service) -> None:
    child = await service.made("/v1/tasks", {"title": "Child", "parentId": TASKS[0]})
    assert await listed(service, f"parentId={TASKS[0]},{TASKS[1]}") == [child["id"]]
    assert child["id"] not in await listed(service, "parentId=none")


@pytest.mark.parametrize(
    "query",
    [
        "status=TODO,LATER",
        "status=TODO,",
        "priority=high",
        f"assigneeId={ASSIGNEE},you",
        "createdBy=none,",
        "parentId=me",
        "ids=",
        "ids=" + ",".join(["a" * 24] * 201),
        "displayId=0",
        "displayId=x",
        "labelId=none",
        "overdue=yes",
    ],
)
async def test_a_value_that_means_nothing_is_named(service: Service, query: str) -> None:
    refused = await service.call("GET", f"/v1/tasks?{query}")
    assert (refused.status_code, pointers(refused)) == (400, [f"/{query.partition('=')[0]}"])


async def test_200_ids_fit_into_one_request(service: Service) -> None:
    ids = [*TASKS[:3], *(f"{number:024x}" for number in range(197))]
    assert set(await listed(service, f"ids={','.join(ids)}")) >= set(TASKS[:3])


async def test_links_lead_to_tasks_that_the_caller_sees(service: Service) -> None:
    link = {"kind": "BLOCKS", "taskId": TASKS[1]}
    linked = await service.call("PATCH", FIRST, {"links": [link, link]})
    itself = await service.call("PATCH", FIRST, {"links": [{"kind": "RELATES", "taskId": TASKS[0]}]})
    nobody = await service.call("PATCH", FIRST, {"links": [link, {"kind": "RELATES", "taskId": "e" * 24}]})
    cleared = await service.call("PATCH", FIRST, {"links": None})

    assert linked.json()["links"] == [link]
    assert (itself.status_code, pointers(itself)) == (422, ["/links/0/taskId"])
    assert (nobody.status_code, pointers(nobody)) == (422, ["/links/1/taskId"])
    assert cleared.json()["links"] == []
