"""The newest slow operations, for the log and for the administrators' view."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from loguru import logger

SLOW_OPERATIONS_MAX = 100
TELL_EVERY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowOperation:
    """What took long, and when it ended: which operation on which collection, never with which values."""

    at: datetime
    store: str
    operation: str
    collection: str
    outcome: str
    duration_ms: float


class SlowOperations:
    """Keeps the newest SLOW_OPERATIONS_MAX and logs at most one a second, with how many there were since the last.

    When everything is slow, telling each would make it slower and bury the rest of the log.
    """

    def __init__(self) -> None:
        self._kept: deque[SlowOperation] = deque(maxlen=SLOW_OPERATIONS_MAX)
        self._told_at: datetime | None = None
        self._untold = 0

    def note(self, slow: SlowOperation) -> None:
        """Takes one."""
        self._kept.append(slow)
        self._untold += 1
        if self._told_at is not None and abs(slow.at - self._told_at) < TELL_EVERY:
            return
        untold, self._untold, self._told_at = self._untold, 0, slow.at
        logger.bind(
            count=untold,
            store=slow.store,
            operation=slow.operation,
            collection=slow.collection,
            outcome=slow.outcome,
            duration_ms=slow.duration_ms,
        ).warning("A slow operation of the store.")

    def newest(self) -> tuple[SlowOperation, ...]:
        """Those kept, newest first."""
        return tuple(reversed(self._kept))
