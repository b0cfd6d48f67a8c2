"""Several processes of one installation, and copies of it: who is admitted, who is refused, and for how long."""

import asyncio

import pytest

from adapters.ownership.comparison import LEASE_SECONDS
from adapters.ownership.refusals import Stranger, WritesRefused
from adapters.records.record_store import RecordStore
from domain.errors import StoreUnavailable
from tests.unit.adapters.ownership.world import Service, cloned, world_in_memory

BEYOND_LEASE = LEASE_SECONDS + 1


async def test_a_process_starts_beside_two_idle_ones() -> None:
    world = await world_in_memory()
    first = await Service(world, "first").start()
    await world.pass_time(1, first)
    second = Service(world, "second")
    await world.pass_time(1, first)
    await second.start()
    await world.pass_time(5, first, second)
    third = Service(world, "third")
    with pytest.raises(StoreUnavailable, match="Another copy"):
        await third.start()
    await world.pass_time(2, first, second)
    await third.start()
    assert third.side.refusal is None
    assert set(await second.lanes(world.source)) == {"first", "second", "third"}


async def test_a_process_is_seen_in_the_source_before_it_is_seen_in_the_target() -> None:
    world = await world_in_memory()
    service = Service(world, "first")
    await service.side.enter()
    await service.target.open()
    seen: list[set[str]] = []

    async def look(step: str) -> None:
        if step == "register":
            seen.append(set(await service.lanes(world.source)))

    service.raw_target.before = look
    await service.target.compare()
    assert seen == [{"first"}]


async def test_an_idle_process_stays_visible_after_its_lanes_were_closed() -> None:
    world = await world_in_memory()
    first = await Service(world, "first").start()
    for database in (world.source, world.target):
        for lane in (await database.store.positions()).lanes:
            await database.store.close_lane(lane)
    await first.target.compare()
    for database in (world.source, world.target):
        assert set(await first.lanes(database)) == {"first"}
    await first.mirror(await first.write(1))


async def test_a_write_beside_an_admission_waits_for_it() -> None:
    world = await world_in_memory()
    first = await Service(world, "first").start()
    changes = await first.write(1)
    for lane in (await world.target.store.positions()).lanes:
        await world.target.store.close_lane(lane)
    is_admitting, may_register = asyncio.Event(), asyncio.Event()

    async def hold(step: str) -> None:
        is_admitting.set()
        await may_register.wait()

    first.raw_target.before = hold
    comparing = asyncio.create_task(first.target.compare())
    await is_admitting.wait()
    mirroring = asyncio.create_task(first.mirror(changes))
    await asyncio.sleep(0.01)
    may_register.set()
    await asyncio.gather(comparing, mirroring)
    assert await first.statuses() == ["SYNCED"]


async def test_a_clone_is_refused_and_the_original_goes_on() -> None:
    world = await world_in_memory()
    original = await Service(world, "original").start()
    await original.mirror(await original.write(1))
    clone = Service(await cloned(world), "clone")
    with pytest.raises(StoreUnavailable, match="Another copy"):
        await clone.start()
    await world.pass_time(BEYOND_LEASE, original)
    with pytest.raises(Stranger, match="host-original"):
        await clone.start()
    await original.mirror(await original.write(2))
    assert set(await clone.lanes(world.target)) == {"original"}


async def test_a_clone_neither_migrates_nor_rewrites_the_target() -> None:
    world = await world_in_memory()
    original = await Service(world, "original").start()
    changed: list[str] = []

    async def bring_up(store: RecordStore) -> None:
        changed.append(store.name)

    clone = Service(await cloned(world), "clone", bring_up=bring_up)
    await clone.side.enter()
    await clone.target.open()
    with pytest.raises(StoreUnavailable, match="Another copy"):
        await clone.target.prepare()
    await world.pass_time(BEYOND_LEASE, original)
    with pytest.raises(Stranger):
        await clone.target.prepare()
    assert changed == []


async def test_a_refused_clone_takes_writes_once_the_other_one_has_ended() -> None:
    world = await world_in_memory()
    original = await Service(world, "original").start()
    clone = await _refused_clone(original)
    with pytest.raises(WritesRefused, match="host-original"):
        await clone.write(7)
    await original.stop()
    await clone.target.compare()
    await clone.write(7)
    assert clone.side.refusal is None


async def test_a_clone_does_not_start_during_an_outage_in_which_the_original_could_not_beat() -> None:
    world = await world_in_memory()
    original = await Service(world, "original").start()
    clone = Service(await cloned(world), "clone")
    world.target.is_down = True
    await world.pass_time(60, original)
    world.target.is_down = False
    with pytest.raises(StoreUnavailable, match="Another copy"):
        await clone.start()
    await world.pass_time(BEYOND_LEASE, original)
    with pytest.raises(Stranger):
        await clone.start()


async def test_a_process_that_slept_beyond_its_lease_finds_its_successor() -> None:
    world = await world_in_memory()
    asleep = await Service(world, "asleep").start()
    clone = Service(await cloned(world), "clone")
    with pytest.raises(StoreUnavailable):
        await clone.start()
    await world.pass_time(BEYOND_LEASE)
    await clone.start()
    written = await asleep.write(1)
    with pytest.raises((Stranger, StoreUnavailable), match="Another copy"):
        await asleep.mirror(written)
    await world.pass_time(BEYOND_LEASE, clone)
    with pytest.raises(Stranger, match="host-clone"):
        await asleep.target.compare()


async def test_a_process_that_suspected_another_copy_starts_when_the_target_goes_and_takes_no_writes() -> (
    None
):
    world = await world_in_memory()
    original = await Service(world, "original").start()
    clone = Service(await cloned(world), "clone")
    with pytest.raises(StoreUnavailable):
        await clone.start()
    world.target.is_down = True
    await clone.start()
    with pytest.raises(WritesRefused, match="cannot be reached"):
        await clone.write(7)
    world.target.is_down = False
    await original.stop()
    await clone.target.compare()
    await clone.write(7)


async def _refused_clone(original: Service) -> Service:
    """A clone that started while the target was down, and met the original later."""
    world = original.world
    world.target.is_down = True
    clone = await Service(await cloned(world), "clone").start()
    world.target.is_down = False
    await clone.target.open()
    with pytest.raises(StoreUnavailable):
        await clone.target.compare()
    await world.pass_time(BEYOND_LEASE, original)
    with pytest.raises(Stranger):
        await clone.target.compare()
    return clone
