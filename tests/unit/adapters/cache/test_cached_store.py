"""A store with a cache keeps every promise of a store, whoever is slow, refused, cancelled or dies."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.cache.cached_store import CachedStore
from adapters.cache.memory_cache import MemoryCache
from adapters.cache.record_cache import RecordCache
from adapters.records.change_set import DeliveryMark, ReadCheck
from adapters.records.record import VERSION, Record, tombstone
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
from tests.unit.contracts.cache import NAMESPACE
from tests.unit.contracts.record_store import RecordStoreContract
from tests.unit.faults import FaultyStore, Gate, Moment, Step
from tests.unit.memory_store import MemoryRecordStore

BEFORE_COMMIT = Step("memory", "commit", Moment.BEFORE)
AFTER_COMMIT = Step("memory", "commit", Moment.AFTER)
AFTER_FETCH = Step("memory", "fetch", Moment.AFTER)


class Turnstile:
    """A gate that notes what passes, stops whoever comes to one step until told, or raises there."""

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
    cache.enter(NAMESPACE)
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
        yield store
        await store.close()


class TestReading:
    async def test_a_second_read_does_not_ask_the_store(self, store: CachedStore, gate: Turnstile) -> None:
        await commit_all(store, "tasks", task(1))
        for _ in range(2):
            assert same(await fetched(store, "tasks", 1), task(1))
        assert gate.passed == ["commit"]
        assert (store.statistics.hits, store.statistics.misses, store.statistics.in_use) == (2, 0, True)

    async def test_what_was_read_from_the_store_is_kept(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile
    ) -> None:
        await commit_all(kept, "tasks", task(1))
        for _ in range(3):
            assert same(await fetched(store, "tasks", 1), task(1))
        assert gate.passed == ["fetch"]
        assert (store.statistics.hits, store.statistics.misses) == (2, 1)

    async def test_what_does_not_exist_is_asked_again(self, store: CachedStore) -> None:
        assert await fetched(store, "tasks", 1) is None
        await commit_all(store, "tasks", task(1))
        assert same(await fetched(store, "tasks", 1), task(1))

    async def test_a_partly_known_answer_comes_from_the_store(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile
    ) -> None:
        await commit_all(kept, "tasks", task(1), task(2))
        await fetched(store, "tasks", 1)
        both = [numbered_id(1), numbered_id(2)]
        for _ in range(2):
            assert same(await store.fetch("tasks", both), {both[0]: task(1), both[1]: task(2)})
        assert gate.passed == ["fetch", "fetch"]

    @pytest.mark.parametrize("collection", ["audit_logs", "control"])
    async def test_what_changes_without_a_version_is_never_cached(
        self, store: CachedStore, gate: Turnstile, collection: str
    ) -> None:
        await store.commit(change_set(put("control", control("lease", {"holder": "a"})), entries=[]))
        for _ in range(2):
            await store.fetch(collection, ["lease"])
        assert gate.passed == ["commit", "fetch", "fetch"]

    async def test_a_settled_entry_is_read_settled(self, store: CachedStore) -> None:
        changes = change_set(put("tasks", task(1)))
        await store.commit(changes)
        assert (await store.fetch("audit_logs", changes.entry_ids)).keys() == set(changes.entry_ids)
        (entry_id,) = changes.entry_ids
        await store.mark([DeliveryMark(entry_id=entry_id, status=SyncStatus.SYNCED, at=minutes(1))])
        assert (await store.fetch("audit_logs", [entry_id]))[entry_id]["syncStatus"] == "SYNCED"

    async def test_a_tombstone_is_cached_like_a_record(self, store: CachedStore, gate: Turnstile) -> None:
        await commit_all(store, "tasks", task(1))
        await store.commit(change_set(erasure("tasks", 1, version=2)))
        assert await fetched(store, "tasks", 1) == tombstone(numbered_id(1), 2)
        assert "fetch" not in gate.passed


class TestRefusals:
    async def test_a_conflict_forgets_what_was_stale(
        self, store: CachedStore, kept: MemoryRecordStore
    ) -> None:
        await commit_all(store, "tasks", task(1))
        await kept.commit(change_set(put("tasks", task(1, version=2, title="Behind the cache"))))
        with pytest.raises(VersionConflict):
            await store.commit(change_set(put("tasks", task(1, version=2))))
        assert same(await fetched(store, "tasks", 1), task(1, version=2, title="Behind the cache"))

    async def test_a_taken_value_leaves_the_old_record(self, store: CachedStore, gate: Turnstile) -> None:
        await commit_all(store, "labels", label(1, name="bug"), label(2, name="idea"))
        with pytest.raises(AlreadyExists):
            await store.commit(change_set(put("labels", label(2, version=2, name="bug"))))
        for _ in range(2):
            assert same(await fetched(store, "labels", 2), label(2, name="idea"))
        assert gate.passed.count("fetch") == 1

    async def test_a_change_that_only_waits_for_the_mirror_is_read(
        self, store: CachedStore, gate: Turnstile
    ) -> None:
        await commit_all(store, "tasks", task(1))
        gate.error, gate.error_at = MirrorPending(), AFTER_COMMIT
        with pytest.raises(MirrorPending):
            await store.commit(change_set(put("tasks", task(1, version=2))))
        assert same(await fetched(store, "tasks", 1), task(1, version=2))
        assert "fetch" not in gate.passed

    @pytest.mark.parametrize("step", [BEFORE_COMMIT, AFTER_COMMIT], ids=["not stored", "stored"])
    @pytest.mark.parametrize("error", [StoreUnavailable(), asyncio.CancelledError(), OSError("driver")])
    async def test_an_open_outcome_is_read_from_the_store(
        self, store: CachedStore, gate: Turnstile, step: Step, error: BaseException
    ) -> None:
        await commit_all(store, "tasks", task(1))
        gate.error, gate.error_at = error, step
        with pytest.raises(type(error)):
            await store.commit(change_set(put("tasks", task(1, version=2))))
        expected = task(1, version=2) if step is AFTER_COMMIT else task(1)
        for _ in range(2):
            assert same(await fetched(store, "tasks", 1), expected)
        assert gate.passed.count("fetch") == 2

    async def test_a_commit_that_lands_after_its_caller_left_is_read(
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

    async def test_applied_records_are_read_as_stored(self, store: CachedStore) -> None:
        await commit_all(store, "tasks", task(1), task(2, version=5))
        late = put("tasks", task(2, version=4))
        assert (
            await store.apply([change_set(put("tasks", task(1, version=3))), change_set(late)]) == [None] * 2
        )
        assert same(await fetched(store, "tasks", 1), task(1, version=3))
        assert same(await fetched(store, "tasks", 2), task(2, version=5))


class TestRaces:
    async def test_a_slow_reader_never_hides_a_newer_write(
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

    async def test_a_slow_writer_never_hides_a_newer_write(
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

    async def test_a_reader_never_sees_half_a_change_set_where_half_is_cached(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile, cache: RecordCache
    ) -> None:
        await commit_all(kept, "tasks", task(1), task(2))
        await fetched(store, "tasks", 1)
        gate.stop_at = Step("memory", "fetch", Moment.BEFORE)
        both = [numbered_id(1), numbered_id(2)]
        reading = asyncio.create_task(store.fetch("tasks", both))
        await gate.arrived.wait()
        puts = [put("tasks", task(number, version=2)) for number in (1, 2)]
        await CachedStore(kept, cache).commit(change_set(*puts))
        gate.opened.set()
        assert {record[VERSION] for record in (await reading).values()} == {2}

    async def test_a_writer_that_dies_after_its_commit_leaves_nothing_old(
        self, store: CachedStore, kept: MemoryRecordStore, gate: Turnstile, cache: RecordCache
    ) -> None:
        await commit_all(store, "tasks", task(1))
        gate.stop_at = AFTER_COMMIT
        dying = asyncio.create_task(store.commit(change_set(put("tasks", task(1, version=2)))))
        await gate.arrived.wait()
        assert same(await fetched(CachedStore(kept, cache), "tasks", 1), task(1, version=2))
        dying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dying

    @pytest.mark.parametrize("seed", range(20))
    async def test_no_read_is_older_than_what_was_acknowledged_before_it(
        self, kept: MemoryRecordStore, seed: int
    ) -> None:
        # So small that places are evicted while somebody counts on them.
        cache = MemoryCache(records_max=random.Random(seed).choice([1, 2, 50]))
        cache.enter(NAMESPACE)
        processes = [CachedStore(FaultyStore(kept, _dawdler(seed + n)), cache) for n in range(3)]
        assert await stale_reads(processes, seed=seed, writes=60) == []


def _dawdler(seed: int) -> Gate:
    chance = random.Random(seed)

    async def gate(_: Step) -> None:
        for _turn in range(chance.randrange(8)):
            await asyncio.sleep(0)

    return gate


async def stale_reads(stores: list[CachedStore], *, seed: int, writes: int) -> list[tuple[int, int]]:
    """Writers and readers of three records at once; the reads that were older than what had been acknowledged."""
    numbers = (1, 2, 3)
    await commit_all(stores[0], "tasks", *(task(number) for number in numbers))
    acknowledged = dict.fromkeys(numbers, 1)
    stale: list[tuple[int, int]] = []
    done = asyncio.Event()

    async def read(store: CachedStore, chance: random.Random) -> None:
        while not done.is_set():
            number = chance.choice(numbers)
            at_least = acknowledged[number]
            version = _version(await fetched(store, "tasks", number))
            if version < at_least:
                stale.append((version, at_least))
            await asyncio.sleep(0)

    async def write(store: CachedStore, chance: random.Random) -> None:
        for _ in range(writes):
            number = chance.choice(numbers)
            version = _version(await fetched(store, "tasks", number)) + 1
            try:
                await store.commit(change_set(put("tasks", task(number, version=version))))
            except VersionConflict:
                continue
            acknowledged[number] = max(acknowledged[number], version)

    readers = [
        asyncio.create_task(read(store, random.Random(seed * 7 + n))) for n, store in enumerate(stores * 2)
    ]
    try:
        await asyncio.gather(*(write(store, random.Random(seed + n)) for n, store in enumerate(stores * 2)))
    finally:
        done.set()
        await asyncio.gather(*readers)
    assert sum(acknowledged.values()) > writes
    return stale


def _version(record: Record | None) -> int:
    assert record is not None
    version: int = record[VERSION]
    return version


async def test_a_refused_guard_forgets_the_copy_that_was_relied_on() -> None:
    store = MemoryRecordStore()
    cache = MemoryCache()
    cache.enter(NAMESPACE)
    cached = CachedStore(store, cache)
    await commit_all(cached, "labels", label(1))
    await store.commit(change_set(put("labels", label(1, version=2))))
    relying = replace(
        change_set(put("tasks", task(1))), read_checks=(ReadCheck("labels", numbered_id(1), 1),)
    )
    assert same(await fetched(cached, "labels", 1), label(1))
    with pytest.raises(VersionConflict):
        await cached.commit(relying)
    assert same(await fetched(cached, "labels", 1), label(1, version=2))
