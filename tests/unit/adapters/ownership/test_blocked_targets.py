"""A table that is missing says nothing about the records, nor that the database is still the same one."""

import pytest

from adapters.records.change_set import Blocked
from adapters.records.record_store import StoreRefused
from tests.unit.adapters.ownership.world import Database, Service, world_in_memory

MISSING = Blocked("tasks", "postgres_tasks", "relation does not exist", sqlstate="42P01")


async def test_an_emptied_target_is_refused_before_its_missing_tables_are_reported() -> None:
    world = await world_in_memory()
    service = await Service(world, "first").start()
    await service.mirror(await service.write(1))
    world.target.put_back((await Database().opened()).copied())
    service.raw_target.blocked = MISSING
    with pytest.raises(StoreRefused, match="was emptied"):
        await service.target.apply(await service.write(2))


async def test_a_blocked_table_of_the_same_target_is_reported() -> None:
    world = await world_in_memory()
    service = await Service(world, "first").start()
    service.raw_target.blocked = MISSING
    assert await service.target.apply(await service.write(1)) == [MISSING]
    world.target.is_down = True
    assert await service.target.apply(await service.write(2)) == [MISSING]
