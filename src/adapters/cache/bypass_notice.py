"""A notice in the store by which processes that share a cache learn that a writer could not invalidate."""

import asyncio
import time

from loguru import logger

from adapters.records.control_records import read_control, write_control
from adapters.records.record_store import RecordStore
from domain.errors import Conflict, StoreUnavailable

NOTICE_ID = "cache-bypass"

LOOK_SECONDS = 1.0
"""A process reads from the cache only if it checked for a notice this recently."""


class BypassNotice:
    """A control record whose version rises when a writer cannot reach the cache.

    While a process reads from the cache, it checks the version at least every `look_seconds` (the same in every
    process), and stops when it has changed: for `copy_seconds`, in which the outdated copies expire, and for the time
    in which the notice covers further writes. No two clocks are compared.
    """

    def __init__(
        self, store: RecordStore, *, copy_seconds: float, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._store = store
        self._look_seconds = look_seconds
        self._renewal_seconds = copy_seconds / 3
        self._in_force_seconds = copy_seconds + self._renewal_seconds
        self._version = 0
        self._looked_at = self._suspended_until = float("-inf")
        self._given_at = self._effective_at = float("-inf")
        self._giving = asyncio.Lock()
        self._look: asyncio.Task[None] | None = None

    @property
    def is_suspended(self) -> bool:
        """Whether another process's notice keeps this one from reading from the cache."""
        return time.monotonic() < self._suspended_until

    def allows_reading(self) -> bool:
        """Whether a read that begins now may use the cache. Starts the next check in the background in time."""
        age_seconds = time.monotonic() - self._looked_at
        if age_seconds > self._look_seconds / 2 and self._look is None:
            self._look = asyncio.get_running_loop().create_task(self._look_again())
        return age_seconds < self._look_seconds and not self.is_suspended

    async def give(self) -> None:
        """Returns when no process can read outdated copies any more. Raises StoreUnavailable."""
        async with self._giving:
            now = time.monotonic()
            if now >= self._given_at + self._renewal_seconds:
                await self._raise_version()
                if now >= self._given_at + self._in_force_seconds - self._look_seconds:
                    self._effective_at = time.monotonic() + self._look_seconds
                self._given_at = now
        await asyncio.sleep(max(0.0, self._effective_at - time.monotonic()))

    async def close(self) -> None:
        """Waits for the check in progress."""
        if self._look is not None:
            await asyncio.wait([self._look])

    async def _look_again(self) -> None:
        began_at = time.monotonic()
        try:
            version = await self._stored_version()
        except StoreUnavailable as error:
            logger.debug("Could not check for a bypass notice; reads go to the store: {}", error)
            return
        finally:
            self._look = None
        if version != self._version:
            self._version = version
            self._suspended_until = time.monotonic() + self._in_force_seconds
        self._looked_at = began_at

    async def _raise_version(self) -> None:
        while True:
            version = await self._stored_version()
            try:
                await write_control(self._store, NOTICE_ID, {}, over=version)
            except Conflict:
                continue  # Another writer's notice, which does not stop that writer's own reads.
            if version == self._version:
                # This process has its own pending invalidations and need not wait for the copies to expire.
                self._version = version + 1
            return

    async def _stored_version(self) -> int:
        version, _ = await read_control(self._store, NOTICE_ID)
        return version
