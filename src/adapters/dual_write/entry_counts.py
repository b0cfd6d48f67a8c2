"""Counts entries by state. Unauthenticated callers request the counts often, so they must be cheap."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from adapters.dual_write.backlog import UNMARKED
from adapters.records.criteria import AllOf, Criterion, Equals
from adapters.records.indexes import UNDELIVERED
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS
from domain.audit import SyncStatus

TOTALS_AGE_SECONDS_MAX = 60.0
"""The largest age of the totals, from which only `synced` is derived."""
TOTALS_REST = 100
"""Totals are reused for this many times the duration of counting them."""
COUNTED_A_SECOND = 1_000
"""Totals are reused for at most one second for so many entries: small ones cost nothing, and change soon after a start,
when counting may take long for other reasons.
"""

T = TypeVar("T")
Counts = Mapping[SyncStatus, int]


class EntryCounts:
    """Counts by collection. Undelivered entries are counted exactly, through their partial index; the number of synced
    entries is derived from totals that may be a minute old. With a mirror, entries without a mark count as PENDING.
    """

    def __init__(self, source: RecordStore, *, has_mirror: bool = True) -> None:
        self._source = source
        self._has_mirror = has_mirror
        self._synced: dict[str, int] = {}
        self._recount_at = 0.0

    async def read(self) -> dict[str, Counts]:
        """The number of entries in each state, for each collection. Raises StoreUnavailable."""
        present = [SyncStatus(one) for one in UNDELIVERED if await self._count(Equals("syncStatus", one))]
        has_unmarked = self._has_mirror and await self._count(UNMARKED) > 0
        undelivered: dict[str, dict[SyncStatus, int]] = {}
        for spec in ENTITY_SPECS:
            of_collection = Equals("collection", spec.collection)
            counts = {
                one: await self._count(Equals("syncStatus", one.value), of_collection) for one in present
            }
            if has_unmarked:
                unmarked = await self._count(UNMARKED, of_collection)
                counts[SyncStatus.PENDING] = counts.get(SyncStatus.PENDING, 0) + unmarked
            undelivered[spec.collection] = counts
        await self._recount(undelivered)
        return {
            collection: {
                **dict.fromkeys(SyncStatus, 0),
                **counts,
                SyncStatus.SYNCED: self._synced[collection],
            }
            for collection, counts in undelivered.items()
        }

    async def _recount(self, undelivered: Mapping[str, Counts]) -> None:
        clock = asyncio.get_running_loop()
        started = clock.time()
        if self._synced and started < self._recount_at:
            return
        self._synced = {
            collection: max(0, await self._count(Equals("collection", collection)) - sum(counts.values()))
            for collection, counts in undelivered.items()
        }
        took = clock.time() - started
        of_size = sum(self._synced.values()) / COUNTED_A_SECOND
        self._recount_at = clock.time() + min(TOTALS_AGE_SECONDS_MAX, TOTALS_REST * took, of_size)

    async def _count(self, *criteria: Criterion) -> int:
        return await self._source.count(AUDIT_LOGS.collection, AllOf(criteria))


class SharedAnswer(Generic[T]):
    """Shares one answer between concurrent callers, and for `seconds` afterwards. Errors are not kept."""

    def __init__(self, ask: Callable[[], Awaitable[T]], *, seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._asking: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """The answer. Raises the errors of `ask`; cancelling one caller does not affect the others."""
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask())
            self._asking.add_done_callback(self._keep)
        return await asyncio.shield(self._asking)

    def forget(self) -> None:
        """Discards the answer, so that the next caller gets a new one."""
        self._asking = None

    def _keep(self, asking: asyncio.Future[T]) -> None:
        if asking.cancelled() or asking.exception() is not None:
            self.forget()
        else:
            asyncio.get_running_loop().call_later(self._seconds, self.forget)
