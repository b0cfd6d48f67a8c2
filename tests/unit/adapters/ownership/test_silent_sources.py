"""A source that does not answer silences every process in it, and makes none of them a stranger."""

import asyncio

import pytest

from adapters.ownership.comparison import BEAT_SECONDS, LEASE_SECONDS
from adapters.ownership.refusals import Stranger
from domain.errors import StoreUnavailable
from tests.unit.adapters.ownership.world import Service, World, cloned, world_in_memory

BEYOND_LEASE = LEASE_SECONDS + 1


async def test_a_source_that_takes_no_writes_makes_nobody_a_stranger_to_a_newcomer() -> None:
    world = await world_in_memory()
    first = await Service(world, "first").start()
    await world.pass_time(1, first)
    newcomer = Service(world, "newcomer")
    world.source.takes_writes = False
    for _ in range(5):
        await world.pass_time(BEYOND_LEASE, first)
        await _waits(newcomer)
    world.source.takes_writes = True
    await _waits(newcomer)
    await world.pass_time(BEAT_SECONDS, first)
    await newcomer.start()
    assert newcomer.side.refusal is None
    await newcomer.mirror(await newcomer.write(1))


async def test_a_running_process_that_has_to_enter_again_waits_for_a_source_without_answers() -> None:
    world, first, second = await _two_processes()
    await _close_lanes_in_target(world, second)
    world.source.takes_writes = False
    for _ in range(5):
        await world.pass_time(BEYOND_LEASE, first, second)
        with pytest.raises(StoreUnavailable):
            await second.target.compare()
    world.source.takes_writes = True
    await world.pass_time(BEAT_SECONDS, first, second)
    await second.target.compare()
    assert second.side.refusal is None
    await second.mirror(await second.write(2))


async def test_an_outage_of_the_source_under_a_running_process_makes_nobody_a_stranger() -> None:
    world, first, second = await _two_processes()
    await _close_lanes_in_target(world, second)
    world.source.is_down = True
    await world.pass_time(60, first, second)
    world.source.is_down = False
    with pytest.raises(StoreUnavailable, match="This one waits"):
        await second.target.compare()
    await world.pass_time(BEAT_SECONDS, first, second)
    await second.target.compare()
    assert second.side.refusal is None


async def test_a_source_that_answers_later_than_a_beat_makes_nobody_a_stranger() -> None:
    world = await world_in_memory()
    first = await Service(world, "first").start()
    await world.pass_time(BEAT_SECONDS, first)
    newcomer = Service(world, "newcomer")

    async def take_long(_: str) -> None:
        await world.pass_time(BEAT_SECONDS + 1)
        await first.target.beat()

    newcomer.raw_source.before = take_long
    await _silence_in_source(world, first)
    await _waits(newcomer)
    await _silence_in_source(world, first)
    await _waits(newcomer)


async def test_a_comparison_that_is_given_up_makes_nobody_a_stranger() -> None:
    world, first, second = await _two_processes()
    await _close_lanes_in_target(world, second)
    await world.pass_time(BEYOND_LEASE)
    await first.target.beat()
    world.source.answers_positions.clear()
    comparing = asyncio.create_task(second.target.compare())
    await asyncio.sleep(0.01)
    comparing.cancel()
    await asyncio.gather(comparing, return_exceptions=True)
    world.source.answers_positions.set()
    with pytest.raises(StoreUnavailable, match="This one waits"):
        await second.target.compare()
    assert not isinstance(second.side.refusal, Stranger)


async def test_a_stranger_is_refused_once_the_source_has_answered_for_a_lease() -> None:
    world = await world_in_memory()
    original = await Service(world, "original").start()
    copy = await cloned(world)
    clone = Service(copy, "clone")
    copy.source.takes_writes = False
    await world.pass_time(BEYOND_LEASE, original)
    await _waits(clone)
    copy.source.takes_writes = True
    await world.pass_time(BEYOND_LEASE, original)
    with pytest.raises(Stranger, match="host-original"):
        await clone.start()


async def _two_processes() -> tuple[World, Service, Service]:
    world = await world_in_memory()
    first = await Service(world, "first").start()
    await world.pass_time(1, first)
    second = await Service(world, "second").join(first)
    await world.pass_time(BEYOND_LEASE, first, second)
    return world, first, second


async def _close_lanes_in_target(world: World, service: Service) -> None:
    """As a newcomer does that took it for ended."""
    for lanes in (await service.lanes(world.target)).values():
        for lane in lanes:
            if lane.by.process == service.side.me.process:
                await world.target.store.close_lane(lane.lane)


async def _silence_in_source(world: World, beating_in_target: Service) -> None:
    await world.pass_time(BEYOND_LEASE)
    await beating_in_target.target.beat()


async def _waits(newcomer: Service) -> None:
    with pytest.raises(StoreUnavailable):
        await newcomer.start()
    assert not isinstance(newcomer.side.refusal, Stranger)
