"""How many entries are in which state, without reading them: asked often, also by strangers, so it must stay cheap."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from adapters.records.criteria import AllOf, Equals
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS, UNSETTLED
from domain.audit import SyncStatus

TOTALS_AGE_SECONDS_MAX = 60.0
"""How old the totals may be at most; only `synced` follows from them."""
TOTALS_REST = 100
"""Totals are kept this many times as long as counting them took: fresh where that is cheap."""

T = TypeVar("T")
Counts = Mapping[SyncStatus, int]


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
        present = [status for status in UNSETTLED if await self._count(syncStatus=status)]
        unsettled = {
            spec.collection: {
                SyncStatus(status): await self._count(collection=spec.collection, syncStatus=status)
                for status in present
            }
            for spec in ENTITY_SPECS
        }
        await self._recount(unsettled)
        return {
            collection: {
                **dict.fromkeys(SyncStatus, 0),
                **counts,
                SyncStatus.SYNCED: self._synced[collection],
            }
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
    """One answer for all who ask at the same time or within `seconds` after it came. Errors are not kept."""

    def __init__(self, ask: Callable[[], Awaitable[T]], *, seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._asking: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """The answer. Raises what asking raises; cancelling one caller does not affect the others."""
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask())
            self._asking.add_done_callback(self._keep)
        return await asyncio.shield(self._asking)

    def forget(self) -> None:
        """The next caller asks anew."""
        self._asking = None

    def _keep(self, asking: asyncio.Future[T]) -> None:
        if asking.cancelled() or asking.exception() is not None:
            self.forget()
        else:
            asyncio.get_running_loop().call_later(self._seconds, self.forget)
