from collections.abc import Sequence

import pytest

from adapters.observability.recent_errors import DAMAGED, RECENT_SECONDS, TRIAL_SECONDS, WatchedStore
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, CorruptRecord, Record
from adapters.records.specs import CONTROL
from domain.errors import StoreUnavailable, VersionConflict
from tests.unit.memory_store import MemoryRecordStore

FULL = "The disk is full."


class FailingStore(MemoryRecordStore):
    """A store whose writes fail, or whose reads of some records do."""

    def __init__(self) -> None:
        super().__init__()
        self.write_error: Exception | None = None
        self.damaged: frozenset[str] = frozenset()

    async def commit(self, change_set: ChangeSet) -> None:
        if self.write_error is not None:
            raise self.write_error
        await super().commit(change_set)

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        if self.damaged & set(ids):
            raise CorruptRecord("not for everybody")
        return await super().fetch(collection, ids)


class Clock:
    """Seconds that pass when the test wants it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def inner() -> FailingStore:
    return FailingStore()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(inner: FailingStore, clock: Clock) -> WatchedStore:
    return WatchedStore(inner, monotonic=clock)


def change(id: str, version: int = 0) -> ChangeSet:
    return ChangeSet((Put(CONTROL.collection, {ID: id, VERSION: version + 1, "value": {}}, version),))


async def test_a_failed_write_counts_until_one_works(
    store: WatchedStore, inner: FailingStore, clock: Clock
) -> None:
    inner.write_error = StoreUnavailable(FULL)
    with pytest.raises(StoreUnavailable):
        await store.commit(change("a"))
    clock.now += 10 * RECENT_SECONDS
    await store.check()
    assert store.trouble == FULL

    inner.write_error = None
    assert store.trouble == FULL
    clock.now += TRIAL_SECONDS
    await store.check()
    assert store.trouble is None


async def test_many_failures_are_not_hidden_by_a_write_that_works(
    store: WatchedStore, inner: FailingStore
) -> None:
    inner.write_error = StoreUnavailable(FULL)
    with pytest.raises(StoreUnavailable):
        await store.commit(change("a"))
    inner.write_error = None
    await store.commit(change("b"))
    await store.check()
    assert store.trouble == FULL


async def test_a_damaged_record_counts_until_it_can_be_read_and_not_until_another_can(
    store: WatchedStore, inner: FailingStore, clock: Clock
) -> None:
    inner.damaged = frozenset({"a"})
    with pytest.raises(CorruptRecord):
        await store.fetch("tasks", ["a"])
    clock.now += 10 * RECENT_SECONDS
    await store.fetch("tasks", ["b"])
    await store.check()
    assert store.trouble == DAMAGED

    inner.damaged = frozenset()
    clock.now += TRIAL_SECONDS
    await store.check()
    assert store.trouble is None


async def test_what_the_caller_did_is_no_trouble_of_the_store(
    store: WatchedStore, inner: FailingStore
) -> None:
    class Contention(StoreUnavailable):
        is_of_the_store = False

    for error in (VersionConflict(), Contention()):
        inner.write_error = error
        with pytest.raises(type(error)):
            await store.commit(change("a"))
    assert store.trouble is None


async def test_a_check_without_a_failure_writes_nothing(store: WatchedStore, inner: FailingStore) -> None:
    await store.check()
    assert await inner.scan(CONTROL.collection, after=None, limit=10) == []
