"""A probe reads what the last comparison found; it compares, beats and writes nothing itself."""

import pytest

from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.settings import DualWriteSettings
from adapters.ownership.owned_stores import COMPARED_SECONDS_MAX
from adapters.records.compared import SourceFailed
from domain.errors import StoreUnavailable
from tests.unit.adapters.ownership.world import Service, World, world_in_memory


async def started(world: World) -> tuple[Service, MirrorTarget]:
    service = await Service(world, "first").start()
    target = MirrorTarget(service.target, settings=DualWriteSettings())
    await target.connect()
    return service, target


async def test_a_probe_writes_and_closes_nothing() -> None:
    world = await world_in_memory()
    service, target = await started(world)
    await service.mirror(await service.write(1))
    older = world.target.copied()
    await service.mirror(await service.write(2))
    world.target.put_back(older)
    before = service.raw_source.writes, service.raw_target.writes
    for _ in range(3):
        await target.probe()
        assert await target.is_reachable()
    assert (service.raw_source.writes, service.raw_target.writes) == before
    await target.connect()
    assert await service.statuses() == ["SYNCED", "PENDING"]


async def test_a_probe_repeats_what_the_last_comparison_found() -> None:
    world = await world_in_memory()
    service, target = await started(world)
    await service.mirror(await service.write(1))
    older = world.source.copied()
    await service.mirror(await service.write(2))
    world.source.put_back(older)
    with pytest.raises(StoreUnavailable):
        await target.connect()
    with pytest.raises(StoreUnavailable, match="older copy of itself"):
        await target.probe()


async def test_a_target_is_not_up_before_its_first_comparison() -> None:
    world = await world_in_memory()
    service = Service(world, "first")
    target = MirrorTarget(service.target, settings=DualWriteSettings())
    with pytest.raises(StoreUnavailable, match="not compared with the source yet"):
        await target.probe()
    assert not await target.is_reachable()
    await service.start()
    await target.probe()
    assert await target.is_reachable()


async def test_a_comparison_that_is_too_old_proves_nothing() -> None:
    world = await world_in_memory()
    _, target = await started(world)
    await world.pass_time(COMPARED_SECONDS_MAX + 1)
    with pytest.raises(StoreUnavailable, match="last compared with the source 31 s ago"):
        await target.probe()
    await target.connect()
    await target.probe()


async def test_a_source_that_fails_says_nothing_about_its_target() -> None:
    world = await world_in_memory()
    _, target = await started(world)
    world.source.is_down = True
    with pytest.raises(SourceFailed, match="It is down"):
        await target.connect()
    assert target.breaker.reason is None
    await target.probe()
    await world.pass_time(COMPARED_SECONDS_MAX + 1)
    with pytest.raises(SourceFailed, match="not compared with the source for"):
        await target.probe()
    world.source.is_down = False
    await target.connect()
    await target.probe()


async def test_a_target_that_fails_opens_the_breaker() -> None:
    world = await world_in_memory()
    _, target = await started(world)
    world.target.is_down = True
    with pytest.raises(StoreUnavailable, match="It is down"):
        await target.connect()
    assert target.breaker.reason == "It is down."


async def test_a_source_that_answers_too_slowly_says_nothing_about_its_target() -> None:
    world = await world_in_memory()
    service = await Service(world, "first").start()
    target = MirrorTarget(service.target, settings=DualWriteSettings(probe_timeout_ms=50))
    await target.connect()
    world.source.answers_positions.clear()
    with pytest.raises(StoreUnavailable, match="did not answer within"):
        await target.connect()
    await world.pass_time(COMPARED_SECONDS_MAX + 1)
    with pytest.raises(SourceFailed, match="not compared with the source for"):
        await target.probe()
    assert await target.is_reachable()
    world.source.answers_positions.set()
    await target.connect()
    await target.probe()


async def test_a_target_that_is_too_slow_to_be_compared_is_not_excused_by_its_source() -> None:
    world = await world_in_memory()
    service = await Service(world, "first").start()
    target = MirrorTarget(service.target, settings=DualWriteSettings(probe_timeout_ms=50))
    await target.connect()
    world.target.answers_positions.clear()
    with pytest.raises(StoreUnavailable, match="did not answer within"):
        await target.connect()
    await world.pass_time(COMPARED_SECONDS_MAX + 1)
    with pytest.raises(StoreUnavailable, match="last compared with the source 31 s ago"):
        await target.probe()
    assert not await target.is_reachable()
    world.target.answers_positions.set()
