"""How often the store is asked: no operation asks for one thing after the other that it could ask for together.

Bounds of calls say how often somebody waits; bounds of statements, which are never fewer, what that is for a server.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import httpx
import pytest

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from tests.unit.counting_store import CountingStore
from tests.unit.entrypoints.http.service import ADMIN, ANNA, Service
from tests.unit.memory_store import MemoryRecordStore
from tests.unit.team_project import ASSIGNEE, LABELS, MEMBER, PROJECT, STRANGER, TASKS, TEAM, TeamProject

ONE_TASK_STATEMENTS_MAX = 3
"""The task, the reader's watch, and his membership where neither he nor his grants decide."""
PARTS_STATEMENTS_MAX = 3
"""Labels, users, teams."""
CREATION_STATEMENTS_MAX = 3
"""What is read for a new task: its project, its labels, the membership; reserving numbers comes on top."""
CHANGE_STATEMENTS_MAX = 4
"""What is read for a change: the task, the watch, the membership and a role that people made."""
WATCHING_STATEMENTS_MAX = 7
"""Watches, memberships, tasks, their number, and the parts of what is shown."""

CALLERS = [
    pytest.param(ANNA, id="owner"),
    pytest.param(MEMBER, id="team member"),
    pytest.param(ADMIN, id="admin"),
]


@dataclass(frozen=True, slots=True)
class Counted:
    """A service whose store counts."""

    service: Service
    store: CountingStore

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """One request, counted alone; without the one read of the account on which an administrator's rights rest."""
        self.store.clear()
        answer = await self.service.call(method, path, body, **more)
        if more.get("by") == ADMIN:
            self.store.calls.remove("fetch")
            self.store.statements -= 1
        return answer


@cache
def counted_service() -> Counted:
    store = CountingStore(MemoryRecordStore())
    return Counted(Service(store), store)


@pytest.fixture
async def counted() -> AsyncIterator[Counted]:
    running = counted_service()
    running.service.accounts = MemoryRecordStore()
    running.store.__init__(running.service.accounts)  # type: ignore[misc]
    await TeamProject(partial(StoredUnitOfWork, running.store, SortableIdentifiers())).store()
    yield running
    running.service.client.cookies.clear()


@pytest.mark.parametrize(
    ("caller", "task_id"),
    [
        pytest.param(ANNA, TASKS[2], id="owner"),
        pytest.param(MEMBER, TASKS[2], id="team member"),
        pytest.param(MEMBER, TASKS[1], id="executor"),
        pytest.param(ASSIGNEE, TASKS[0], id="assignee"),
        pytest.param(ADMIN, TASKS[0], id="admin"),
    ],
)
async def test_one_task_takes_two_calls(counted: Counted, caller: str, task_id: str) -> None:
    answer = await counted.call("GET", f"/v1/tasks/{task_id}", by=caller)

    assert answer.status_code == 200, answer.text
    assert len(counted.store.calls) <= 2, counted.store.calls
    assert counted.store.statements <= ONE_TASK_STATEMENTS_MAX


async def test_who_may_not_see_a_task_learns_that_in_two_calls(counted: Counted) -> None:
    answer = await counted.call("GET", f"/v1/tasks/{TASKS[0]}", by=STRANGER)

    assert answer.status_code == 404
    assert len(counted.store.calls) <= 2, counted.store.calls
    assert counted.store.statements <= ONE_TASK_STATEMENTS_MAX


@pytest.mark.parametrize("caller", CALLERS)
async def test_one_task_with_all_its_parts_takes_three_calls(counted: Counted, caller: str) -> None:
    answer = await counted.call("GET", f"/v1/tasks/{TASKS[1]}?expand=labels,assignee", by=caller)

    assert answer.json()["assignee"]["executorName"] == "Ben Berg"
    assert len(counted.store.calls) <= 3, counted.store.calls
    assert counted.store.statements <= ONE_TASK_STATEMENTS_MAX + PARTS_STATEMENTS_MAX


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(
    ("query", "calls_max", "statements_max"),
    [
        ("", 3, 3),
        ("&expand=labels,assignee", 3, 6),
        ("&expand=labels,assignee&count=exact", 4, 7),
        (f"&projectId={PROJECT}&teamId={TEAM}&status=TODO&q=bed&expand=labels,assignee", 3, 9),
    ],
)
async def test_a_list_of_twenty_takes_few_calls(
    counted: Counted, caller: str, query: str, calls_max: int, statements_max: int
) -> None:
    answer = await counted.call("GET", f"/v1/tasks?limit=20{query}", by=caller)

    assert len(answer.json()["items"]) == len(TASKS)
    assert len(counted.store.calls) <= calls_max, counted.store.calls
    assert counted.store.statements <= statements_max


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("text", "groups"), [("bed", 4), ("bed%204", 6)])
async def test_a_search_asks_once_for_each_group_of_its_order(
    counted: Counted, caller: str, text: str, groups: int
) -> None:
    answer = await counted.call("GET", f"/v1/tasks?q={text}", by=caller)

    assert answer.json()["items"][0]["title"].startswith("Bed")
    assert len(counted.store.calls) <= 3, counted.store.calls
    assert groups < counted.store.statements <= groups + 2


@pytest.mark.parametrize("caller", CALLERS)
async def test_what_one_watches_takes_five_calls(counted: Counted, caller: str) -> None:
    for task_id in TASKS:
        await counted.service.call("PUT", f"/v1/watchlist/{task_id}", by=caller)

    in_list = await counted.call(
        "GET", "/v1/tasks?watching=true&limit=20&expand=labels,assignee&count=exact", by=caller
    )
    assert (len(in_list.json()["items"]), in_list.json()["total"]) == (20, 20)
    assert len(counted.store.calls) <= 5, counted.store.calls
    assert counted.store.statements <= WATCHING_STATEMENTS_MAX
    watchlist = await counted.call("GET", "/v1/watchlist?expand=labels,assignee&count=exact", by=caller)
    assert len(watchlist.json()["items"]) == 20
    assert len(counted.store.calls) <= 5, counted.store.calls
    assert counted.store.statements <= WATCHING_STATEMENTS_MAX


@pytest.mark.parametrize("caller", CALLERS)
async def test_a_task_in_a_project_with_labels_takes_one_commit(counted: Counted, caller: str) -> None:
    body = {"title": "Pond", "projectId": PROJECT, "labelIds": LABELS}
    reservations = 0
    for _ in range(20):
        answer = await counted.call("POST", "/v1/tasks", body, by=caller)

        assert (answer.status_code, answer.json()["inWatchlist"]) == (201, False), answer.text
        assert counted.store.commits == 1
        # The commit checks the account again on whose grants the rights of an administrator rest.
        more = counted.store.reservations * 2 + (1 if caller == ADMIN else 0)
        assert counted.store.reads <= 2 + more, counted.store.calls
        assert counted.store.statements <= CREATION_STATEMENTS_MAX + more
        reservations += counted.store.reservations
    # Who makes many reserves more numbers each time.
    assert reservations <= 6


@pytest.mark.parametrize("caller", CALLERS)
async def test_a_change_takes_one_commit(counted: Counted, caller: str) -> None:
    answer = await counted.call("PATCH", f"/v1/tasks/{TASKS[3]}", {"title": "Pond"}, by=caller)

    assert (answer.status_code, answer.json()["inWatchlist"]) == (200, False)
    assert counted.store.commits == 1
    assert counted.store.reads <= 3, counted.store.calls
    assert counted.store.statements <= CHANGE_STATEMENTS_MAX


@pytest.mark.parametrize("caller", CALLERS)
async def test_to_watch_takes_two_reads_and_one_commit_once(counted: Counted, caller: str) -> None:
    path = f"/v1/watchlist/{TASKS[3]}"

    assert (await counted.call("PUT", path, by=caller)).status_code == 200
    assert (counted.store.commits, counted.store.reads <= 2) == (1, True), counted.store.calls
    assert (await counted.call("PUT", path, by=caller)).status_code == 200
    assert (counted.store.commits, counted.store.reads <= 2) == (0, True), counted.store.calls
    assert (await counted.call("DELETE", path, by=caller)).status_code == 204
    assert (counted.store.commits, counted.store.reads) == (1, 1), counted.store.calls
    assert (await counted.call("DELETE", path, by=caller)).status_code == 204
    assert (counted.store.commits, counted.store.reads <= 2) == (0, True), counted.store.calls
