"""Random faults in an installation whose ownership moves there and back break no promise."""

import time
from collections import Counter

import pytest

from tests.servers.report import note_figures
from tests.unit.adapters.migration.broken_moves import ClosingLate, NeverClosing
from tests.unit.adapters.migration.move_world import MovingService
from tests.unit.adapters.migration.random_moves import run_seed

SEEDS = 25
SEEDS_OF_TORTURE = 1_000
SEEDS_UNTIL_FOUND_MAX = 40


@pytest.mark.parametrize("seeds", [SEEDS, pytest.param(SEEDS_OF_TORTURE, marks=pytest.mark.torture)])
def test_no_random_schedule_breaks_a_promise(seeds: int) -> None:
    began, happened, acknowledged = time.monotonic(), Counter[str](), 0
    findings = []
    for seed in range(seeds):
        run = run_seed(seed)
        findings += [f"seed {seed}: {finding}" for finding in run.findings]
        happened += run.happened
        acknowledged += len(run.acknowledged)
    note_figures(
        "random schedules of moves",
        seeds=seeds,
        acknowledged_writes=acknowledged,
        seconds=round(time.monotonic() - began),
        **{name.replace(" ", "_"): happened[name] for name in ("move", "restore", "end", "ended after")},
    )
    assert findings == []
    assert min(happened[name] for name in ("move", "rehearse", "restore", "reply lost", "ended after")) > 0


@pytest.mark.parametrize("broken", [NeverClosing, ClosingLate], ids=lambda broken: broken.__name__)
def test_random_schedules_find_out_a_move_in_a_wrong_order(broken: type[MovingService]) -> None:
    findings = (run_seed(seed, broken).findings for seed in range(SEEDS_UNTIL_FOUND_MAX))
    assert any("lacks Attempt" in finding for found in findings for finding in found)
