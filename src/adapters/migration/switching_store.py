"""The record store of a process whose owner may change while it runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from adapters.ownership.refusals import Moving
from adapters.records.change_set import ApplyOutcome, ChangeSet, LaneStamp
from adapters.records.lanes import LaneLost
from adapters.records.record_store import RecordStore
from adapters.records.wrapped_store import WrappedStore
from domain.errors import StoreUnavailable

T = TypeVar("T")
WAIT_SECONDS_MAX = 10.0
"""How long a write waits while the ownership moves; longer than a move may take."""
POLL_SECONDS = 0.02


class SwitchingStore(WrappedStore):
    """Delegates to the store of the present owner. Writes wait while the ownership moves; reads go on.

    A write that has waited, or that found the gate of the old owner closed, was stored nowhere, and the new owner holds
    all that the old one held. So it is committed there as it is: the new owner checks its versions and unique values.

    `follow` looks at the control records and switches where the owner has changed; it returns whether the present owner
    takes writes.
    """

    def __init__(self, inner: RecordStore, *, follow: Callable[[], Awaitable[bool]]) -> None:
        super().__init__(inner)
        self._follow = follow
        self._is_free = asyncio.Event()
        self._is_free.set()
        self._writing = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self.last_held_seconds = 0.0
        """How long writes waited the last time."""

    def switch(self, inner: RecordStore) -> None:
        """Uses another store from now on."""
        self._inner = inner

    @asynccontextmanager
    async def held(self, *, seconds_max: float) -> AsyncIterator[None]:
        """Lets new writes wait, once those under way have ended. Raises StoreUnavailable if they take too long."""
        clock = asyncio.get_running_loop()
        began = clock.time()
        self._is_free.clear()
        try:
            try:
                async with asyncio.timeout(seconds_max):
                    await self._is_idle.wait()
            except TimeoutError:
                raise StoreUnavailable(f"Writes under way took longer than {seconds_max:.1f} s.") from None
            yield
        finally:
            self.last_held_seconds = clock.time() - began
            self._is_free.set()

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        return await self._written(lambda: self._inner.commit(change_set))

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        return await self._written(lambda: self._inner.apply(change_sets))

    async def _written(self, write: Callable[[], Awaitable[T]]) -> T:
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
        while True:
            if not self._is_free.is_set():
                await self._free(deadline)
            self._begin()
            try:
                return await write()
            except (Moving, LaneLost):
                # Another process moves the ownership, or changed its record just now; nothing was written.
                if asyncio.get_running_loop().time() >= deadline:
                    raise
            finally:
                self._end()
            if not await self._follow():
                await asyncio.sleep(POLL_SECONDS)

    async def _free(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._is_free.wait()
        except TimeoutError:
            raise StoreUnavailable("The ownership of the data is moving; try again in a moment.") from None

    def _begin(self) -> None:
        self._writing += 1
        self._is_idle.clear()

    def _end(self) -> None:
        self._writing -= 1
        if self._writing == 0:
            self._is_idle.set()
