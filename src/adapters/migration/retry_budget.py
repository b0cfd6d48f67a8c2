"""How long a backfill repeats a call to a store that does not answer."""

import asyncio
from collections.abc import Callable

from loguru import logger

from domain.errors import StoreUnavailable

RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 0.2, 15.0
RETRY_SECONDS_TOTAL = 300.0
"""How long a store may be unavailable before the backfill gives up. It continues there when it is started again."""

OnWait = Callable[[str], None]
"""Is told before each pause what is waited for, and for how long at most."""


class RetryBudget:
    """The pauses between repeated calls: longer after each failure. The calls and the pauses have one bound, which
    begins with the first failure.
    """

    def __init__(self, seconds: float, on_wait: OnWait) -> None:
        self._seconds = seconds
        self._on_wait = on_wait
        self._ends_at: float | None = None
        self._pause = RETRY_SECONDS_MIN

    async def wait(self, error: StoreUnavailable) -> None:
        """Waits before the next call. Raises the error once the budget is spent."""
        now = asyncio.get_running_loop().time()
        if self._ends_at is None:
            self._ends_at = now + self._seconds
        left = self._ends_at - now
        if left <= 0:
            raise error
        logger.info("The backfill waits {:.1f} s: {}", self._pause, error.message)
        self._on_wait(f"It gives up in {left:.0f} s unless the store answers: {error.message}")
        await asyncio.sleep(min(self._pause, left))
        self._pause = min(2 * self._pause, RETRY_SECONDS_MAX)
