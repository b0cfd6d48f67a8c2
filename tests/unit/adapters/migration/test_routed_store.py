"""Who answers a read: the target where the route says so, and the source wherever a promise would break otherwise."""

import asyncio

import pytest

from adapters.migration.own_writes import UNTIL_MS, Unconfirmed
from adapters.migration.routed_store import READ_TIMEOUT_MS, Fallback
from adapters.migration.undelivered_watch import LAG_LOOK_SECONDS_MAX, LAG_MS_MAX, LISTED_MAX
from adapters.records.criteria import EVERYTHING, Question
from domain.migration import Route
from tests.unit.adapters.migration.routed_world import (
    ALL_TO_TARGET,
    OUTAGE,
    READER,
    WRITER,
    RoutedWorld,
)
from tests.unit.builders import numbered_id

AUTHOR = "c" * 24


async def routed_world(*, is_shared: bool = True) -> RoutedWorld:
    """A world with one delivered task, whose target answers everybody."""
    world = RoutedWorld(is_shared=is_shared)
    await world.write(1, by=AUTHOR)
    await world.deliver()
    await world.route(ALL_TO_TARGET)
    return world


def fallbacks(world: RoutedWorld) -> dict[tuple[str, str], int]:
    return dict(world.store.fallbacks)


async def test_the_target_answers_every_kind_of_read_of_a_routed_collection() -> None:
    world = await routed_world()
    kinds = {
        "fetch": lambda: world.store.fetch("tasks", [numbered_id(1)]),
        "gather": lambda: world.store.gather({"tasks": [numbered_id(1)]}),
        "find": lambda: world.store.find(Question(collection="tasks", limit=5)),
        "count": lambda: world.store.count("tasks", EVERYTHING),
    }
    world.source.trouble = OUTAGE
    for read in kinds.values():
        assert await world.read(read, by=READER, read_after=Unconfirmed())
    assert world.store.answered == {"tasks": len(kinds)}
    assert fallbacks(world) == {}


async def test_without_a_route_the_call_of_the_inner_store_is_handed_on() -> None:
    world = RoutedWorld()
    await world.write(1)
    assert await world.title(1) == "Task 1, 1"
    assert world.source.asked == ["fetch tasks"]
    assert world.target_store.asked == []


async def test_reads_outside_requests_and_of_writes_ask_the_owner() -> None:
    world = await routed_world()
    assert await world.title(1, by=None) is not None
    assert not world.is_from_target
    assert await world.store.fetch("tasks", [numbered_id(1)])
    assert world.target_store.asked == []


async def test_of_a_read_that_spans_collections_each_goes_its_own_way() -> None:
    world = await routed_world()
    both = {"tasks": [numbered_id(1)], "labels": [numbered_id(1)]}
    found = await world.read(lambda: world.store.gather(both), by=READER, read_after=Unconfirmed())
    assert [*found] == ["tasks", "labels"]
    assert found["tasks"][numbered_id(1)]["title"] == "Task 1, 1"
    assert world.is_from_target
    assert world.source.asked == ["fetch labels"]


async def test_a_caller_outside_the_share_is_answered_by_the_source() -> None:
    world = RoutedWorld()
    await world.write(1)
    await world.deliver()
    await world.route(Route(target_percent=1))
    assert await world.title(1) == "Task 1, 1"
    assert not world.is_from_target
    assert fallbacks(world) == {}


async def test_a_new_route_waits_until_all_processes_know_it() -> None:
    world = RoutedWorld()
    await world.write(1)
    world.routes.learn({"tasks": ALL_TO_TARGET}, asked_at=world.time.seconds)
    await world.watch.look()
    assert await world.title(1) == "Task 1, 1"
    assert fallbacks(world) == {("tasks", Fallback.PROPAGATING): 1}


async def test_an_open_breaker_sends_reads_to_the_source() -> None:
    world = await routed_world()
    world.target.breaker.trip("It is down.")
    assert await world.title(1) == "Task 1, 1"
    assert fallbacks(world) == {("tasks", Fallback.UNAVAILABLE): 1}
    assert world.errors == []


async def test_an_outage_of_the_target_sends_reads_to_the_source() -> None:
    world = await routed_world()
    world.target_store.trouble = OUTAGE
    assert await world.title(1) == "Task 1, 1"
    assert fallbacks(world) == {("tasks", Fallback.UNAVAILABLE): 1}
    assert world.errors == ["tasks"]


async def test_a_target_that_cannot_read_its_record_sends_the_read_to_the_source() -> None:
    world = await routed_world()
    world.target_store.trouble = KeyError("title")
    assert await world.title(1) == "Task 1, 1"
    assert fallbacks(world) == {("tasks", Fallback.ERROR): 1}


async def test_a_slow_target_sends_the_read_to_the_source_in_time() -> None:
    world = await routed_world()
    world.target_store.delay_seconds = 10 * READ_TIMEOUT_MS / 1000
    began = asyncio.get_running_loop().time()
    assert await world.title(1) == "Task 1, 1"
    assert asyncio.get_running_loop().time() - began < 2 * READ_TIMEOUT_MS / 1000
    assert fallbacks(world) == {("tasks", Fallback.SLOW): 1}
    assert not world.target.breaker.is_open


async def test_a_mirror_that_is_too_far_behind_answers_no_reads_of_the_collection() -> None:
    world = await routed_world()
    await world.write(2)
    world.time.seconds += LAG_MS_MAX / 1000 + 1
    world.routes.learn({"tasks": ALL_TO_TARGET}, asked_at=world.time.seconds)
    await world.watch.look()
    assert await world.title(1) == "Task 1, 1"
    assert fallbacks(world) == {("tasks", Fallback.LAG): 1}


async def test_a_lag_that_nobody_has_looked_at_lately_answers_no_reads() -> None:
    world = await routed_world()
    world.time.seconds += LAG_LOOK_SECONDS_MAX + 0.1
    world.routes.learn({"tasks": ALL_TO_TARGET}, asked_at=world.time.seconds)
    await world.title(1)
    assert fallbacks(world) == {("tasks", Fallback.LAG): 1}


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("read_after", [None, Unconfirmed()])
async def test_a_caller_reads_their_own_write_before_the_target_holds_it(
    read_after: Unconfirmed | None, *, is_shared: bool
) -> None:
    world = await routed_world(is_shared=is_shared)
    await world.write(1, version=2)
    assert await world.title(1, by=WRITER, read_after=read_after) == "Task 1, 2"
    assert fallbacks(world) == {("tasks", Fallback.OWN_WRITES): 1}
    assert await world.title(1, by=READER) == "Task 1, 1"
    await world.deliver()
    await world.watch.look()
    assert await world.title(1, by=WRITER, read_after=read_after) == "Task 1, 2"
    assert world.is_from_target
    assert not world.own_writes.of(WRITER)


async def test_a_later_write_that_arrives_first_does_not_hide_an_earlier_one() -> None:
    world = await routed_world()
    await world.write(2)
    later = await world.write(3)
    await world.deliver(later)
    assert await world.title(2, by=WRITER) == "Task 2, 1"
    assert not world.is_from_target


async def test_a_caller_reads_what_they_wrote_through_another_process_by_their_token() -> None:
    here = await routed_world()
    other = RoutedWorld()
    here.mirrored.on_unconfirmed = other.own_writes.note
    entry_id = await here.write(1, version=2)
    assert not here.own_writes.of(WRITER)
    assert await here.title(1, by=WRITER, read_after=other.own_writes.of(WRITER)) == "Task 1, 2"
    assert fallbacks(here) == {("tasks", Fallback.OWN_WRITES): 1}
    await here.deliver(entry_id)
    assert await here.title(1, by=WRITER, read_after=other.own_writes.of(WRITER)) == "Task 1, 2"
    assert here.is_from_target


async def test_a_caller_without_a_token_reads_what_they_wrote_through_another_process() -> None:
    here = await routed_world()
    here.mirrored.on_unconfirmed = lambda _: None
    await here.write(1, version=2)
    here.time.seconds += 0.2
    assert await here.title(1, by=WRITER, read_after=None) == "Task 1, 2"
    await here.watch.look()
    assert await here.title(1, by=WRITER, read_after=None) == "Task 1, 2"
    assert fallbacks(here) == {("tasks", Fallback.OWN_WRITES): 2}
    assert await here.title(1, by=READER, read_after=None) == "Task 1, 1"


async def test_a_backlog_that_is_not_listed_whole_sends_callers_without_a_token_to_the_source() -> None:
    world = await routed_world()
    for number in range(LISTED_MAX):
        await world.write(100 + number)
    await world.watch.look()
    assert await world.title(1, by=READER, read_after=None) == "Task 1, 1"
    assert fallbacks(world) == {("tasks", Fallback.OWN_WRITES): 1}
    assert await world.title(1, by=READER) == "Task 1, 1"
    assert world.is_from_target


async def test_a_caller_with_too_many_writes_is_answered_by_the_source_until_the_time_is_over() -> None:
    world = await routed_world()
    until = round(world.time.now().timestamp() * 1000) + UNTIL_MS
    await world.title(1, read_after=Unconfirmed((), until))
    assert fallbacks(world) == {("tasks", Fallback.OWN_WRITES): 1}
    world.time.seconds += UNTIL_MS / 1000
    await world.route(ALL_TO_TARGET)
    await world.title(1, read_after=Unconfirmed((), until))
    assert world.is_from_target
