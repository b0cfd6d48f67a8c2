"""What the last removal of expired things did, and how far what crashes cut off is finished, for every process."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRun:
    """One run: when, what had gone into the trash before which instant, and what became of it.

    `removed` counts by collection everything that is gone for good, what went along included; in a dry run what has
    expired, without what would go along. `detached` counts what stays and lost a label, a parent or a team that is
    gone, `kept` what waits for another run: somebody changed it in the same moment, or something in it still lives.
    """

    at: datetime
    cutoff: datetime
    removed: Mapping[str, int]
    detached: int = 0
    kept: int = 0
    is_complete: bool = True
    is_dry_run: bool = False


class RetentionRuns(Protocol):
    """Remembers the last run of the installation, and until when everything that was cut off is finished."""

    async def note(self, run: RetentionRun) -> None:
        """Keeps this run as the last one. Of two at the same moment either may win. Raises StoreUnavailable."""
        ...

    async def last(self) -> RetentionRun | None:
        """The last run, None before the first. Raises StoreUnavailable."""
        ...

    async def note_finished(self, at: datetime) -> None:
        """Keeps that what was cut off before this instant is finished. Raises StoreUnavailable."""
        ...

    async def finished_until(self) -> datetime | None:
        """That instant, None before the first time. Raises StoreUnavailable."""
        ...
