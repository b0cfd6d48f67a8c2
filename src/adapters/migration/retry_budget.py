"""How long a backfill repeats a call to a store that does not answer."""

import asyncio

from loguru import logger

from domain.errors import StoreUnavailable

RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 0.2, 15.0
RETRY_SECONDS_TOTAL = 300.0
"""How long a store may be unavailable before the backfill gives up. It continues there when it is started again."""


class RetryBudget:
    """The pauses between repeated calls: longer after each failure, and bounded in total."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._pause = RETRY_SECONDS_MIN

    async def wait(self, error: StoreUnavailable) -> None:
        """Waits before the next call. Raises the error once the budget is spent."""
        if self._left <= 0:
            raise error
        logger.info("The backfill waits {:.1f} s: {}", self._pause, error.message)
        await asyncio.sleep(min(self._pause, self._left))
        self._left -= self._pause
        self._pause = min(2 * self._pause, RETRY_SECONDS_MAX)
