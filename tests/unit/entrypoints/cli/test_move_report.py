"""What the commands of the move print for people."""

import pytest

from application.ports.migration import SkippedRecord, Verification
from entrypoints.cli.console import Console
from entrypoints.cli.move_report import print_verification
from entrypoints.http.move_views import plain
from tests.unit.builders import NOON


def test_a_verification_prints_the_skipped_records_with_their_reasons(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = Verification(
        mode="full",
        started_at=NOON,
        ended_at=NOON,
        incarnation=1,
        epoch=1,
        collections=(),
        differences=(),
        difference_count=0,
        skipped=(SkippedRecord(collection="tasks", id="7", reason="A draft."),),
    )
    print_verification(Console(as_json=False), plain(found))
    printed = capsys.readouterr().out
    assert "1 records were skipped by decision" in printed
    assert [word in printed for word in ("tasks", "7", "A draft.")] == [True] * 3
