"""How long a backfill waits for a store that does not answer."""

import asyncio

from loguru import logger

from domain.errors import StoreUnavailable

RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 0.2, 15.0
PATIENCE_SECONDS = 300.0
"""How long a store may be unavailable before the backfill gives up. It continues there when it is started again."""


class Patience:
    """Waits longer after each failure, until it has waited for too long."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._pause = RETRY_SECONDS_MIN

    async def wait(self, error: StoreUnavailable) -> None:
        """Waits. Raises the error once there is no patience left."""
        if self._left <= 0:
            raise error
        logger.info("The backfill waits {:.1f} s: {}", self._pause, error.message)
        await asyncio.sleep(min(self._pause, self._left))
        self._left -= self._pause
        self._pause = min(2 * self._pause, RETRY_SECONDS_MAX)
