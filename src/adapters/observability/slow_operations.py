"""The newest slow operations, for the log and for the administrators' view."""

from collections import deque
from datetime import datetime, timedelta

from loguru import logger

from application.ports.diagnostics import SlowQuery

SLOW_OPERATIONS_MAX = 100
LOG_EVERY = timedelta(seconds=1)


class SlowOperations:
    """Keeps the newest SLOW_OPERATIONS_MAX, and logs at most one a second with the number since the last message.

    When everything is slow, logging each would make it slower and bury the rest of the log.
    """

    def __init__(self) -> None:
        self._kept: deque[SlowQuery] = deque(maxlen=SLOW_OPERATIONS_MAX)
        self._logged_at: datetime | None = None
        self._unlogged = 0

    def note(self, slow: SlowQuery) -> None:
        """Adds an operation, and logs it unless another was logged less than a second ago."""
        self._kept.append(slow)
        self._unlogged += 1
        if self._logged_at is not None and abs(slow.at - self._logged_at) < LOG_EVERY:
            return
        unlogged, self._unlogged, self._logged_at = self._unlogged, 0, slow.at
        logger.bind(
            count=unlogged,
            store=slow.store,
            operation=slow.operation,
            collection=slow.collection,
            outcome=slow.outcome,
            duration_ms=slow.duration_ms,
        ).warning("Slow store operation.")

    def newest(self) -> tuple[SlowQuery, ...]:
        """The operations, newest first."""
        return tuple(reversed(self._kept))
