"""Locks of this process on the documents that change sets guard.

A change set guards a document by incrementing a hidden field, so that a concurrent change conflicts. Two change sets
that merely guard the same document conflict as well, and the server lets only one of them continue; with a lock, the
other waits here instead of retrying.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from weakref import WeakValueDictionary

from adapters.records.change_set import Guard
from domain.errors import StoreUnavailable


class KeyLocks:
    """One lock for each document; locks that nobody holds or waits for are dropped."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def holding(self, guards: Sequence[Guard], *, wait_seconds: float) -> AsyncIterator[None]:
        """Holds the locks of all these documents, acquired in one order to prevent deadlocks.

        Raises StoreUnavailable after `wait_seconds`.
        """
        async with contextlib.AsyncExitStack() as held:
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._acquire(guards, held)
            except TimeoutError as error:
                raise StoreUnavailable(
                    "Too many changes depend on the same record at this moment; try again."
                ) from error
            yield

    async def _acquire(self, guards: Sequence[Guard], held: contextlib.AsyncExitStack) -> None:
        for document in sorted({(guard.collection, guard.record_id) for guard in guards}):
            lock = self._locks.get(document)
            if lock is None:
                lock = self._locks[document] = asyncio.Lock()
            await held.enter_async_context(lock)
