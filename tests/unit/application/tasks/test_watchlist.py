import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from application.paging import PageRequest, Sort
from application.ports.clock import Clock
from application.ports.repositories import AuditFilter
from application.ports.unit_of_work import Begin
from application.tasks.details import Part
from application.tasks.watchlist import LOOKED_AT_ONCE, ListWatched, UnwatchTask, WatchedTask, WatchTask
from domain.audit import Action
from domain.entity import Stamp
from domain.errors import Conflict, NotFound
from domain.watch import Watch, watch_id
from tests.unit.builders import ANNA, BEN, NOON, actor, numbered_id
from tests.unit.garden import LABELS, STRANGER, TASKS, TEAM, Garden

NEWEST_FIRST = PageRequest(sort=Sort("updatedAt", descending=True), limit=3)


@pytest.fixture(autouse=True)
async def _garden(begin: Begin) -> None:
    await Garden(begin).plant()


@pytest.fixture
def watch(begin: Begin, clock: Clock) -> WatchTask:
    return WatchTask(begin, clock)


@pytest.fixture
def unwatch(begin: Begin, clock: Clock) -> UnwatchTask:
    return UnwatchTask(begin, clock)


@pytest.fixture
def listing(begin: Begin, clock: Clock) -> ListWatched:
    return ListWatched(begin, clock)


def ids(items: Iterable[WatchedTask]) -> list[str]:
    return [item.seen.id for item in items]


async def history(begin: Begin, user_id: str, task_id: str) -> list[Action]:
    """What happened to a watch, oldest first."""
    wanted = AuditFilter(collection="watchlists", entity_id=watch_id(user_id, task_id))
    page = await begin(actor()).audit.matching(wanted, PageRequest(sort=Sort("version")))
    return [entry.action for entry in page.items]


async def trash(begin: Begin, task_id: str) -> None:
    work = begin(actor())
    work.tasks.save((await work.tasks.get(task_id)).discard(Stamp(NOON, ANNA)))
    await work.commit()


async def leave(begin: Begin, user_id: str) -> None:
    """Somebody leaves every team of his."""
    work = begin(actor())
    for membership in await work.memberships.of_user(user_id):
        work.memberships.save(membership.leave(Stamp(NOON, ANNA)))
    await work.commit()


async def test_watching_twice_is_watching_once(watch: WatchTask, begin: Begin) -> None:
    first = await watch(actor(), TASKS[0])
    again = await watch(actor(), TASKS[0])

    assert first.seen.in_watchlist
    assert again == first
    assert await history(begin, ANNA, TASKS[0]) == [Action.CREATED]


async def test_who_takes_a_task_up_again_watches_it_since_then(
    watch: WatchTask, unwatch: UnwatchTask, listing: ListWatched, begin: Begin
) -> None:
    await watch(actor(), TASKS[0])
    later = await watch(actor(), TASKS[1])
    await unwatch(actor(), TASKS[0])
    await unwatch(actor(), TASKS[0])
    assert ids((await listing(actor(), NEWEST_FIRST)).items) == [TASKS[1]]
    taken_up = await watch(actor(), TASKS[0])

    page = await listing(actor(), NEWEST_FIRST)
    assert [(item.seen.id, item.watched_at) for item in page.items] == [
        (TASKS[0], taken_up.watched_at),
        (TASKS[1], later.watched_at),
    ]
    assert taken_up.watched_at > later.watched_at
    assert await history(begin, ANNA, TASKS[0]) == [Action.CREATED, Action.DELETED, Action.RESTORED]


async def test_many_at_once_who_watch_one_task_for_one_user_make_one_version(
    watch: WatchTask, begin: Begin
) -> None:
    watched = await asyncio.gather(*(watch(actor(), TASKS[0]) for _ in range(4)))

    assert all(one.seen.in_watchlist for one in watched)
    assert await history(begin, ANNA, TASKS[0]) == [Action.CREATED]


async def test_watchlists_are_each_users_own(watch: WatchTask, listing: ListWatched) -> None:
    await watch(actor(ANNA), TASKS[0])
    await watch(actor(BEN), TASKS[2])

    assert ids((await listing(actor(ANNA), NEWEST_FIRST)).items) == [TASKS[0]]
    assert ids((await listing(actor(BEN), NEWEST_FIRST)).items) == [TASKS[2]]
    assert (await listing(actor(STRANGER), NEWEST_FIRST)).items == []


async def test_nobody_watches_what_he_may_not_see(
    watch: WatchTask, unwatch: UnwatchTask, begin: Begin
) -> None:
    for unknown in (TASKS[0], numbered_id(0xDEAD)):
        with pytest.raises(NotFound):
            await watch(actor(STRANGER), unknown)
        with pytest.raises(NotFound):
            await unwatch(actor(STRANGER), unknown)
    assert await begin(actor()).watches.task_ids_of_user(STRANGER) == ()
    assert await history(begin, STRANGER, TASKS[0]) == []


async def test_what_went_into_the_trash_is_left_out_and_not_taken_up(
    watch: WatchTask, unwatch: UnwatchTask, listing: ListWatched, begin: Begin
) -> None:
    for task_id in TASKS[:2]:
        await watch(actor(), task_id)
    await trash(begin, TASKS[0])
    await trash(begin, TASKS[2])

    assert ids((await listing(actor(), NEWEST_FIRST)).items) == [TASKS[1]]
    with pytest.raises(Conflict):
        await watch(actor(), TASKS[2])
    assert (await watch(actor(), TASKS[0])).seen.task.is_deleted
    await unwatch(actor(), TASKS[0])
    assert await begin(actor()).watches.task_ids_of_user(ANNA) == (TASKS[1],)


async def test_who_leaves_the_team_loses_sight_of_its_tasks_and_may_give_them_up(
    watch: WatchTask, unwatch: UnwatchTask, listing: ListWatched, begin: Begin
) -> None:
    await watch(actor(BEN), TASKS[2])
    await leave(begin, BEN)

    assert (await listing(actor(BEN), NEWEST_FIRST)).items == []
    await unwatch(actor(BEN), TASKS[2])
    assert await begin(actor()).watches.task_ids_of_user(BEN) == ()
    with pytest.raises(NotFound):
        await unwatch(actor(BEN), TASKS[2])


async def test_pages_are_full_and_count_what_is_shown_alone(
    watch: WatchTask, listing: ListWatched, begin: Begin
) -> None:
    for task_id in TASKS[:8]:
        await watch(actor(), task_id)
    for task_id in (TASKS[5], TASKS[6], TASKS[7], TASKS[3], TASKS[0]):
        await trash(begin, task_id)

    first = await listing(actor(), replace(NEWEST_FIRST, limit=2, with_total=True))
    last = await listing(actor(), replace(NEWEST_FIRST, limit=2, after=first.next))

    assert (ids(first.items), first.total) == ([TASKS[4], TASKS[2]], 3)
    assert (ids(last.items), last.next) == ([TASKS[1]], None)


async def test_nothing_follows_where_only_what_is_hidden_would(
    watch: WatchTask, listing: ListWatched, begin: Begin
) -> None:
    for task_id in TASKS[:4]:
        await watch(actor(BEN), task_id)
    for task_id in TASKS[:2]:
        await trash(begin, task_id)

    page = await listing(actor(BEN), replace(NEWEST_FIRST, limit=2, with_total=True))
    assert (ids(page.items), page.next, page.total) == ([TASKS[3], TASKS[2]], None, 2)
    await leave(begin, BEN)
    page = await listing(actor(BEN), replace(NEWEST_FIRST, limit=2, with_total=True))
    assert (ids(page.items), page.next, page.total) == ([], None, 0)


async def test_a_page_goes_on_after_a_watch_that_was_given_up(
    watch: WatchTask, unwatch: UnwatchTask, listing: ListWatched
) -> None:
    for task_id in TASKS[:5]:
        await watch(actor(), task_id)
    first = await listing(actor(), replace(NEWEST_FIRST, limit=2))
    await unwatch(actor(), TASKS[3])

    rest = await listing(actor(), replace(NEWEST_FIRST, limit=3, after=first.next))

    assert (ids(first.items), ids(rest.items)) == ([TASKS[4], TASKS[3]], [TASKS[2], TASKS[1], TASKS[0]])


async def test_one_task_is_found_behind_more_hidden_ones_than_are_looked_at_together(
    watch: WatchTask, listing: ListWatched, begin: Begin
) -> None:
    await watch(actor(), TASKS[0])
    work = begin(actor())
    for number in range(LOOKED_AT_ONCE + 10):
        stamp = Stamp(NOON + timedelta(hours=1, seconds=number), ANNA)
        work.watches.save(Watch.create(stamp, user_id=ANNA, task_id=numbered_id(0xDEAD_0000 + number)))
    await work.commit()

    page = await listing(actor(), replace(NEWEST_FIRST, with_total=True))

    assert (ids(page.items), page.next, page.total) == ([TASKS[0]], None, 1)


async def test_a_watch_of_version_1_that_was_updated_later_keeps_its_place(
    watch: WatchTask, listing: ListWatched, begin: Begin
) -> None:
    brought = Watch.create(Stamp(NOON - timedelta(days=9), ANNA), user_id=ANNA, task_id=TASKS[0])
    work = begin(actor())
    work.watches.save(replace(brought, updated_at=NOON + timedelta(days=9)))
    await work.commit()
    for task_id in TASKS[1:3]:
        await watch(actor(), task_id)

    first = await listing(actor(), replace(NEWEST_FIRST, limit=2))
    last = await listing(actor(), replace(NEWEST_FIRST, limit=2, after=first.next))

    assert ids(first.items) == [TASKS[2], TASKS[1]]
    assert [(item.seen.id, item.watched_at) for item in last.items] == [(TASKS[0], brought.created_at)]


async def test_parts_are_shown_where_they_are_asked_for(watch: WatchTask, listing: ListWatched) -> None:
    await watch(actor(), TASKS[1])

    plain = (await listing(actor(), NEWEST_FIRST)).items[0].seen
    full = (await listing(actor(), NEWEST_FIRST, parts=frozenset(Part))).items[0].seen

    assert (plain.labels, plain.assignee) == ((), None)
    assert [label.id for label in full.labels] == [LABELS[1], LABELS[2]]
    assert full.assignee is not None
    assert (full.assignee.id, full.assignee.name, full.assignee.executor_name) == (
        TEAM,
        "Gardeners",
        "Ben Berg",
    )
