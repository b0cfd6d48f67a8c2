"""The target as the last store left: it becomes the owner, and gets a new mirror."""

import itertools

import pytest

from adapters.migration.survival import survive
from adapters.ownership.control import Gate, Role
from adapters.ownership.refusals import StaleOwner
from domain.errors import Conflict
from domain.migration import Phase
from tests.unit.adapters.migration.move_world import (
    FIRST,
    SECOND,
    Calls,
    Ended,
    MovingService,
    opposite,
    ownership_of,
    takes_writes,
    task_ids,
)
from tests.unit.adapters.ownership.world import Database, World, world_in_memory


async def test_the_target_becomes_the_owner_and_fills_a_new_mirror() -> None:
    world = await _lost()
    probe = MovingService(world, "operator")
    owner = await survive(probe.raw_target, None, by=probe.side.me)
    assert (owner.role, owner.gate, owner.owner, owner.mirror_to) == (Role.OWNER, Gate.OPEN, SECOND, FIRST)
    assert owner.phase is Phase.MIRRORING
    service = MovingService(opposite(world), "second", source=SECOND)
    await service.side.enter()
    await service.target.open()
    await service.target.prepare()
    await service.side.begin_writes()
    await service.write(9)
    await service.deliver()
    assert await task_ids(world.source) == await task_ids(world.target)
    # Entries of the lost source that arrive from its successor say nothing about the successor's age.
    await service.target.compare()
    await service.write(10)


async def test_a_source_that_comes_back_after_it_was_given_up_takes_no_writes() -> None:
    world = await world_in_memory()
    service = await MovingService(world, "first").start()
    await service.mirror(await service.write(1))
    await service.stop()
    probe = MovingService(world, "operator")
    await survive(probe.raw_target, None, by=probe.side.me)
    returned = MovingService(world, "returned")
    await returned.side.enter()
    with pytest.raises(StaleOwner, match="STORE=postgres"):
        await returned.target.open()
    with pytest.raises(StaleOwner):
        await returned.side.begin_writes()
    assert await task_ids(world.source) == await task_ids(world.target)


async def test_a_source_that_lacks_nothing_is_not_given_up() -> None:
    world = await world_in_memory()
    service = await MovingService(world, "first").start()
    await service.mirror(await service.write(1))
    probe = MovingService(world, "operator")
    with pytest.raises(Conflict, match="tandem move cutover"):
        await survive(probe.raw_target, probe.raw_source, by=probe.side.me)
    await service.write(2)


async def test_it_can_be_repeated_after_it_ended_at_any_call_and_never_do_both_own() -> None:
    world = await _older()
    service = MovingService(world, "operator")
    await survive(service.raw_target, service.raw_source, by=service.side.me)
    calls = range(1, service.calls.count + 1)
    for at, is_late in itertools.product(calls, (False, True)):
        world = await _older()
        service = MovingService(world, "operator", calls=Calls(at, is_late=is_late))
        with pytest.raises(Ended):
            await survive(service.raw_target, service.raw_source, by=service.side.me)
        former, owner = await ownership_of(world.source), await ownership_of(world.target)
        assert not (takes_writes(former, owner) and takes_writes(owner, former)), (at, is_late)
        again = MovingService(world, "again")
        if owner.role is Role.MIRROR:
            await survive(again.raw_target, again.raw_source, by=again.side.me)
        former, owner = await ownership_of(world.source), await ownership_of(world.target)
        assert (former.role, owner.role, owner.gate) == (Role.RETIRED, Role.OWNER, Gate.OPEN), (at, is_late)


async def _lost() -> World:
    """A target with two tasks, beside an empty store in place of its source."""
    world = await world_in_memory()
    service = await MovingService(world, "first").start()
    await service.mirror(await service.write(1, 2))
    await service.stop()
    world.source.put_back((await Database().opened()).copied())
    return world


async def _older() -> World:
    """A source that is an older copy of itself and may be given up."""
    world = await world_in_memory()
    service = await MovingService(world, "first").start()
    await service.mirror(await service.write(1))
    older = world.source.copied()
    await service.mirror(await service.write(2))
    await service.stop()
    world.source.put_back(older)
    return world
