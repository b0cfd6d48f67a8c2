"""Many closed lanes do not slow a comparison down, and no older copy hides behind them."""

import asyncio
from pathlib import Path

import pytest

from adapters.ownership.refusals import OlderSource
from adapters.ownership.settlement import SETTLED_AT
from adapters.records.lane_slots import new_lane
from tests.unit.adapters.ownership.world import Database, Service, World, world_in_memory


async def test_closed_lanes_are_settled_and_not_read_any_more(tmp_path: Path) -> None:
    _, service = await _settled(tmp_path)
    for store in (service.raw_source, service.raw_target):
        in_use, every = await store.positions(), await store.positions(with_settled=True)
        assert len(every.lanes) > SETTLED_AT
        assert len(in_use.lanes) + len(in_use.seen) < 10
    await service.mirror(await service.write(9))
    await service.target.compare()
    assert await service.statuses() == ["SYNCED"] * 3


async def test_an_older_target_is_completed_though_its_lanes_were_settled(tmp_path: Path) -> None:
    world, service = await _settled(tmp_path, restores="target")
    await service.target.compare()
    assert await service.statuses() == ["SYNCED", "PENDING"]
    await service.mirror(await service.write(9))
    await _close_lanes(world.target)
    await service.target.compare()
    in_use = await service.raw_source.positions(), await service.raw_target.positions()
    assert all(len(one.lanes) + len(one.seen) < 10 for one in in_use)


async def test_an_older_source_takes_no_writes_though_its_lanes_were_settled(tmp_path: Path) -> None:
    _, service = await _settled(tmp_path, restores="source")
    with pytest.raises(OlderSource):
        await service.target.compare()


async def _settled(directory: Path, *, restores: str | None = None) -> tuple[World, Service]:
    """A process that mirrored two writes by lanes that are settled; one store is put back to before the second."""
    world = await world_in_memory(directory)
    service = await Service(world, "first").start()
    databases = {"source": world.source, "target": world.target}
    await service.mirror(await service.write(1))
    older = {name: database.copied() for name, database in databases.items()}
    await service.mirror(await service.write(2))
    for database in databases.values():
        await _close_lanes(database)
    await service.target.compare()
    if restores is not None:
        databases[restores].put_back(older[restores])
    return world, service


async def _close_lanes(database: Database) -> None:
    """Closes the lanes of all processes, and adds as many closed ones as are settled together."""
    store = database.store
    for lane in (await store.positions()).lanes.values():
        if lane.is_open:
            await store.close_lane(lane.lane)
    await asyncio.gather(*(store.settle({}, settlement=new_lane()) for _ in range(SETTLED_AT)))
