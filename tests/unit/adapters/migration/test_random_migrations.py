"""Random faults while a target is filled, compared and made the owner lose nothing, also not what has no entries."""

import time
from collections import Counter

import pytest

from tests.servers.report import note_figures
from tests.unit.adapters.migration.random_migrations import (
    RandomMigration,
    WithOlderEvidence,
    WithoutEvidence,
)
from tests.unit.adapters.migration.random_moves import ended

SEEDS = 20
SEEDS_OF_TORTURE = 1_000
SEEDS_UNTIL_FOUND_MAX = 60
DEEDS = ("prepare", "verified clean", "move", "restore")
FAULTS = ("failed", "reply lost", "ended before", "ended after")


@pytest.mark.parametrize("seeds", [SEEDS, pytest.param(SEEDS_OF_TORTURE, marks=pytest.mark.torture)])
def test_no_random_schedule_of_a_migration_breaks_a_promise(seeds: int) -> None:
    began, happened, acknowledged = time.monotonic(), Counter[str](), 0
    findings = []
    for seed in range(seeds):
        run = ended(RandomMigration(seed))
        findings += [f"seed {seed}: {finding}" for finding in run.findings]
        happened += run.happened
        acknowledged += len(run.acknowledged)
    note_figures(
        "random schedules of migrations",
        seeds=seeds,
        acknowledged_writes=acknowledged,
        seconds=round(time.monotonic() - began),
        **{name.replace(" ", "_"): happened[name] for name in (*DEEDS, *FAULTS, "backfill", "verify", "end")},
    )
    assert findings == []
    assert min(happened[name] for name in DEEDS) > 0
    assert sum(happened[name] for name in FAULTS) > 0


@pytest.mark.parametrize("broken", [WithoutEvidence, WithOlderEvidence], ids=lambda broken: broken.__name__)
def test_random_schedules_find_out_a_move_without_evidence_that_holds(broken: type[RandomMigration]) -> None:
    findings = (ended(broken(seed)).findings for seed in range(SEEDS_UNTIL_FOUND_MAX))
    assert any("there before the mirror" in finding for found in findings for finding in found)
