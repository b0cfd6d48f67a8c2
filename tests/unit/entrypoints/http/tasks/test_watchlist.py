from functools import partial
from typing import Any

import pytest

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from domain.watch import watch_id
from tests.unit.entrypoints.http.service import ADMIN, ANNA, BEN, Service, pointers
from tests.unit.team_project import ASSIGNEE, LABELS, MEMBER, STRANGER, TASKS, TEAM, TeamProject

NOBODYS = "f" * 24


@pytest.fixture(autouse=True)
async def _garden(service: Service) -> None:
    await TeamProject(partial(StoredUnitOfWork, service.store, SortableIdentifiers())).store()


async def watched(service: Service, query: str = "", **more: Any) -> list[str]:
    answer = await service.call("GET", f"/v1/watchlist{query}", **more)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def watches_stored(service: Service) -> list[tuple[str, str, int, bool]]:
    records = await service.store.scan("watchlists", after=None, limit=100)
    return sorted((each["userId"], each["taskId"], each["version"], each["isDeleted"]) for each in records)


async def test_a_watched_task_is_marked_wherever_its_watcher_sees_it(service: Service) -> None:
    path = f"/v1/tasks/{TASKS[2]}"
    put = await service.call("PUT", f"/v1/watchlist/{TASKS[2]}")

    assert (put.status_code, put.json()["id"], put.json()["inWatchlist"]) == (200, TASKS[2], True)
    assert (
        put.json()["watchedAt"]
        == (await service.call("GET", "/v1/watchlist")).json()["items"][0]["watchedAt"]
    )
    assert (await service.call("GET", path)).json()["inWatchlist"] is True
    assert (await service.call("PATCH", path, {"title": "Pond"})).json()["inWatchlist"] is True
    assert (await service.call("GET", path, by=BEN)).json()["inWatchlist"] is False
    listed = (await service.call("GET", "/v1/tasks?watching=true")).json()["items"]
    assert [(item["id"], item["inWatchlist"]) for item in listed] == [(TASKS[2], True)]
    await service.call("DELETE", path)
    restored = await service.call("POST", f"{path}/restore")
    assert restored.json()["inWatchlist"] is True


async def test_to_watch_and_to_give_up_are_done_once_however_often_they_are_asked(service: Service) -> None:
    path = f"/v1/watchlist/{TASKS[2]}"
    methods = ("DELETE", "PUT", "PUT", "DELETE", "DELETE", "PUT")
    statuses = [(await service.call(method, path)).status_code for method in methods]

    assert statuses == [204, 200, 200, 204, 204, 200]
    assert await watches_stored(service) == [(ANNA, TASKS[2], 3, False)]
    entries = await service.call(
        "GET", f"/v1/audit?collection=watchlists&entityId={watch_id(ANNA, TASKS[2])}"
    )
    assert [entry["action"] for entry in entries.json()["items"]] == ["RESTORED", "DELETED", "CREATED"]
    assert entries.json()["items"][2]["changes"]["taskId"] == {"before": None, "after": TASKS[2]}


async def test_watching_makes_no_version_of_the_task(service: Service) -> None:
    before = (await service.call("GET", f"/v1/tasks/{TASKS[2]}")).headers["etag"]
    await service.call("PUT", f"/v1/watchlist/{TASKS[2]}")

    assert (await service.call("GET", f"/v1/tasks/{TASKS[2]}")).headers["etag"] == before == '"1"'


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("task_id", [TASKS[0], NOBODYS, "nonsense", LABELS[0]])
async def test_a_task_one_must_not_know_of_is_not_there(service: Service, method: str, task_id: str) -> None:
    before = await watches_stored(service)

    refused = await service.call(method, f"/v1/watchlist/{task_id}", by=STRANGER)

    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert await watches_stored(service) == before == []


async def test_a_task_in_the_trash_is_neither_listed_nor_newly_watched(service: Service) -> None:
    for task_id in TASKS[2:4]:
        await service.call("PUT", f"/v1/watchlist/{task_id}")
    for task_id in TASKS[3:5]:
        assert (await service.call("DELETE", f"/v1/tasks/{task_id}")).status_code == 204

    assert await watched(service) == [TASKS[2]]
    refused = await service.call("PUT", f"/v1/watchlist/{TASKS[4]}")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    await service.call("POST", f"/v1/tasks/{TASKS[3]}/restore")
    assert await watched(service) == [TASKS[3], TASKS[2]]


async def test_watchlists_are_everybodys_own_and_the_latest_comes_first(service: Service) -> None:
    for task_id in TASKS[:3]:
        await service.call("PUT", f"/v1/watchlist/{task_id}", by=BEN)
    await service.call("PUT", f"/v1/watchlist/{TASKS[0]}", by=ASSIGNEE)

    assert await watched(service, by=BEN) == [TASKS[2], TASKS[1], TASKS[0]]
    assert await watched(service, by=ASSIGNEE) == [TASKS[0]]
    assert await watched(service) == await watched(service, by=ADMIN) == []


async def test_pages_are_full_however_much_is_hidden_between_what_is_shown(service: Service) -> None:
    for task_id in TASKS[:8]:
        await service.call("PUT", f"/v1/watchlist/{task_id}")
    for number in (1, 3, 4, 6, 7):
        await service.call("DELETE", f"/v1/tasks/{TASKS[number]}")

    first = await service.call("GET", "/v1/watchlist?limit=2&count=exact&expand=labels")
    last = await service.call("GET", first.links["next"]["url"])

    assert [[item["id"] for item in page.json()["items"]] for page in (first, last)] == [
        [TASKS[5], TASKS[2]],
        [TASKS[0]],
    ]
    assert (first.json()["total"], last.json()["total"]) == (3, 3)
    assert (last.json()["nextCursor"], last.links) == (None, {})


async def test_the_watchlist_tells_no_more_than_the_list_of_tasks(service: Service) -> None:
    for task_id in TASKS[:5]:
        assert (await service.call("PUT", f"/v1/watchlist/{task_id}", by=MEMBER)).status_code == 200
    removed = await service.call("DELETE", f"/v1/teams/{TEAM}/members/{MEMBER}", by=ADMIN)
    assert removed.status_code == 204, removed.text

    for path in ("/v1/watchlist?", "/v1/tasks?watching=true&"):
        answer = await service.call("GET", f"{path}limit=2&count=exact", by=MEMBER)
        assert answer.json() == {"items": [], "total": 0, "nextCursor": None}


async def test_what_is_asked_for_is_shown_and_nonsense_is_named(service: Service) -> None:
    await service.call("PUT", f"/v1/watchlist/{TASKS[1]}")

    plain = (await service.call("GET", "/v1/watchlist")).json()["items"][0]
    full = (await service.call("GET", "/v1/watchlist?expand=assignee,labels")).json()["items"][0]
    refused = await service.call("GET", "/v1/watchlist?expand=watchers&sort=title")

    assert not {"labels", "assignee"} & set(plain)
    assert full["assignee"]["name"] == "Gardeners"
    assert [label["id"] for label in full["labels"]] == full["labelIds"]
    assert (refused.status_code, sorted(pointers(refused))) == (400, ["/expand", "/sort"])
    assert (await service.call("PUT", f"/v1/watchlist/{TASKS[1]}?dryRun=true")).status_code == 400


async def test_nobody_who_is_not_signed_in_has_a_watchlist(service: Service) -> None:
    for method, path in (("GET", ""), ("PUT", f"/{TASKS[0]}"), ("DELETE", f"/{TASKS[0]}")):
        assert (await service.client.request(method, f"/v1/watchlist{path}")).status_code == 401
