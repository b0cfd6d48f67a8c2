from collections.abc import Awaitable, Callable, Sequence

import pytest

from adapters.observability.damaged_records import DAMAGED_MAX
from adapters.observability.observed_store import ObservedStore
from adapters.observability.recent_errors import (
    FAILURES_MAX,
    IN_A_ROW,
    RECENT_SECONDS,
    TRIAL_SECONDS,
    RecentErrors,
)
from adapters.observability.watched_store import WatchedStore
from adapters.records.change_set import ChangeSet, Put
from adapters.records.criteria import Question
from adapters.records.record import ID, VERSION, CorruptRecord, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL
from adapters.system.clock import SystemClock
from domain.errors import StoreUnavailable, VersionConflict
from tests.unit.contracts.builders import task
from tests.unit.memory_store import MemoryRecordStore

FULL = "The disk is full."


class FailingStore(MemoryRecordStore):
    """A store whose writes fail, or whose reads of some records do."""

    def __init__(self) -> None:
        super().__init__()
        self.write_error: Exception | None = None
        self.damaged: frozenset[str] = frozenset()
        self.is_damaged = False

    async def commit(self, change_set: ChangeSet) -> None:
        if self.write_error is not None:
            raise self.write_error
        await super().commit(change_set)

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        if self.damaged & set(ids):
            raise CorruptRecord("not for everybody")
        return await super().fetch(collection, ids)

    async def find(self, question: Question) -> list[Record]:
        if self.is_damaged:
            raise CorruptRecord("not for everybody")
        return await super().find(question)


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
def errors(inner: FailingStore, clock: Clock) -> RecentErrors:
    return RecentErrors(inner, monotonic=clock)


@pytest.fixture(params=["watched", "observed"])
def store(request: pytest.FixtureRequest, inner: FailingStore, errors: RecentErrors) -> RecordStore:
    if request.param == "watched":
        return WatchedStore(inner, errors)
    return ObservedStore(inner, slow_ms=600_000, clock=SystemClock(), errors=errors)


def change(id: str, version: int = 0) -> ChangeSet:
    return ChangeSet((Put(CONTROL.collection, {ID: id, VERSION: version + 1, "value": {}}, version),))


async def test_a_failed_write_counts_until_one_works(
    store: RecordStore, errors: RecentErrors, inner: FailingStore, clock: Clock
) -> None:
    inner.write_error = StoreUnavailable(FULL)
    with pytest.raises(StoreUnavailable):
        await store.commit(change("a"))
    clock.now += 10 * RECENT_SECONDS
    await errors.check()
    assert errors.trouble == FULL

    inner.write_error = None
    assert errors.trouble == FULL
    clock.now += TRIAL_SECONDS
    await errors.check()
    assert errors.trouble is None


async def test_many_failures_are_not_hidden_by_a_write_that_works(
    store: RecordStore, errors: RecentErrors, inner: FailingStore
) -> None:
    inner.write_error = StoreUnavailable(FULL)
    with pytest.raises(StoreUnavailable):
        await store.commit(change("a"))
    inner.write_error = None
    await store.commit(change("b"))
    await errors.check()
    assert errors.trouble == FULL


async def _read_all(store: RecordStore, ids: Sequence[str]) -> None:
    with pytest.raises(CorruptRecord):
        await store.fetch("tasks", ids)


async def _gather_all(store: RecordStore, ids: Sequence[str]) -> None:
    with pytest.raises(CorruptRecord):
        await store.gather({"labels": ["x"], "tasks": ids})


@pytest.mark.parametrize("read", [_read_all, _gather_all])
@pytest.mark.parametrize("ids", [["a"], ["b", "a", "c"]], ids=["alone", "among others"])
async def test_a_damaged_record_is_named_until_it_can_be_read_and_is_no_trouble_of_the_store(
    store: RecordStore,
    errors: RecentErrors,
    inner: FailingStore,
    clock: Clock,
    read: Callable[[RecordStore, Sequence[str]], Awaitable[None]],
    ids: list[str],
) -> None:
    inner.damaged = frozenset({"a"})
    await read(store, ids)
    await store.fetch("tasks", ["b"])
    await errors.check()
    named = "A stored record is damaged (tasks a): restore it from a copy."
    assert (errors.trouble, errors.damage) == (None, named)
    clock.now += 10 * RECENT_SECONDS
    await errors.check()
    assert errors.damage == named

    inner.damaged = frozenset()
    clock.now += TRIAL_SECONDS
    await errors.check()
    assert errors.damage is None


async def test_a_list_that_meets_damage_names_its_collection_at_least(
    store: RecordStore, errors: RecentErrors, inner: FailingStore, clock: Clock
) -> None:
    inner.is_damaged = True
    with pytest.raises(CorruptRecord):
        await store.find(Question(collection="tasks", limit=5))
    await errors.check()
    assert errors.damage == "A stored record is damaged (one of tasks): restore it from a copy."
    inner.is_damaged = False
    clock.now += TRIAL_SECONDS
    await errors.check()
    assert errors.damage is None


async def test_damage_is_remembered_up_to_a_bound(
    store: RecordStore, errors: RecentErrors, inner: FailingStore
) -> None:
    ids = [f"{number:04}" for number in range(2 * DAMAGED_MAX)]
    inner.damaged = frozenset(ids)
    for id in ids:
        await _read_all(store, [id])
    assert (errors.damage or "").endswith(f" {DAMAGED_MAX - 1} more are damaged.")


async def test_what_the_caller_did_is_no_trouble_of_the_store(
    store: RecordStore, errors: RecentErrors, inner: FailingStore
) -> None:
    class Contention(StoreUnavailable):
        is_of_the_store = False

    for error in (VersionConflict(), Contention()):
        inner.write_error = error
        with pytest.raises(type(error)):
            await store.commit(change("a"))
    assert errors.trouble is None


class Waiting(StoreUnavailable):
    """One request waited for another."""

    is_of_the_store = False


def _label(id: str) -> ChangeSet:
    return ChangeSet((Put("labels", {ID: id, VERSION: 1}, 0),))


def _fail(errors: RecentErrors, *ids: str) -> None:
    for id in ids:
        errors.note("commit", (_label(id),), Waiting())


async def test_one_record_that_many_want_is_no_trouble_and_many_records_without_a_success_are(
    errors: RecentErrors,
) -> None:
    _fail(errors, *["a"] * IN_A_ROW, "b")
    errors.note_success("commit", (_label("z"),))
    _fail(errors, "c", "d")
    errors.note("commit", (change("e"),), Waiting())
    assert errors.trouble is None
    _fail(errors, "e")
    assert errors.trouble == "The writes of labels fail one after another. One request waited for another."


async def test_fetches_of_different_records_that_fail_in_a_row_are_trouble_and_long_questions_are_not(
    errors: RecentErrors,
) -> None:
    for number in range(2 * IN_A_ROW):
        errors.note("find", (Question(collection="tasks", limit=number),), Waiting())
    assert errors.trouble is None
    for number in range(IN_A_ROW):
        errors.note("fetch", ("tasks", [f"{number}"]), Waiting())
    assert errors.trouble == "The reads of tasks fail one after another. One request waited for another."


async def test_writes_that_failed_in_a_row_count_until_one_would_work(
    inner: FailingStore, clock: Clock
) -> None:
    rehearsing = RehearsingStore()
    rehearsing.error = Waiting()
    errors = RecentErrors(inner, rehearsing=rehearsing, monotonic=clock)
    _fail(errors, "a", "b", "c")
    clock.now += 10 * RECENT_SECONDS
    await errors.check()
    assert (errors.trouble or "").startswith("The writes of labels fail one after another.")
    rehearsing.error = None
    clock.now += TRIAL_SECONDS
    await errors.check()
    assert errors.trouble is None


async def test_what_keeps_the_connections_is_named_before_calls_that_found_none(errors: RecentErrors) -> None:
    class NoneFree(StoreUnavailable):
        names_cause = False

    errors.note("commit", (change("a"),), NoneFree())
    errors.note("commit", (_label("a"),), StoreUnavailable(CLOSED))
    assert errors.trouble == CLOSED


async def test_a_check_without_a_failure_writes_nothing(errors: RecentErrors, inner: FailingStore) -> None:
    await errors.check()
    assert await inner.scan(CONTROL.collection, after=None, limit=10) == []


class RehearsingStore:
    """Rehearses commits with the outcome that a test wants."""

    def __init__(self) -> None:
        self.error: Exception | None = StoreUnavailable(CLOSED)

    async def rehearse(self, change_set: ChangeSet) -> None:
        if self.error is not None:
            raise self.error


CLOSED = "A trigger rejects every row."


@pytest.mark.parametrize("outcome", [None, VersionConflict()], ids=["it works", "others were faster"])
async def test_a_failed_commit_counts_until_it_would_work(
    inner: FailingStore, clock: Clock, outcome: Exception | None
) -> None:
    rehearsing = RehearsingStore()
    errors = RecentErrors(inner, rehearsing=rehearsing, monotonic=clock)
    errors.note("commit", (change("a"),), StoreUnavailable(CLOSED))
    for _ in range(3):
        clock.now += 10 * RECENT_SECONDS
        await errors.check()  # the trial of another write works
        assert errors.trouble == CLOSED
    rehearsing.error = outcome
    clock.now += TRIAL_SECONDS
    await errors.check()
    assert errors.trouble is None


async def test_a_failed_commit_counts_until_another_one_of_its_collections_works(
    inner: FailingStore, clock: Clock
) -> None:
    errors = RecentErrors(inner, rehearsing=RehearsingStore(), monotonic=clock)
    store = WatchedStore(inner, errors)
    failed = ChangeSet((Put("tasks", {ID: "a", VERSION: 1}, 0),))
    errors.note("commit", (failed,), StoreUnavailable(CLOSED))
    clock.now += 10 * RECENT_SECONDS
    await store.commit(change("b"))
    assert errors.trouble == CLOSED
    await store.commit(ChangeSet((Put("tasks", task(1), 0),)))
    assert errors.trouble is None


async def test_failures_are_remembered_up_to_a_bound(inner: FailingStore, errors: RecentErrors) -> None:
    for number in range(FAILURES_MAX + 5):
        failed = ChangeSet((Put(f"collection {number}", {ID: "a", VERSION: 1}, 0),))
        errors.note("commit", (failed,), StoreUnavailable(f"failure {number}"))
    assert errors.trouble == "failure 5"


async def test_a_failure_that_repeats_forgets_no_other_at_the_bound(errors: RecentErrors) -> None:
    for number in [*range(FAILURES_MAX), FAILURES_MAX - 1]:
        failed = ChangeSet((Put(f"collection {number}", {ID: "a", VERSION: 1}, 0),))
        errors.note("commit", (failed,), StoreUnavailable(f"failure {number}"))
    assert errors.trouble == "failure 0"


async def test_failures_in_a_row_are_counted_on_at_the_bound(errors: RecentErrors) -> None:
    _fail(errors, "a")
    for number in range(FAILURES_MAX - 1):
        errors.note("fetch", (f"collection {number}", ["a"]), Waiting())
    _fail(errors, *[str(number) for number in range(IN_A_ROW - 1)])
    assert errors.trouble == "The writes of labels fail one after another. One request waited for another."
