"""A record store that answers reads by id from a cache."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.cache.bypass_notice import LOOK_SECONDS, BypassNotice
from adapters.cache.record_cache import LookUp, RecordCache, RecordKey
from adapters.records.change_set import ApplyOutcome, ChangeSet
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import ENTITY_SPECS
from adapters.records.wrapped_store import WrappedStore
from domain.errors import Conflict, MirrorPending, RuleBroken

CACHED_COLLECTIONS = frozenset(spec.collection for spec in ENTITY_SPECS)
"""Their records change only with their version; audit entries and control records do not."""

FLIGHT_SECONDS_MAX = 1.0
"""How long a read waits for the same read by another request before it reads the store itself."""


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """The hits and misses of reads by id, and whether the cache is in use."""

    hits: int
    misses: int
    in_use: bool


class CachedStore(WrappedStore):
    """A RecordStore that reads through a cache and invalidates after commit; `record_cache` has the algorithm."""

    def __init__(self, store: RecordStore, cache: RecordCache, *, look_seconds: float = LOOK_SECONDS) -> None:
        super().__init__(store)
        self._cache = cache
        self._notice: BypassNotice | None = None
        if (seconds := cache.shared_seconds) is not None:
            self._notice = BypassNotice(store, copy_seconds=seconds, look_seconds=look_seconds)
        self._flights: dict[tuple[str, tuple[str, ...]], asyncio.Future[None]] = {}
        self._hits = 0
        self._misses = 0

    @property
    def statistics(self) -> CacheStatistics:
        """The statistics since the start of the process."""
        is_suspended = self._notice is not None and self._notice.is_suspended
        return CacheStatistics(self._hits, self._misses, self._cache.in_use and not is_suspended)

    async def trouble(self) -> str | None:
        """Asks the cache now: why reads bypass it; None if they use it."""
        reason = await self._cache.check()
        if reason is None and self._notice is not None and self._notice.is_suspended:
            return "Another process could not reach it, so its copies are left to expire."
        if reason is None and not self._cache.in_use:
            return "It answers and is not in use yet."
        return reason

    async def close(self) -> None:
        if self._notice is not None:
            await self._notice.close()
        await self._cache.close()
        await super().close()

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        """All from the cache or all from the store: a mixture could show half a change set."""
        if not ids or collection not in CACHED_COLLECTIONS or not self._may_read_cache():
            return await self._inner.fetch(collection, ids)
        unique_ids = tuple(dict.fromkeys(ids))
        found = await self._cache.look_up(collection, unique_ids)
        flight = self._flights.get((collection, unique_ids))
        if len(found.records) < len(unique_ids) and flight is not None:
            await asyncio.wait([flight], timeout=FLIGHT_SECONDS_MAX)
            # That read may have begun before a commit that this read must include; a copy is never too old.
            again = await self._cache.look_up(collection, unique_ids)
            found = LookUp(again.records, again.lease or found.lease)
        self._hits += len(found.records)
        self._misses += len(unique_ids) - len(found.records)
        if len(found.records) == len(unique_ids):
            return {record_id: record for record_id, record in found.records.items() if record is not None}
        return await self._read_through(collection, unique_ids, found)

    async def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        answers = await asyncio.gather(
            *(self.fetch(collection, ids) for collection, ids in ids_by_collection.items())
        )
        return dict(zip(ids_by_collection, answers, strict=True))

    async def commit(self, change_set: ChangeSet) -> None:
        """If the outcome is unknown, the write lease stays, and reads of these records go to the store."""
        keys = _cached(change_set.touched())
        if not keys:
            await self._inner.commit(change_set)
            return
        lease = await self._take_write_lease(keys)
        try:
            await self._inner.commit(change_set)
        except (Conflict, RuleBroken, MirrorPending):
            # Copies of the read checks may be stale. Without them a retry of the change reads the store.
            read_checks = _cached((check.collection, check.record_id) for check in change_set.read_checks)
            await self._invalidate([*keys, *read_checks], lease)
            raise
        await self._invalidate(keys, lease)

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        keys = _cached(key for change_set in change_sets for key in change_set.touched())
        if not keys:
            return await self._inner.apply(change_sets)
        lease = await self._take_write_lease(keys)
        outcomes = await self._inner.apply(change_sets)
        await self._invalidate(keys, lease)
        return outcomes

    def _may_read_cache(self) -> bool:
        return self._cache.in_use and (self._notice is None or self._notice.allows_reading())

    async def _read_through(self, collection: str, ids: tuple[str, ...], found: LookUp) -> dict[str, Record]:
        question = (collection, ids)
        flight: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if question not in self._flights:
            self._flights[question] = flight
        try:
            records = await self._inner.fetch(collection, ids)
            if found.lease is not None:
                unknown = {id: records.get(id) for id in ids if id not in found.records}
                await self._cache.fill(collection, unknown, lease=found.lease)
            return records
        finally:
            flight.set_result(None)
            if self._flights.get(question) is flight:
                del self._flights[question]

    async def _take_write_lease(self, keys: Sequence[RecordKey]) -> str | None:
        lease = await self._cache.take_write_lease(keys)
        if lease is None and self._notice is not None:
            await self._notice.give()
        return lease

    async def _invalidate(self, keys: Sequence[RecordKey], lease: str | None) -> None:
        is_confirmed = await self._cache.invalidate(keys, lease=lease)
        if not is_confirmed and self._notice is not None:
            await self._notice.give()


def _cached(keys: Iterable[RecordKey]) -> list[RecordKey]:
    return [key for key in keys if key[0] in CACHED_COLLECTIONS]
