"""The present time."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The present time: aware, UTC, whole milliseconds (some stores keep no more)."""
