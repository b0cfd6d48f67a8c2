"""The evidence of a finished move: complete, and any later change of the file shows."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from application.ports.migration import CollectionCoverage, MoveStatus, StepTaken, Verification
from domain.migration import Phase
from entrypoints.composition.evidence_file import chained, is_intact, write_evidence

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STEPS = (
    StepTaken(step="backfill", at=AT, by="anna", detail="9 records were read."),
    StepTaken(step="cutover", at=AT, by="ben", detail="Forced: the old server fails"),
    StepTaken(step="cutover", at=AT, by="ben", detail="postgres owns the writes.", pause_ms=12),
)
STATUS = MoveStatus(
    phase=Phase.CUT_OVER,
    epoch=4,
    owner="postgres",
    source="postgres",
    target="monty",
    next_command="",
    steps=STEPS,
    guards=(),
    processes=(),
    collections=(),
    last_rehearsal=None,
    pending=0,
    lag_ms=0,
    is_paused=False,
)
VERIFICATION = Verification(
    mode="FULL",
    started_at=AT,
    ended_at=AT,
    incarnation=1,
    epoch=4,
    collections=(CollectionCoverage(collection="tasks", source=9, target=9, compared=9, differences=0),),
    differences=(),
    difference_count=0,
)

Entries = list[dict[str, Any]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_evidence(tmp_path / "new", STATUS, VERIFICATION, AT)


def entries_of(path: Path) -> Entries:
    entries: Entries = json.loads(path.read_text())["entries"]
    return entries


def test_the_file_has_every_step_the_verification_and_the_end(path: Path) -> None:
    *steps, verification, end = entries_of(path)
    assert [(one["step"], one["by"], one["detail"]) for one in steps] == [
        (one.step, one.by, one.detail) for one in STEPS
    ]
    assert steps[-1]["pause_ms"] == 12
    assert verification["verification"]["collections"][0]["compared"] == 9
    assert (end["owner"], end["epoch"]) == ("postgres", 4)
    assert path.name == "move-evidence-20260102T030405Z.json"
    assert is_intact(path)


def _rename(entries: Entries) -> None:
    entries[1]["by"] = "anna"


def _change_inside(entries: Entries) -> None:
    entries[3]["verification"]["collections"][0]["differences"] = 1


def _rehash(entries: Entries) -> None:
    entries[1]["by"] = "anna"
    (alone,) = chained([{key: value for key, value in entries[1].items() if key not in ("hash", "previous")}])
    entries[1]["hash"] = alone["hash"]


def _remove_first(entries: Entries) -> None:
    del entries[0]


def _remove_inner(entries: Entries) -> None:
    del entries[2]


def _remove_end(entries: Entries) -> None:
    del entries[-1]


def _swap(entries: Entries) -> None:
    entries[0], entries[1] = entries[1], entries[0]


def _repeat(entries: Entries) -> None:
    entries.insert(1, dict(entries[0]))


def _add(entries: Entries) -> None:
    entries[0]["note"] = "nothing"


CHANGES = [_rename, _change_inside, _rehash, _remove_first, _remove_inner, _remove_end, _swap, _repeat, _add]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_file_is_not_intact(path: Path, change: Callable[[Entries], None]) -> None:
    entries = entries_of(path)
    change(entries)
    path.write_text(json.dumps({"entries": entries}))
    assert not is_intact(path)


def test_a_move_without_a_verification_leaves_a_file_that_says_so(tmp_path: Path) -> None:
    path = write_evidence(tmp_path, STATUS, None, AT)
    assert not [one for one in entries_of(path) if "verification" in one]
    assert is_intact(path)
