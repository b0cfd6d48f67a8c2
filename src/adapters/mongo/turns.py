"""Turns of this process at the documents that change sets rely on.

A change set relies on a document by counting on it, so that a change of it conflicts. Two that merely rely on the same
one conflict as well, and the server lets only one of them go on; here the other waits instead of trying again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from weakref import WeakValueDictionary

from adapters.records.change_set import ReadCheck
from domain.errors import StoreUnavailable


class Turns:
    """One turn at a time for each document; documents nobody waits for are forgotten."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def at(self, read_checks: Sequence[ReadCheck], *, wait_seconds: float) -> AsyncIterator[None]:
        """Holds the turn at all of these documents, taken in one order so that nobody waits in a circle.

        Raises StoreUnavailable where its turn does not come in time.
        """
        async with contextlib.AsyncExitStack() as held:
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._take(read_checks, held)
            except TimeoutError as error:
                raise StoreUnavailable("Too many rely on the same thing at this moment.") from error
            yield

    async def _take(self, read_checks: Sequence[ReadCheck], held: contextlib.AsyncExitStack) -> None:
        for document in sorted({(check.collection, check.record_id) for check in read_checks}):
            lock = self._locks.get(document)
            if lock is None:
                lock = self._locks[document] = asyncio.Lock()
            await held.enter_async_context(lock)
