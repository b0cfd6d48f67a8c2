"""Whole migrations with real processes under faults: every acknowledged write survives, and one store is the owner."""

import pytest

from tests.integration.lab.scenario_run import run
from tests.integration.lab.schedule import drawn
from tests.servers.report import note_figures

FROM_MONTY = 3062
"""The coordinator is killed in the cut-over, and the target restored from an older copy before it."""
FROM_MONGO = 1705
"""A service sleeps through the cut-over, and the target is restored from an older copy after the rollback. The stand-in
makes it take minutes on a busy machine.
"""
SEEDS = (FROM_MONTY, pytest.param(FROM_MONGO, marks=pytest.mark.torture))


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_migration_under_faults_keeps_every_acknowledged_write(seed: int) -> None:
    scenario = drawn(seed)
    report = await run(scenario)
    assert report.acknowledged_writes > 0
    note_figures(
        f"migration from {scenario.source}",
        seed=seed,
        faults=list(scenario.described()),
        pauses_ms=list(report.pauses_ms),
        acknowledged_writes=report.acknowledged_writes,
        lost_answers=report.lost_answers,
        seconds=round(report.seconds),
    )
