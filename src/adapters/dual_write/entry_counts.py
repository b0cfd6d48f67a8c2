"""How many entries are in which state, without reading them: asked often, also by strangers, so it must stay cheap."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from adapters.records.criteria import AllOf, Equals
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS
from domain.audit import SyncStatus

TOTALS_AGE_SECONDS_MAX = 60.0
"""How old the totals may be at most; only `synced` follows from them."""
TOTALS_REST = 100
"""Totals are left alone this many times as long as counting them took: fresh where that is cheap."""

T = TypeVar("T")
Counts = Mapping[SyncStatus, int]

_NONE = dict.fromkeys(SyncStatus, 0)
_UNSETTLED = (SyncStatus.PENDING, SyncStatus.FAILED, SyncStatus.PARKED)


class EntryCounts:
    """Counts by collection. What waits is counted exactly, through the index that holds nothing else; what is synced
    is the rest of a total that may be a minute old.
    """

    def __init__(self, source: RecordStore) -> None:
        self._source = source
        self._synced: dict[str, int] = {}
        self._recount_at = 0.0

    async def read(self) -> dict[str, Counts]:
        """The number of entries in each state, for each collection. Raises StoreUnavailable."""
        waiting = [status for status in _UNSETTLED if await self._count(syncStatus=status.value)]
        unsettled = {
            spec.collection: {
                status: await self._count(collection=spec.collection, syncStatus=status.value)
                for status in waiting
            }
            for spec in ENTITY_SPECS
        }
        await self._recount(unsettled)
        return {
            collection: {**_NONE, **counts, SyncStatus.SYNCED: self._synced[collection]}
            for collection, counts in unsettled.items()
        }

    async def _recount(self, unsettled: Mapping[str, Counts]) -> None:
        clock = asyncio.get_running_loop()
        started = clock.time()
        if self._synced and started < self._recount_at:
            return
        self._synced = {
            collection: max(0, await self._count(collection=collection) - sum(counts.values()))
            for collection, counts in unsettled.items()
        }
        took = clock.time() - started
        self._recount_at = clock.time() + min(TOTALS_AGE_SECONDS_MAX, TOTALS_REST * took)

    async def _count(self, **fields: str) -> int:
        where = AllOf(tuple(Equals(name, value) for name, value in fields.items()))
        return await self._source.count(AUDIT_LOGS.collection, where)


class SharedAnswer(Generic[T]):
    """One answer for everybody who asks at the same time or within `seconds` after it came. Errors are not kept."""

    def __init__(self, ask: Callable[[], Awaitable[T]], *, seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._asking: asyncio.Task[T] | None = None
        self._until = 0.0

    async def get(self) -> T:
        """The answer. Raises what asking raises; a caller who is cancelled takes it from nobody else."""
        loop = asyncio.get_running_loop()
        asking = self._asking
        if asking is None or (asking.done() and loop.time() >= self._until):
            asking = self._asking = loop.create_task(self._fresh())
            # Read so that the loop does not report it where everybody who waited was cancelled.
            asking.add_done_callback(lambda task: None if task.cancelled() else task.exception())
        return await asyncio.shield(asking)

    def forget(self) -> None:
        """The next caller asks anew."""
        self._asking = None

    async def _fresh(self) -> T:
        self._until = 0.0
        loop = asyncio.get_running_loop()
        answer = await self._ask()
        self._until = loop.time() + self._seconds
        return answer
