"""Every event at every call of a move breaks no promise; a move whose order is wrong breaks one, and is found out."""

from contextlib import suppress

import pytest

from domain.errors import StoreUnavailable
from tests.servers.report import note_figures
from tests.unit.adapters.migration.broken_moves import (
    BarrierFirst,
    ClosingLate,
    MirrorArmedLater,
    NeverClosing,
    OpenedFirst,
    SuccessorNotCompared,
    UndoneAfterTheDecision,
    UndoneInTheSameEpoch,
)
from tests.unit.adapters.migration.move_schedules import SILENT_SECONDS, Event, explore
from tests.unit.adapters.migration.move_world import SECOND, MovingService, opposite, task_ids
from tests.unit.adapters.ownership.world import World, world_in_memory
from tests.unit.contracts.builders import task

ACKNOWLEDGED = 50

BROKEN = {
    NeverClosing: (Event.WRITER_WAKES, "acknowledged writes are missing"),
    ClosingLate: (Event.OTHERS_WRITE, "acknowledged writes are missing"),
    BarrierFirst: (Event.OTHERS_WRITE, "acknowledged writes are missing"),
    OpenedFirst: (Event.FAILS, "both stores take writes"),
    MirrorArmedLater: (Event.SLEEPS_AFTER, "does not mirror to the former one"),
    UndoneAfterTheDecision: (Event.LOSES_REPLY, "both stores take writes"),
    UndoneInTheSameEpoch: (Event.ENDS_AFTER, "the ownership cannot move any more"),
}
"""Each wrong order, the event that shows what is wrong with it, and the promise that is broken."""


async def test_no_schedule_breaks_a_promise() -> None:
    schedules, findings = await explore(MovingService, tuple(Event))
    note_figures("schedules of a move", explored=schedules)
    assert findings == []
    assert schedules > 200


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_a_move_in_a_wrong_order_is_found_out(broken: type[MovingService]) -> None:
    event, words = BROKEN[broken]
    schedules, findings = await explore(broken, (event,))
    assert any(words in finding for finding in findings), (schedules, findings)


async def test_a_successor_that_lacks_what_the_former_owner_has_seen_there_takes_no_writes() -> None:
    world, later = await _restored_successor(MovingService)
    with pytest.raises(StoreUnavailable, match="older copy"):
        await later.compare_successor()
    assert not await _is_acknowledged_write_kept(world)


async def test_without_that_comparison_a_restored_successor_takes_writes_and_an_acknowledged_one_is_gone() -> (
    None
):
    world, later = await _restored_successor(SuccessorNotCompared)
    await later.compare_successor()
    await later.side.take_over()
    await later.write(99)
    assert not await _is_acknowledged_write_kept(world)


async def _restored_successor(kind: type[MovingService]) -> tuple[World, MovingService]:
    """The ownership moved, somebody wrote and mirrored to the former owner; then the new one is restored to the moment
    at which it was armed. Returns a process that starts now.
    """
    world = await world_in_memory()
    first = MovingService(world, "first")
    await first.start()
    await first.mirror(await first.write(1, 2, 3))
    await first.change().run()
    older = world.target.copied()
    second = MovingService(opposite(world), "second", source=SECOND)
    await second.compare_successor()
    await second.side.take_over()
    written = await second.write(ACKNOWLEDGED)
    with suppress(StoreUnavailable):
        # It waits until it has not heard the process that ended for long enough.
        await second.start()
    await world.pass_time(SILENT_SECONDS)
    await second.start()
    await second.mirror(written)
    world.target.put_back(older)
    return world, kind(opposite(world), "later", source=SECOND)


async def _is_acknowledged_write_kept(world: World) -> bool:
    return str(task(ACKNOWLEDGED)["id"]) in await task_ids(world.target)
