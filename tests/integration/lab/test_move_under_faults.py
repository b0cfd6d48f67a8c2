"""Whole migrations with real processes under faults: every acknowledged write survives, and one store is the owner."""

import pytest

from tests.integration.lab.scenario_run import run
from tests.integration.lab.schedule import drawn
from tests.servers.report import note_figures

SEEDS = (3062, 1705)
"""From MontyDB, with the coordinator killed in the cut-over; from MongoDB, with a service that sleeps through it. Both
restore a target from an older copy.
"""


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
