from datetime import datetime, timedelta

import pytest

from application.paging import PageRequest
from application.ports.clock import Clock
from application.ports.repositories import TaskFilter
from application.ports.unit_of_work import Begin
from application.tasks.details import Expansion, Expansions
from application.tasks.reading import GetTask, ListTasks
from application.tasks.watchlist import UnwatchTask, WatchTask
from domain.assignment import AssigneeType
from domain.entity import Stamp
from domain.errors import NotFound
from domain.task import Task, TaskStatus
from tests.unit.builders import ANNA, BEN, NOON, actor, numbered_id
from tests.unit.team_project import ASSIGNEE, LABELS, STRANGER, TASKS, TEAM, TeamProject

EVERYTHING = PageRequest(limit=200)
ALL_EXPANSIONS: Expansions = frozenset(Expansion)


class SetClock:
    """The port Clock: a time that the test sets."""

    def __init__(self) -> None:
        self.instant = NOON + timedelta(hours=1)

    def now(self) -> datetime:
        return self.instant


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(autouse=True)
async def _garden(begin: Begin) -> None:
    await TeamProject(begin).store()


@pytest.fixture
def read(begin: Begin, clock: Clock) -> GetTask:
    return GetTask(begin, clock)


@pytest.fixture
def listing(begin: Begin, clock: Clock) -> ListTasks:
    return ListTasks(begin, clock)


async def found(
    listing: ListTasks, user_id: str, wanted: TaskFilter | None = None, *, watching: bool = False
) -> set[str]:
    page = await listing(actor(user_id), wanted or TaskFilter(), EVERYTHING, watching=watching)
    return {seen.id for seen in page.items}


async def save(begin: Begin, task: Task) -> None:
    work = begin(actor())
    await work.tasks.get(task.id)
    work.tasks.save(task)
    await work.commit()


async def deferred(begin: Begin, task_id: str, *, until: datetime) -> Task:
    task = (await begin(actor()).tasks.get(task_id)).defer(Stamp(NOON, ANNA), until)
    await save(begin, task)
    return task


async def test_readers_see_their_own_tasks_their_teams_and_what_is_given_to_them(
    read: GetTask, listing: ListTasks
) -> None:
    assert await found(listing, ANNA) == set(TASKS)
    assert await found(listing, BEN) == set(TASKS)
    assert await found(listing, ASSIGNEE) == {TASKS[0]}
    assert await found(listing, STRANGER) == set()
    assert (await read(actor(ASSIGNEE), TASKS[0])).id == TASKS[0]
    with pytest.raises(NotFound):
        await read(actor(ASSIGNEE), TASKS[1])
    with pytest.raises(NotFound):
        await read(actor(STRANGER), TASKS[0])


async def test_details_say_whether_the_reader_watches_the_task(
    read: GetTask, listing: ListTasks, begin: Begin, clock: Clock
) -> None:
    await WatchTask(begin, clock)(actor(BEN), TASKS[3])

    assert (await read(actor(BEN), TASKS[3])).in_watchlist
    assert not (await read(actor(ANNA), TASKS[3])).in_watchlist
    page = await listing(actor(BEN), TaskFilter(), EVERYTHING)
    assert {seen.id for seen in page.items if seen.in_watchlist} == {TASKS[3]}
    await UnwatchTask(begin, clock)(actor(BEN), TASKS[3])
    assert not (await read(actor(BEN), TASKS[3])).in_watchlist


async def test_details_that_change_without_a_version_are_not_cacheable_by_version(
    read: GetTask, begin: Begin, clock: SetClock
) -> None:
    assert (await read(actor(), TASKS[3])).is_cacheable_by_version
    assert not (await read(actor(), TASKS[3], expand=ALL_EXPANSIONS)).is_cacheable_by_version

    await WatchTask(begin, clock)(actor(), TASKS[3])
    assert not (await read(actor(), TASKS[3])).is_cacheable_by_version
    assert (await read(actor(BEN), TASKS[3])).is_cacheable_by_version
    clock.instant += timedelta(hours=1)
    task = await begin(actor()).tasks.get(TASKS[3])
    await save(begin, task.edit(Stamp(clock.now(), ANNA), {"title": "Pond"}))
    assert (await read(actor(), TASKS[3])).is_cacheable_by_version


async def test_a_task_is_deferred_until_its_time_comes(
    read: GetTask, listing: ListTasks, begin: Begin, clock: SetClock
) -> None:
    await deferred(begin, TASKS[3], until=NOON + timedelta(hours=2))
    is_deferred, todo = TaskFilter(deferred=True), TaskFilter(deferred=False, statuses=(TaskStatus.TODO,))

    seen = await read(actor(), TASKS[3])
    assert (seen.is_deferred, seen.is_cacheable_by_version) == (True, True)
    assert await found(listing, ANNA, is_deferred) == {TASKS[3]}
    assert TASKS[3] not in await found(listing, ANNA, todo)

    clock.instant = NOON + timedelta(hours=2)
    seen = await read(actor(), TASKS[3])
    assert (seen.is_deferred, seen.is_cacheable_by_version) == (False, False)
    assert await found(listing, ANNA, is_deferred) == set()
    assert TASKS[3] in await found(listing, ANNA, todo)


async def test_an_earlier_version_has_the_details_of_its_time(
    read: GetTask, begin: Begin, clock: SetClock
) -> None:
    await deferred(begin, TASKS[3], until=NOON + timedelta(hours=2))
    await WatchTask(begin, clock)(actor(), TASKS[3])
    clock.instant = NOON + timedelta(hours=3)
    done = await begin(actor()).tasks.get(TASKS[3])
    await save(begin, done.edit(Stamp(clock.now(), ANNA), {"status": TaskStatus.DONE}))
    await UnwatchTask(begin, clock)(actor(), TASKS[3])

    versions = [await read(actor(), TASKS[3], version=number) for number in (1, 2, 3)]

    assert [(seen.is_deferred, seen.in_watchlist) for seen in versions] == [
        (False, False),
        (True, False),
        (False, False),
    ]
    with pytest.raises(NotFound):
        await read(actor(), TASKS[3], version=4)


async def test_parts_name_labels_and_whom_a_task_is_given_to(
    read: GetTask, listing: ListTasks, begin: Begin
) -> None:
    work = begin(actor())
    work.labels.save((await work.labels.get(LABELS[1])).delete(Stamp(NOON, ANNA)))
    await work.commit()

    page = await listing(actor(), TaskFilter(), EVERYTHING, expand=ALL_EXPANSIONS)
    seen = {one.id: one for one in page.items}
    cleo, team, nobody = (seen[id_].assignee for id_ in TASKS[:3])

    assert [label.name for label in seen[TASKS[0]].labels] == ["label 0"]
    assert seen[TASKS[0]].task.label_ids == (LABELS[0], LABELS[1])
    assert cleo is not None
    assert (cleo.id, cleo.type, cleo.name) == (ASSIGNEE, AssigneeType.USER, "Cleo")
    assert team is not None
    assert (team.id, team.name, team.executor_id, team.executor_name) == (TEAM, "Gardeners", BEN, "Ben Berg")
    assert nobody is None
    assert await read(actor(), TASKS[1], expand=ALL_EXPANSIONS) == seen[TASKS[1]]


async def test_parts_are_shown_that_were_asked_for_and_no_others(read: GetTask) -> None:
    labels = await read(actor(), TASKS[1], expand=frozenset({Expansion.LABELS}))
    assignee = await read(actor(), TASKS[1], expand=frozenset({Expansion.ASSIGNEE}))

    assert (len(labels.labels), labels.assignee) == (2, None)
    assert (assignee.labels, assignee.assignee is None) == ((), False)


async def test_a_list_keeps_what_one_watches_of_what_one_may_still_see(
    listing: ListTasks, begin: Begin, clock: Clock
) -> None:
    assert await found(listing, BEN, watching=True) == set()
    for task_id in TASKS[1:4]:
        await WatchTask(begin, clock)(actor(BEN), task_id)

    assert await found(listing, BEN, watching=True) == set(TASKS[1:4])
    work = begin(actor())
    for membership in await work.memberships.of_user(BEN):
        work.memberships.save(membership.leave(Stamp(NOON, ANNA)))
    await work.commit()
    assert await found(listing, BEN, watching=True) == set()


async def test_filters_by_team_and_by_assignee_find_what_the_reader_may_see(listing: ListTasks) -> None:
    assert await found(listing, ANNA, TaskFilter(team_ids=(TEAM,))) == set(TASKS)
    assert await found(listing, STRANGER, TaskFilter(team_ids=(TEAM,))) == set()
    assert await found(listing, ANNA, TaskFilter(team_ids=(numbered_id(1),))) == set()
    assert await found(listing, ANNA, TaskFilter(assignee_ids=(ASSIGNEE,))) == {TASKS[0]}
    assert await found(listing, BEN, TaskFilter(assignee_ids=(TEAM,))) == {TASKS[1]}
    assert await found(listing, ASSIGNEE, TaskFilter(team_ids=(TEAM,))) == {TASKS[0]}
