"""The writes of one process that are under way."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from domain.errors import StoreUnavailable

IDLE_SECONDS_MAX = 5.0
"""How long somebody waits for them."""


class WritesUnderWay:
    """Counts them, so that a closed control record is changed only while there are none."""

    def __init__(self) -> None:
        self._count = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Around each write."""
        self._count += 1
        self._is_idle.clear()
        try:
            yield
        finally:
            self._count -= 1
            if self._count == 0:
                self._is_idle.set()

    async def ended(self) -> None:
        """Returns once there are none. Raises StoreUnavailable if they take too long."""
        try:
            async with asyncio.timeout(IDLE_SECONDS_MAX):
                await self._is_idle.wait()
        except TimeoutError:
            raise StoreUnavailable("Writes under way take too long; try again in a moment.") from None
