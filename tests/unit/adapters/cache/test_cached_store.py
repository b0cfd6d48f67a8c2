"""A store with a cache keeps every promise of a store, whoever is slow, rejected, cancelled or dies."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.cache.cached_store import CachedStore
from adapters.cache.memory_cache import MemoryCache
from adapters.cache.record_cache import RecordCache
from adapters.records.change_set import DeliveryMark, ReadCheck, Superseded
from adapters.records.record import VERSION, tombstone
from adapters.records.record_store import RecordStore
from domain.audit import SyncStatus
from domain.errors import AlreadyExists, MirrorPending, StoreUnavailable, VersionConflict
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    control,
    erasure,
    fetched,
    label,
    minutes,
    numbered_id,
    put,
    same,
    task,
)
from tests.unit.contracts.cache import NAMESPACE, ReadTwice, stale_reads
from tests.unit.contracts.record_store import RecordStoreContract
from tests.unit.faults import FaultyStore, Gate, Moment, Step
from tests.unit.memory_store import MemoryRecordStore

BEFORE_COMMIT = Step("memory", "commit", Moment.BEFORE)
AFTER_COMMIT = Step("memory", "commit", Moment.AFTER)
AFTER_FETCH = Step("memory", "fetch", Moment.AFTER)


class Turnstile:
    """A gate that records what passes, and stops or raises at one step."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.arrived = asyncio.Event()
        self.opened = asyncio.Event()
        self.stop_at: Step | None = None
        self.error: BaseException | None = None
        self.error_at: Step | None = None

    async def __call__(self, step: Step) -> None:
        if step.moment is Moment.BEFORE:
            self.passed.append(step.operation)
        if step == self.error_at and self.error is not None:
            raise self.error
        if step == self.stop_at:
            self.stop_at = None
            self.arrived.set()
            await self.opened.wait()


@pytest.fixture
def gate() -> Turnstile:
    return Turnstile()


@pytest.fixture
def cache() -> RecordCache:
    cache = MemoryCache()
    cache.use_namespace(NAMESPACE)
    return cache


@pytest.fixture
def kept() -> MemoryRecordStore:
    return MemoryRecordStore()


@pytest.fixture
def store(kept: MemoryRecordStore, gate: Turnstile, cache: RecordCache) -> CachedStore:
    return CachedStore(FaultyStore(kept, gate), cache)


class TestCachedStore(RecordStoreContract):
    @pytest.fixture
    async def store(self, cache: RecordCache) -> AsyncIterator[RecordStore]:
        store = CachedStore(MemoryRecordStore(), cache)
        await store.open()
        await store.prepare()
        yield ReadTwice(store)
        await store.close()


class TestReading:
    async def test_a_record_is_read_from_the_store_once(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile
    ) -> None:
        await commit_all(kept, "tasks", task(1))
        for _ in range(3):
            assert same(await fetched(store, "tasks", 1), task(1))
        assert gate.passed == ["fetch"]
        assert (store.statistics.hits, store.statistics.misses, store.statistics.in_use) == (2, 1, True)

    async def test_the_store_is_asked_once_for_a_record_that_does_not_exist_yet(
        self, store: CachedStore, gate: Turnstile
    ) -> None:
        for _ in range(3):
            assert await fetched(store, "tasks", 1) is None
        assert gate.passed == ["fetch"]
        await commit_all(store, "tasks", task(1))
        assert same(await fetched(store, "tasks", 1), task(1))

    async def test_a_partly_cached_answer_comes_from_the_store(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile
    ) -> None:
        await commit_all(kept, "tasks", task(1), task(2))
        await fetched(store, "tasks", 1)
        both = [numbered_id(1), numbered_id(2)]
        for _ in range(2):
            assert same(await store.fetch("tasks", both), {both[0]: task(1), both[1]: task(2)})
        assert gate.passed == ["fetch", "fetch"]

    async def test_several_collections_are_read_from_the_cache(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile
    ) -> None:
        await commit_all(kept, "tasks", task(1))
        await commit_all(kept, "labels", label(2))
        for _ in range(2):
            found = await store.gather({"tasks": [numbered_id(1)], "labels": [numbered_id(2)]})
            assert same(found, {"tasks": {numbered_id(1): task(1)}, "labels": {numbered_id(2): label(2)}})
        assert gate.passed == ["fetch", "fetch"]

    @pytest.mark.parametrize("collection", ["audit_logs", "control"])
    async def test_records_that_change_without_a_version_are_never_cached(
        self, store: CachedStore, gate: Turnstile, collection: str
    ) -> None:
        await store.commit(change_set(put("control", control("lease", {"holder": "a"})), entries=[]))
        for _ in range(2):
            await store.fetch(collection, ["lease"])
        assert gate.passed == ["commit", "fetch", "fetch"]

    async def test_an_entry_is_read_with_its_mark(self, store: CachedStore) -> None:
        changes = change_set(put("tasks", task(1)))
        await store.commit(changes)
        (entry_id,) = changes.entry_ids
        assert (await store.fetch("audit_logs", [entry_id]))[entry_id]["syncStatus"] == "PENDING"
        await store.mark([DeliveryMark(entry_id=entry_id, status=SyncStatus.SYNCED, at=minutes(1))])
        assert (await store.fetch("audit_logs", [entry_id]))[entry_id]["syncStatus"] == "SYNCED"

    async def test_a_removed_record_is_cached_as_its_tombstone(
        self, store: CachedStore, gate: Turnstile
    ) -> None:
        await commit_all(store, "tasks", task(1))
        await store.commit(change_set(erasure("tasks", 1, version=2)))
        for _ in range(2):
            assert await fetched(store, "tasks", 1) == tombstone(numbered_id(1), 2)
        assert gate.passed.count("fetch") == 1


class TestSingleFlight:
    async def test_concurrent_misses_ask_the_store_once(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile
    ) -> None:
        await commit_all(kept, "tasks", task(1))
        answers = await asyncio.gather(*(fetched(store, "tasks", 1) for _ in range(50)))
        assert all(same(answer, task(1)) for answer in answers)
        assert gate.passed == ["fetch"]

    async def test_a_read_that_waits_sees_what_was_committed_before_it_began(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile
    ) -> None:
        await commit_all(kept, "tasks", task(1))
        gate.stop_at = AFTER_FETCH
        first = asyncio.create_task(fetched(store, "tasks", 1))
        await gate.arrived.wait()
        await store.commit(change_set(put("tasks", task(1, version=2))))
        second = asyncio.create_task(fetched(store, "tasks", 1))
        await asyncio.sleep(0)
        gate.opened.set()
        assert same(await first, task(1))
        assert same(await second, task(1, version=2))

    @pytest.mark.parametrize("error", [StoreUnavailable(), asyncio.CancelledError()], ids=["fails", "leaves"])
    async def test_a_first_reader_that_ends_early_does_not_stop_the_others(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile, error: BaseException
    ) -> None:
        await commit_all(kept, "tasks", task(1))
        gate.stop_at = Step("memory", "fetch", Moment.BEFORE)
        first = asyncio.create_task(fetched(store, "tasks", 1))
        await gate.arrived.wait()
        second = asyncio.create_task(fetched(store, "tasks", 1))
        await asyncio.sleep(0)
        if isinstance(error, asyncio.CancelledError):
            first.cancel()
        else:
            gate.error, gate.error_at = error, AFTER_FETCH
            gate.opened.set()
        with pytest.raises(type(error)):
            await first
        gate.error = None
        assert same(await second, task(1))


class TestRejections:
    async def test_a_conflict_deletes_the_stale_copy(
        self, store: CachedStore, kept: MemoryRecordStore
    ) -> None:
        await commit_all(store, "tasks", task(1))
        await fetched(store, "tasks", 1)
        await kept.commit(change_set(put("tasks", task(1, version=2, title="Past the cache"))))
        with pytest.raises(VersionConflict):
            await store.commit(change_set(put("tasks", task(1, version=2))))
        assert same(await fetched(store, "tasks", 1), task(1, version=2, title="Past the cache"))

    async def test_a_rejected_guard_deletes_the_stale_copy(
        self, store: CachedStore, kept: MemoryRecordStore
    ) -> None:
        await commit_all(store, "labels", label(1))
        await fetched(store, "labels", 1)
        await kept.commit(change_set(put("labels", label(1, version=2))))
        relying = replace(
            change_set(put("tasks", task(1))), read_checks=(ReadCheck("labels", numbered_id(1), 1),)
        )
        with pytest.raises(VersionConflict):
            await store.commit(relying)
        assert same(await fetched(store, "labels", 1), label(1, version=2))

    async def test_a_taken_value_leaves_the_record_as_it_was(
        self, store: CachedStore, gate: Turnstile
    ) -> None:
        await commit_all(store, "labels", label(1, name="bug"), label(2, name="idea"))
        with pytest.raises(AlreadyExists):
            await store.commit(change_set(put("labels", label(2, version=2, name="bug"))))
        for _ in range(2):
            assert same(await fetched(store, "labels", 2), label(2, name="idea"))
        assert gate.passed.count("fetch") == 1

    async def test_a_change_that_waits_only_for_the_mirror_is_read_and_cached(
        self, store: CachedStore, gate: Turnstile
    ) -> None:
        await commit_all(store, "tasks", task(1))
        gate.error, gate.error_at = MirrorPending(), AFTER_COMMIT
        with pytest.raises(MirrorPending):
            await store.commit(change_set(put("tasks", task(1, version=2))))
        for _ in range(2):
            assert same(await fetched(store, "tasks", 1), task(1, version=2))
        assert gate.passed.count("fetch") == 1

    @pytest.mark.parametrize("step", [BEFORE_COMMIT, AFTER_COMMIT], ids=["not stored", "stored"])
    @pytest.mark.parametrize("error", [StoreUnavailable(), asyncio.CancelledError(), OSError("driver")])
    async def test_after_an_unknown_outcome_the_store_is_read(
        self, store: CachedStore, gate: Turnstile, step: Step, error: BaseException
    ) -> None:
        await commit_all(store, "tasks", task(1))
        await fetched(store, "tasks", 1)
        gate.error, gate.error_at = error, step
        with pytest.raises(type(error)):
            await store.commit(change_set(put("tasks", task(1, version=2))))
        expected = task(1, version=2) if step is AFTER_COMMIT else task(1)
        for _ in range(2):
            assert same(await fetched(store, "tasks", 1), expected)
        assert gate.passed.count("fetch") == 3

    async def test_a_commit_that_is_stored_after_its_caller_left_is_read(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile
    ) -> None:
        await commit_all(store, "tasks", task(1))
        changes = change_set(put("tasks", task(1, version=2)))
        gate.error, gate.error_at = StoreUnavailable(), BEFORE_COMMIT
        with pytest.raises(StoreUnavailable):
            await store.commit(changes)
        assert same(await fetched(store, "tasks", 1), task(1))
        await kept.commit(changes)
        assert same(await fetched(store, "tasks", 1), task(1, version=2))

    async def test_applied_records_are_read_as_stored_and_cached(
        self, store: CachedStore, gate: Turnstile
    ) -> None:
        await commit_all(store, "tasks", task(1), task(2, version=5))
        await store.fetch("tasks", [numbered_id(1), numbered_id(2)])
        late = put("tasks", task(2, version=4))
        outcomes = await store.apply([change_set(put("tasks", task(1, version=3))), change_set(late)])
        assert outcomes == [None, Superseded(((("tasks", numbered_id(2)), 5),))]
        for _ in range(2):
            assert same(await fetched(store, "tasks", 1), task(1, version=3))
            assert same(await fetched(store, "tasks", 2), task(2, version=5))
        assert gate.passed.count("fetch") == 3


class TestRaces:
    async def test_a_slow_reader_does_not_write_back_a_stale_record(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile
    ) -> None:
        await commit_all(kept, "tasks", task(1))
        gate.stop_at = AFTER_FETCH
        slow = asyncio.create_task(fetched(store, "tasks", 1))
        await gate.arrived.wait()
        await store.commit(change_set(put("tasks", task(1, version=2))))
        gate.opened.set()
        assert same(await slow, task(1))
        assert same(await fetched(store, "tasks", 1), task(1, version=2))

    async def test_a_slow_writer_hides_no_newer_write(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile, cache: RecordCache
    ) -> None:
        await commit_all(store, "tasks", task(1))
        gate.stop_at = AFTER_COMMIT
        slow = asyncio.create_task(store.commit(change_set(put("tasks", task(1, version=2)))))
        await gate.arrived.wait()
        other = CachedStore(kept, cache)
        assert same(await fetched(other, "tasks", 1), task(1, version=2))
        await other.commit(change_set(put("tasks", task(1, version=3))))
        gate.opened.set()
        await slow
        assert same(await fetched(store, "tasks", 1), task(1, version=3))

    async def test_a_reader_never_sees_half_of_a_partly_cached_change_set(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile, cache: RecordCache
    ) -> None:
        await commit_all(kept, "tasks", task(1), task(2))
        await fetched(store, "tasks", 1)
        gate.stop_at = Step("memory", "fetch", Moment.BEFORE)
        reading = asyncio.create_task(store.fetch("tasks", [numbered_id(1), numbered_id(2)]))
        await gate.arrived.wait()
        puts = [put("tasks", task(number, version=2)) for number in (1, 2)]
        await CachedStore(kept, cache).commit(change_set(*puts))
        gate.opened.set()
        assert {record[VERSION] for record in (await reading).values()} == {2}

    @pytest.mark.parametrize("seed", range(5))
    async def test_no_read_is_older_than_a_commit_acknowledged_before_it(
        self, kept: MemoryRecordStore, seed: int
    ) -> None:
        # The smaller caches evict copies all the time.
        cache = MemoryCache(bytes_max=random.Random(seed).choice([1_000, 2_000, 100_000]))
        cache.use_namespace(NAMESPACE)
        stores = [CachedStore(FaultyStore(kept, _dawdler(seed + n)), cache) for n in range(3)]
        assert await stale_reads(stores, seed=seed, writes=100) == []
        assert sum(store.statistics.hits for store in stores) > 0


def _dawdler(seed: int) -> Gate:
    chance = random.Random(seed)

    async def gate(_: Step) -> None:
        for _turn in range(chance.randrange(8)):
            await asyncio.sleep(0)

    return gate
