"""A record store that answers reads by id from a cache."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from adapters.cache.record_cache import RecordCache
from adapters.records.change_set import ChangeSet, DeliveryMark, Put, Rejection
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import ENTITY_SPECS
from domain.errors import Conflict, MirrorPending, RuleBroken

CACHED_COLLECTIONS = frozenset(spec.collection for spec in ENTITY_SPECS)
"""Only what changes with its version. Entries are settled without one, and control records must never be old."""


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """How many records asked for by id the cache knew and did not know, and whether it is in use at present."""

    hits: int
    misses: int
    in_use: bool


class CachedStore:
    """A RecordStore whose `fetch` reads through a cache that its `commit` keeps up to date.

    Records are held before the commit and put after it, so nothing cached is older than an acknowledged write, also
    where several processes share the cache, where a reader is slow, and where the writer dies after its commit. What
    remains is bounded by the time a copy is kept (RECORD_SECONDS):
    - *other* processes' reads while this one cannot reach a shared cache that they can reach (this one does not use it
      until it has made up for what it committed meanwhile);
    - reads after this process died between a commit and its put, if the place it held was given back by a rival's
      refused commit in that instant, evicted, or lost by a cache server that failed over to an older replica;
    - reads after the store was restored from a backup under the same namespace.
    A write based on such a read is refused by the store like any stale one, and the refusal forgets the copy.
    """

    def __init__(
        self,
        store: RecordStore,
        cache: RecordCache,
        *,
        collections: Collection[str] = CACHED_COLLECTIONS,
    ) -> None:
        self._store = store
        self._cache = cache
        self._collections = frozenset(collections)
        self._hits = 0
        self._misses = 0

    @property
    def name(self) -> str:
        return self._store.name

    @property
    def statistics(self) -> CacheStatistics:
        """Since the start of the process."""
        return CacheStatistics(self._hits, self._misses, self._cache.in_use)

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._cache.close()
        await self._store.close()

    async def prepare(self) -> None:
        await self._store.prepare()

    async def ping(self) -> None:
        """Asks the store alone: without the cache everything still works."""
        await self._store.ping()

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        """Whole from the cache or whole from the store: a mixture could show half a change set."""
        if collection not in self._collections or not ids:
            return await self._store.fetch(collection, ids)
        wanted = tuple(dict.fromkeys(ids))
        known = await self._cache.look_up(collection, wanted)
        self._hits += len(known.records)
        self._misses += len(wanted) - len(known.records)
        if len(known.records) == len(wanted):
            return known.records
        records = await self._store.fetch(collection, wanted)
        if known.lease is not None:
            unknown = [record for record_id, record in records.items() if record_id not in known.records]
            await self._cache.fill(collection, unknown, lease=known.lease)
        return records

    async def gather(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        answers = await asyncio.gather(*(self.fetch(collection, ids) for collection, ids in wanted.items()))
        return dict(zip(wanted, answers, strict=True))

    async def find(self, question: Question) -> list[Record]:
        return await self._store.find(question)

    async def count(self, collection: str, where: Criterion) -> int:
        return await self._store.count(collection, where)

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        return await self._store.scan(collection, after=after, limit=limit)

    async def commit(self, change_set: ChangeSet) -> None:
        """Where the outcome stays open the records stay held: whoever reads them meanwhile reads the store."""
        puts = self._cached(change_set)
        if not puts:
            await self._store.commit(change_set)
            return
        hold = await self._cache.hold([(put.collection, put.record_id) for put in puts])
        try:
            await self._store.commit(change_set)
        except MirrorPending:
            await self._cache.put(hold, puts)
            raise
        except (Conflict, RuleBroken):
            await self._cache.release(hold)
            await self._forget_guarded(change_set)
            raise
        await self._cache.put(hold, puts)

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[Rejection | None]:
        """Forgets what may have changed: a superseded put is answered like a stored one."""
        puts = [put for change_set in change_sets for put in self._cached(change_set)]
        if not puts:
            return await self._store.apply(change_sets)
        hold = await self._cache.hold([(put.collection, put.record_id) for put in puts])
        outcomes = await self._store.apply(change_sets)
        await self._cache.release(hold)
        return outcomes

    async def mark(self, marks: Sequence[DeliveryMark]) -> None:
        await self._store.mark(marks)

    async def _forget_guarded(self, change_set: ChangeSet) -> None:
        """A copy that was relied on may be the reason of the refusal: whoever repeats the write reads the store."""
        read_checks = [check for check in change_set.read_checks if check.collection in self._collections]
        if read_checks:
            hold = await self._cache.hold([(check.collection, check.record_id) for check in read_checks])
            await self._cache.release(hold)

    def _cached(self, change_set: ChangeSet) -> list[Put]:
        return [put for put in change_set.puts if put.collection in self._collections]
