"""The last purge, and the progress of completing interrupted operations, shared by all processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRun:
    """One purge of the entities that were deleted before `cutoff`.

    `removed` counts removed records by collection, dependent ones included; in a dry run the expired entities alone.
    `detached` counts entities that lost a removed label, parent or team; `kept` those that wait for another run because
    they, or something in them, changed. Nobody knows either before the run, so both are None in a dry run.
    """

    at: datetime
    cutoff: datetime
    removed: Mapping[str, int]
    detached: int | None = 0
    kept: int | None = 0
    is_complete: bool = True
    is_dry_run: bool = False


class RetentionRuns(Protocol):
    """Stores the last run, and the time up to which interrupted operations are complete. All raise StoreUnavailable."""

    async def note(self, run: RetentionRun) -> None:
        """Records this run as the last one; of two concurrent calls either may win."""

    async def last(self) -> RetentionRun | None:
        """The last run, None before the first."""

    async def note_finished(self, at: datetime) -> None:
        """Records that interrupted operations up to this time have been completed."""

    async def finished_until(self) -> datetime | None:
        """That time, None before the first call."""
