"""Every event at every call of a move breaks no promise; a move whose order is wrong breaks one, and is found out."""

import pytest

from tests.servers.report import note_figures
from tests.unit.adapters.migration.broken_moves import (
    BarrierFirst,
    ClosingLate,
    MirrorArmedLater,
    NeverClosing,
    NotComparedWhenArmed,
    OpenedFirst,
    UndoneAfterTheDecision,
    UndoneInTheSameEpoch,
)
from tests.unit.adapters.migration.move_schedules import explore
from tests.unit.adapters.migration.move_world import MovingService

BROKEN = {
    NeverClosing: "acknowledged writes are missing",
    ClosingLate: "acknowledged writes are missing",
    BarrierFirst: "acknowledged writes are missing",
    OpenedFirst: "both stores take writes",
    MirrorArmedLater: "does not mirror to the former one",
    UndoneAfterTheDecision: "both stores take writes",
    UndoneInTheSameEpoch: "the ownership cannot move any more",
    NotComparedWhenArmed: "acknowledged writes are missing",
}


async def test_no_schedule_breaks_a_promise() -> None:
    schedules, findings = await explore(MovingService)
    note_figures("schedules of a move", explored=schedules)
    assert findings == []
    assert schedules > 200


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_a_move_in_a_wrong_order_is_found_out(broken: type[MovingService]) -> None:
    schedules, findings = await explore(broken, until_found=True)
    assert any(BROKEN[broken] in finding for finding in findings), (schedules, findings)
