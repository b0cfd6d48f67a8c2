"""Metrics read no entries, and callers that ask at about the same time share one answer."""

import asyncio

from adapters.dual_write.entry_counts import TOTALS_AGE_SECONDS_MAX, EntryCounts
from adapters.dual_write.synchronisation import METRICS_AGE_SECONDS_MAX, StoredSynchronisation
from adapters.monty.planning import count_statement, order_index
from adapters.monty.tables import TABLES
from adapters.records.criteria import Criterion, Question, conjuncts_of
from adapters.records.record import Record
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS
from adapters.records.wrapped_store import WrappedStore
from domain.audit import SyncStatus
from domain.errors import StoreUnavailable
from tests.unit.adapters.dual_write.virtual_time import LoopClock, simulate
from tests.unit.adapters.dual_write.world import (
    LABEL,
    QUICK,
    Process,
    Stores,
    change_set_of,
    creation,
    left_pending,
)
from tests.unit.adapters.monty.query_plans import plan_of

MANY = 1_000_000


class CountingStore(WrappedStore):
    """Remembers what it was asked, and takes its time for it. Each entry counts as `times` entries."""

    def __init__(self, stores: Stores, *, seconds: float = 0.0, times: int = 1) -> None:
        super().__init__(stores.source)
        self.seconds = seconds
        self.times = times
        self.is_down = False
        self.counted: list[Criterion] = []
        self.found: list[Question] = []

    async def count(self, collection: str, where: Criterion) -> int:
        self.counted.append(where)
        await asyncio.sleep(self.seconds)
        if self.is_down:
            raise StoreUnavailable
        return self.times * await super().count(collection, where)

    async def find(self, question: Question) -> list[Record]:
        self.found.append(question)
        return await super().find(question)


def operated(store: CountingStore) -> StoredSynchronisation:
    return StoredSynchronisation(store, None, settings=QUICK, clock=LoopClock())


async def mirrored(*numbers: int) -> Stores:
    """Labels that have arrived in the target."""
    stores = Stores()
    process = Process(stores)
    await process.store.open()
    for number in numbers:
        await process.create(number)
    await process.store.close()
    return stores


def test_metrics_read_no_entry_where_nothing_waits() -> None:
    async def check() -> None:
        store = CountingStore(await mirrored(1, 2, 3))
        metrics = await operated(store).metrics()
        assert {sync.collection: sync.synced for sync in metrics.collections}[LABEL] == 3
        assert store.found == []
        assert len(store.counted) == 3 + len(ENTITY_SPECS)

    simulate(check())


def test_montydb_answers_every_count_of_the_metrics_from_an_index_alone() -> None:
    async def check() -> None:
        stores = await mirrored(1, 2)
        await left_pending(stores, *(change_set_of(creation(number)) for number in range(3, 30)))
        store = CountingStore(stores)
        (labels,) = [
            sync for sync in (await operated(store).metrics()).collections if sync.collection == LABEL
        ]
        assert (labels.synced, labels.pending) == (2, 27)
        table = TABLES[AUDIT_LOGS.collection]
        counted = plan_of(*(count_statement(table, conjuncts_of(where)) for where in store.counted))
        assert all("USING COVERING INDEX" in line for line in counted.splitlines()), counted
        *_, oldest = store.found
        index, left = order_index(table, conjuncts_of(oldest.where), oldest.order)
        assert (index, left) == ("audit_logs_undelivered_in", [])

    simulate(check())


def test_callers_within_a_second_share_one_answer() -> None:
    async def check() -> None:
        store = CountingStore(await mirrored(1), seconds=0.01)
        sync = operated(store)
        answers = await asyncio.gather(*(sync.metrics() for _ in range(20)))
        await asyncio.sleep(0.9 * METRICS_AGE_SECONDS_MAX)
        answers.append(await sync.metrics())
        assert len(store.counted) == 3 + len(ENTITY_SPECS)
        assert all(answer is answers[0] for answer in answers)
        await asyncio.sleep(0.2 * METRICS_AGE_SECONDS_MAX)
        assert await sync.metrics() is not answers[0]

    simulate(check())


def test_expensive_totals_are_counted_once_a_minute_and_waiting_entries_each_time() -> None:
    async def check() -> None:
        stores = await mirrored(1)
        store = CountingStore(stores, seconds=1.0, times=MANY)
        counts = EntryCounts(store)
        await counts.read()
        await left_pending(stores, change_set_of(creation(2)))
        soon = (await counts.read())[LABEL]
        assert (soon[SyncStatus.SYNCED], soon[SyncStatus.PENDING]) == (MANY, MANY)
        assert len(store.counted) == 2 * (4 + len(ENTITY_SPECS))
        await asyncio.sleep(TOTALS_AGE_SECONDS_MAX)
        await counts.read()
        assert len(store.counted) == 3 * (4 + len(ENTITY_SPECS)) + len(ENTITY_SPECS)

    simulate(check())


def test_what_is_mirrored_just_after_a_slow_start_is_counted_at_once() -> None:
    async def check() -> None:
        stores = await mirrored()
        store = CountingStore(stores, seconds=1.0)
        counts = EntryCounts(store)
        assert (await counts.read())[LABEL][SyncStatus.SYNCED] == 0
        process = Process(stores)
        await process.store.open()
        await process.create(1)
        await process.store.close()
        assert (await counts.read())[LABEL][SyncStatus.SYNCED] == 1

    simulate(check())


def test_an_outage_is_raised_for_all_waiting_callers_and_not_kept() -> None:
    async def check() -> None:
        store = CountingStore(await mirrored(1), seconds=0.01)
        sync = operated(store)
        store.is_down = True
        errors = await asyncio.gather(sync.metrics(), sync.metrics(), return_exceptions=True)
        assert [type(error) for error in errors] == [StoreUnavailable] * 2
        store.is_down = False
        assert (await sync.metrics()).source == "source"

    simulate(check())
