"""The ownership moves as a whole or not at all, at whichever call its coordinator ends or sleeps."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from adapters.migration.following import SourceState, owner_among, source_state
from adapters.migration.ownership_change import NotDelivered
from adapters.ownership.control import Gate, Role
from adapters.ownership.source_moves import begin_move
from adapters.records.adoption_state import ADOPTION_QUARANTINE, IS_RESOLVED
from adapters.records.control_records import controls_with, write_control
from domain.errors import Conflict, StoreUnavailable
from domain.migration import Phase
from tests.servers.report import note_figures
from tests.unit.adapters.migration.move_world import (
    FIRST,
    LATER,
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

SILENT_SECONDS = 20.0
DOCUMENT = f"{ADOPTION_QUARANTINE}tasks:1"


async def test_a_move_makes_the_target_the_owner_and_the_source_its_mirror() -> None:
    world = await world_in_memory()
    service = await _started(world)
    await service.change().run()
    former, owner = await ownership_of(world.source), await ownership_of(world.target)
    assert (former.role, former.gate, former.owner) == (Role.MIRROR, Gate.CLOSED, SECOND)
    assert (owner.role, owner.mirror_to, owner.epoch) == (Role.OWNER, FIRST, former.epoch)
    assert owner.phase is Phase.CUT_OVER
    assert await task_ids(world.target) == await task_ids(world.source)


async def test_writes_of_the_former_owner_are_stored_nowhere() -> None:
    world = await world_in_memory()
    service = await _started(world)
    other = await MovingService(world, "other").join(service)
    await service.change().run()
    before = await task_ids(world.source)
    with pytest.raises(StoreUnavailable):
        await other.write(50)
    assert await task_ids(world.source) == before


async def test_a_rejected_entry_keeps_the_writes_where_they_are() -> None:
    world = await world_in_memory()
    service = await _started(world)
    service.deliver = _nothing  # type: ignore[method-assign]
    await service.write(9)
    with pytest.raises(NotDelivered, match="tandem sync failures"):
        await service.change().run()
    assert takes_writes(await ownership_of(world.source), await ownership_of(world.target))
    await service.write(10)


async def test_documents_in_quarantine_are_copied_before_writes_have_to_wait() -> None:
    world = await world_in_memory()
    service = await _started(world)
    seen: list[set[str]] = []

    @asynccontextmanager
    async def hold() -> AsyncIterator[None]:
        seen.append(await _quarantined_in(world.target))
        yield

    await replace(service.change(), hold=hold).run()
    assert seen == [{DOCUMENT}]


async def test_of_two_coordinators_one_is_told_who_the_other_is() -> None:
    world = await world_in_memory()
    service = await _started(world)
    await begin_move(service.side, {"id": "1", "to": SECOND, "coordinator": "process 7 on night"})
    with pytest.raises(Conflict, match="process 7 on night"):
        await service.change().run()


async def _calls_of_a_move() -> range:
    """The calls of a whole move, from its first to its last one, counted from the start of the process."""
    world = await world_in_memory()
    service = await _started(world)
    first = service.calls.count
    await service.change().run()
    return range(first + 1, service.calls.count + 1)


async def test_a_coordinator_that_ends_at_any_call_leaves_one_owner_and_every_write() -> None:
    outcomes = {"completed": 0, "undone": 0}
    for at, is_late in itertools.product(await _calls_of_a_move(), (False, True)):
        world = await world_in_memory()
        service = await _started(world, Calls(at, is_late=is_late))
        with pytest.raises(Ended):
            await service.change().run()
        owner = await _succeeded(world)
        outcomes["completed" if owner is world.target else "undone"] += 1
    assert min(outcomes.values()) > 0
    note_figures("a coordinator ended", **outcomes)


async def test_a_coordinator_that_sleeps_at_any_call_and_wakes_later_changes_nothing_any_more() -> None:
    outcomes = {"refused": 0, "moved": 0}
    for at, is_late in itertools.product(await _calls_of_a_move(), (False, True)):
        world = await world_in_memory()
        calls = Calls(at, is_late=is_late, sleeps=True)
        service = await _started(world, calls)
        moving = asyncio.create_task(service.change().run())
        await calls.asleep.wait()
        before = await task_ids(await _succeeded(world))
        calls.awake.set()
        (outcome,) = await asyncio.gather(moving, return_exceptions=True)
        # It may have slept before its first write, and then moved what the other process had written meanwhile.
        assert before <= await task_ids(await _owner(world)), (at, is_late)
        outcomes["refused" if isinstance(outcome, BaseException) else "moved"] += 1
    assert min(outcomes.values()) > 0
    note_figures("a coordinator slept", **outcomes)


async def test_nobody_begins_at_a_former_owner_while_the_new_one_does_not_answer() -> None:
    world = await world_in_memory()
    service = await _started(world)
    await service.change().run()
    probe = MovingService(world, "probe")
    world.target.is_down = True
    with pytest.raises(StoreUnavailable):
        await owner_among(probe.raw_source, probe.raw_target, seconds_max=1)
    world.target.is_down = False
    found = await owner_among(probe.raw_source, probe.raw_target, seconds_max=1)
    assert found is not None
    assert found.store == SECOND


async def test_a_store_that_was_armed_for_a_move_nobody_decided_is_not_taken_for_the_owner() -> None:
    armed = 0
    for at, is_late in itertools.product(range(1, 1_000), (False, True)):
        world = await world_in_memory()
        await (await _started(world)).change().run()
        calls = Calls()
        back = MovingService(opposite(world), "second", source=SECOND, calls=calls)
        await back.compare_successor()
        await back.side.take_over()
        await world.pass_time(SILENT_SECONDS)
        with suppress(StoreUnavailable):
            await back.start()
        await world.pass_time(SILENT_SECONDS, back)
        await back.start()
        calls.stop_at(calls.count + at, is_late=is_late)
        with suppress(Ended):
            await back.change().run()
            break
        probe = MovingService(world, "probe")
        found = await owner_among(probe.raw_source, probe.raw_target, seconds_max=1)
        first, second = await ownership_of(world.source), await ownership_of(world.target)
        armed += first.gate is Gate.ARMED and second.role is Role.OWNER
        assert found == (second if second.role is Role.OWNER else first), (at, is_late)
    assert armed > 0


async def test_a_coordinator_that_sleeps_while_others_undo_its_move_arms_nothing_that_outlives_it() -> None:
    for at, is_late in itertools.product(await _calls_of_a_move(), (False, True)):
        world = await world_in_memory()
        calls = Calls(at, is_late=is_late, sleeps=True)
        service = await _started(world, calls)
        other = await MovingService(world, "second").join(service)
        moving = asyncio.create_task(service.change().run())
        await calls.asleep.wait()
        await other.end_move()
        calls.awake.set()
        await asyncio.gather(moving, return_exceptions=True)
        owner, found = await ownership_of(world.source), await ownership_of(world.target)
        is_mirror = found.role is Role.MIRROR or found.is_left_over_of(owner)
        assert is_mirror or takes_writes(found, owner), (at, is_late, owner, found)


async def _started(world: World, calls: Calls | None = None) -> MovingService:
    """A process that has written and mirrored three tasks, and written one that is not mirrored yet. A document is in
    quarantine.
    """
    service = MovingService(world, "first", calls=calls)
    await service.start()
    await write_control(world.source.store, DOCUMENT, {IS_RESOLVED: False}, over=0)
    await service.mirror(await service.write(1, 2, 3))
    await service.write(4)
    return service


async def _succeeded(world: World) -> Database:
    """Lets another process finish what it finds, and write. Returns the database of the owner."""
    raw = MovingService(world, "probe")
    found = await owner_among(raw.raw_source, raw.raw_target, seconds_max=1)
    assert found is not None
    is_moved = found.store == SECOND
    successor = MovingService(opposite(world) if is_moved else world, "second", source=found.store)
    if is_moved:
        await successor.side.take_over()
    else:
        successor.side.refusal = None
        state = await source_state(successor.side, now=LATER)
        assert state is SourceState.OWNER
        held = await successor.side.required()
        await successor.side.open_gate(held)
        await _admitted(successor)
        assert (await ownership_of(world.target)).role is Role.MIRROR
    owner = await _owner(world)
    assert await _quarantined_in(owner) == {DOCUMENT}
    assert owner is (world.target if is_moved else world.source)
    before = await task_ids(owner)
    assert len(before) == 4, "an acknowledged write is missing"
    await successor.write(99)
    assert len(await task_ids(owner)) == 5
    return owner


async def _quarantined_in(database: Database) -> set[str]:
    return set(await controls_with(database.store, ADOPTION_QUARANTINE))


async def _admitted(service: MovingService) -> None:
    await service.target.open()
    try:
        await service.target.prepare()
    except StoreUnavailable:
        # The coordinator was admitted there.
        await service.world.pass_time(9)
        await service.target.prepare()


async def _owner(world: World) -> Database:
    """The one store that takes writes."""
    first, second = await ownership_of(world.source), await ownership_of(world.target)
    assert takes_writes(first, second) != takes_writes(second, first), (first, second)
    return world.source if takes_writes(first, second) else world.target


async def _nothing() -> None:
    return
