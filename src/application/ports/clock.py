"""Time, from outside."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The present instant: aware, UTC, whole milliseconds (finer would not survive every store)."""
        ...
