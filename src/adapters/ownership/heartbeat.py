"""Shows in each store, every few seconds, that this process is alive."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from loguru import logger

from adapters.ownership.comparison import BEAT_SECONDS
from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable

Beat = Callable[[], Awaitable[None]]


class Heartbeat:
    """One task for each store, so that a store that hangs does not silence this process in the other one.

    It does not depend on the relay: neither a long delivery nor a pause after an outage makes a process look dead.
    """

    def __init__(self, beats: Sequence[Beat], *, interval_seconds: float = BEAT_SECONDS) -> None:
        self._beats = beats
        self._interval_seconds = interval_seconds
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Beats from now on. Harmless when started already."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._keep(beat), name="heartbeat") for beat in self._beats]

    async def stop(self) -> None:
        """Beats no more. Harmless when stopped already."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, beat: Beat) -> None:
        while True:
            try:
                await beat()
            except (StoreUnavailable, StoreRefused, OSError) as error:
                logger.debug("This process could not show that it is alive: {}", error)
            except Exception:  # noqa: BLE001 - a process that is silent counts as dead
                logger.exception("The heartbeat failed")
            await asyncio.sleep(self._interval_seconds)
