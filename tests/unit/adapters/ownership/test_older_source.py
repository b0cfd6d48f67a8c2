"""A source that becomes an older copy of itself under a running process, with and without its target."""

from pathlib import Path

import pytest

from adapters.ownership.refusals import OlderSource, WritesRefused
from tests.unit.adapters.ownership.world import Service, World, world_in_memory


async def test_an_older_source_without_its_target_takes_no_writes(tmp_path: Path) -> None:
    world = await world_in_memory(tmp_path)
    service = await _restored_without_target(world, beats=False)
    with pytest.raises(WritesRefused, match="older than when it was last used"):
        await service.write(4)


async def test_a_process_that_wrote_nothing_learns_from_the_file_that_the_source_is_older(
    tmp_path: Path,
) -> None:
    world = await world_in_memory(tmp_path)
    writer = await Service(world, "writer").start()
    reader = await Service(world, "reader").join(writer)
    older = world.source.copied()
    world.target.is_down = True
    await writer.write(1, 2)
    await world.pass_time(2, writer)
    world.source.put_back(older)
    for lane in (await reader.lanes(world.source))["reader"]:
        await world.source.store.close_lane(lane.lane)
    with pytest.raises(WritesRefused, match="older than when it was last used"):
        await reader.write(3)


async def test_an_idle_process_remembers_what_its_comparisons_found() -> None:
    world = await world_in_memory()
    writer = await Service(world, "writer").start()
    idle = await Service(world, "idle").join(writer)
    older = world.source.copied()
    await writer.mirror(await writer.write(1, 2))
    await idle.target.compare()
    world.target.is_down = True
    world.source.put_back(older)
    for lane in (await idle.lanes(world.source))["idle"]:
        await world.source.store.close_lane(lane.lane)
    with pytest.raises(WritesRefused, match="older than when it was last used"):
        await idle.write(3)


async def test_an_older_source_takes_writes_again_once_the_newest_copy_is_back(tmp_path: Path) -> None:
    world = await world_in_memory(tmp_path)
    service = await Service(world, "first").start()
    await service.mirror(await service.write(1))
    older = world.source.copied()
    await service.mirror(await service.write(2))
    newest = world.source.copied()
    world.source.put_back(older)
    with pytest.raises(WritesRefused, match="older copy of itself"):
        await service.write(3)
    with pytest.raises(OlderSource):
        await service.target.compare()
    world.source.put_back(newest)
    await service.target.compare()
    await service.write(3)
    assert service.side.refusal is None


async def test_an_unproven_source_takes_writes_again_once_it_was_compared(tmp_path: Path) -> None:
    world = await world_in_memory(tmp_path)
    service = await _restored_without_target(world, beats=True)
    with pytest.raises(WritesRefused):
        await service.write(4)
    world.target.is_down = False
    await service.target.compare()
    await service.mirror(await service.write(4))
    assert service.side.refusal is None


async def test_many_writes_that_lost_their_lanes_enter_once(tmp_path: Path) -> None:
    world = await world_in_memory(tmp_path)
    service = await Service(world, "first").start()
    await service.write(1)
    other = Service(world, "second")
    await other.side.enter()
    await other.side.change(lambda now: now)
    for lane in (await world.source.store.positions()).lanes:
        await world.source.store.close_lane(lane)
    await service.write(2, 3)
    assert await service.statuses() == ["PENDING"] * 3


async def _restored_without_target(world: World, *, beats: bool) -> Service:
    """A process whose source was put back to an older copy; what was lost had not reached the target."""
    service = await Service(world, "first").start()
    await service.mirror(await service.write(1))
    older = world.source.copied()
    await service.write(2, 3)
    if beats:
        await service.beat()
    world.target.is_down = True
    world.source.put_back(older)
    return service
