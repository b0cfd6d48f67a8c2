"""Many closed lanes do not slow a comparison down, and no older copy hides behind them."""

import asyncio
from pathlib import Path

import pytest

from adapters.ownership.checkpoints import CHECKPOINT_AT, CHECKPOINT_SECONDS_MIN
from adapters.ownership.refusals import OlderSource
from adapters.records.lane_slots import new_lane
from tests.unit.adapters.ownership.world import Database, Service, World, world_in_memory


async def test_many_closed_lanes_are_checkpointed_and_not_read_any_more(tmp_path: Path) -> None:
    _, service = await _checkpointed(tmp_path)
    for store in (service.raw_source, service.raw_target):
        compared, every = await store.positions(), await store.positions(with_checkpointed=True)
        assert len(every.lanes) > CHECKPOINT_AT
        assert len(compared.lanes) + len(compared.seen) < 10
    await service.mirror(await service.write(9))
    await service.target.compare()
    assert await service.statuses() == ["SYNCED"] * 3


async def test_a_backlog_of_checkpointed_lanes_adds_no_row_in_every_comparison(tmp_path: Path) -> None:
    world = await world_in_memory(tmp_path)
    service = await Service(world, "first").start()
    backlog = await service.write(1, 2, 3, 4)
    await _close_lanes(world.source)
    await service.target.compare()
    rows = len((await service.raw_source.positions(with_checkpointed=True)).lanes)
    for late in backlog:
        await service.mirror([late])
        await service.target.compare()
    assert len((await service.raw_source.positions(with_checkpointed=True)).lanes) == rows
    await world.pass_time(CHECKPOINT_SECONDS_MIN, service)
    await service.target.compare()
    assert len((await service.raw_source.positions(with_checkpointed=True)).lanes) == rows + 1
    assert await service.statuses() == ["SYNCED"] * 4


async def test_an_older_target_is_completed_though_its_lanes_were_checkpointed(tmp_path: Path) -> None:
    world, service = await _checkpointed(tmp_path, restores="target")
    await service.target.compare()
    assert await service.statuses() == ["SYNCED", "PENDING"]
    await service.mirror(await service.write(9))
    await _close_lanes(world.target)
    await world.pass_time(CHECKPOINT_SECONDS_MIN, service)
    await service.target.compare()
    compared = await service.raw_source.positions(), await service.raw_target.positions()
    assert all(len(one.lanes) + len(one.seen) < 10 for one in compared)


async def test_an_older_source_takes_no_writes_though_its_lanes_were_checkpointed(tmp_path: Path) -> None:
    _, service = await _checkpointed(tmp_path, restores="source")
    with pytest.raises(OlderSource):
        await service.target.compare()


async def _checkpointed(directory: Path, *, restores: str | None = None) -> tuple[World, Service]:
    """A process that mirrored two writes by lanes that are checkpointed; one store is put back to before the second."""
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
    """Closes the lanes of all processes, and adds as many closed ones as one checkpoint needs."""
    store = database.store
    for lane in (await store.positions()).lanes.values():
        if lane.is_open:
            await store.close_lane(lane.lane)
    await asyncio.gather(*(store.add_checkpoint({}, checkpoint=new_lane()) for _ in range(CHECKPOINT_AT)))
