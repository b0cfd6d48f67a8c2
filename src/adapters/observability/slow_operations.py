"""The newest slow operations, for the log and for the administrators' view."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from loguru import logger

SLOW_OPERATIONS_MAX = 100


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
    """Logs each one and keeps the newest SLOW_OPERATIONS_MAX."""

    def __init__(self) -> None:
        self._kept: deque[SlowOperation] = deque(maxlen=SLOW_OPERATIONS_MAX)

    def note(self, slow: SlowOperation) -> None:
        """Takes one."""
        self._kept.append(slow)
        logger.bind(
            store=slow.store,
            operation=slow.operation,
            collection=slow.collection,
            outcome=slow.outcome,
            duration_ms=slow.duration_ms,
        ).warning("A slow operation of the store.")

    def newest(self) -> tuple[SlowOperation, ...]:
        """Those kept, newest first."""
        return tuple(reversed(self._kept))
