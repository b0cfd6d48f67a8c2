"""An empty store takes the place of a lost target, and gets everything that was delivered before."""

import itertools
from dataclasses import replace

import pytest

from adapters.migration.new_target import take_new_target
from adapters.ownership.control import Role
from adapters.records.record_store import RecordStore, StoreRefused
from domain.errors import Conflict
from domain.migration import Phase, Route
from tests.unit.adapters.migration.move_world import Calls, Ended, MovingService, ownership_of, task_ids
from tests.unit.adapters.ownership.world import Database, World, world_in_memory
from tests.unit.contracts.builders import commit_all, task


async def test_everything_that_was_delivered_is_delivered_to_the_new_target() -> None:
    world = await _emptied()
    service = await _refused(world)
    await take_new_target(service.side, service.raw_target, bring_up=_prepared)
    await service.target.open()
    await service.target.prepare()
    assert await service.undelivered() == 4
    await service.deliver()
    assert await task_ids(world.target) == await task_ids(world.source)
    await service.target.compare()
    assert await service.undelivered() == 0


async def test_what_was_known_of_the_lost_target_is_void() -> None:
    world = await _emptied()
    service = await _refused(world)
    routes = {"tasks": Route(target_percent=5)}
    await service.side.change(lambda now: replace(now, phase=Phase.READING, routes=routes))
    before = await ownership_of(world.source)
    await take_new_target(service.side, service.raw_target, bring_up=_prepared)
    owner, mirror = await ownership_of(world.source), await ownership_of(world.target)
    assert before.peer is not None
    assert owner.peer is not None
    assert owner.peer.incarnation == before.peer.incarnation + 1
    assert (owner.phase, owner.routes) == (Phase.MIRRORING, {})
    assert (mirror.role, mirror.installation) == (Role.MIRROR, owner.installation)


async def test_a_filled_store_is_not_taken() -> None:
    world = await _emptied()
    await commit_all(world.target.store, "tasks", task(70))
    service = await _refused(world)
    before = await ownership_of(world.source)
    with pytest.raises(Conflict, match="holds records"):
        await take_new_target(service.side, service.raw_target, bring_up=_prepared)
    assert await ownership_of(world.source) == before
    assert await task_ids(world.target) == {task(70)["id"]}


async def test_the_target_in_use_is_not_taken() -> None:
    world = await world_in_memory()
    service = await MovingService(world, "first").start()
    await service.mirror(await service.write(1))
    with pytest.raises(Conflict, match="mirror of installation"):
        await take_new_target(service.side, service.raw_target, bring_up=_prepared)


async def test_it_can_be_repeated_after_it_ended_at_any_call() -> None:
    world = await _emptied()
    service = await _refused(world)
    first = service.calls.count
    await take_new_target(service.side, service.raw_target, bring_up=_prepared)
    calls = range(first + 1, service.calls.count + 1)
    for at, is_late in itertools.product(calls, (False, True)):
        world = await _emptied()
        service = await _refused(world, Calls(at, is_late=is_late))
        with pytest.raises(Ended):
            await take_new_target(service.side, service.raw_target, bring_up=_prepared)
        successor = MovingService(world, "second")
        await successor.side.enter()
        await world.pass_time(9)
        if not await _is_entered(world.target):
            await successor.side.open_gate(await successor.side.required())
            await take_new_target(successor.side, successor.raw_target, bring_up=_prepared)
        await successor.target.open()
        await successor.target.prepare()
        await successor.deliver()
        assert await task_ids(world.target) == await task_ids(world.source), (at, is_late)


async def _emptied() -> World:
    """A source with four tasks that were delivered, and an empty store in place of its target."""
    world = await world_in_memory()
    service = await MovingService(world, "first").start()
    await service.mirror(await service.write(1, 2, 3, 4))
    await service.stop()
    world.target.put_back((await Database().opened()).copied())
    return world


async def _refused(world: World, calls: Calls | None = None) -> MovingService:
    """A process that takes writes, and whose target is refused."""
    service = MovingService(world, "later", calls=calls)
    await service.side.enter()
    with pytest.raises(StoreRefused, match="tandem move backfill --new-target"):
        await service.target.open()
    await service.side.begin_writes()
    return service


async def _is_entered(database: Database) -> bool:
    try:
        await ownership_of(database)
    except AssertionError:
        return False
    return True


async def _prepared(store: RecordStore) -> None:
    await store.prepare()
