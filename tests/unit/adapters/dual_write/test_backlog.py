"""A backlog of any length is drained in bounded pages."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from adapters.dual_write.outbox import DeliveryMarks
from adapters.records.change_set import ApplyOutcome, ChangeSet, DeliveryMark, Rejection
from adapters.records.criteria import Question
from adapters.records.record import ID, Record
from domain.audit import SyncStatus
from tests.unit.adapters.dual_write.virtual_time import simulate
from tests.unit.adapters.dual_write.world import (
    PAUSED,
    QUICK,
    Process,
    Stores,
    assert_promises,
    change_set_of,
    creation,
    entries_of,
    left_pending,
    statuses,
)
from tests.unit.builders import numbered_id
from tests.unit.faults import Weather
from tests.unit.memory_store import MemoryRecordStore


class NotingStore(MemoryRecordStore):
    """Notes how much it is asked for, and handed, at once."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.limit_max = 0
        self.together: list[frozenset[str]] = []

    async def find(self, question: Question) -> list[Record]:
        self.limit_max = max(self.limit_max, question.limit)
        return await super().find(question)

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        for change_set in change_sets:
            self.together.append(frozenset(put.record_id for put in change_set.puts))
        return await super().apply(change_sets)


def test_a_long_backlog_is_drained_in_bounded_pages_and_whole_change_sets() -> None:
    async def check() -> None:
        source, target = NotingStore("source"), NotingStore("target")
        stores = Stores(source, target)
        together = [range(first, first + 7) for first in range(1, 2_100, 7)]
        await left_pending(
            stores, *(change_set_of(*(creation(number) for number in numbers)) for numbers in together)
        )
        settings = replace(QUICK, relay_page_max=150, batch_records_max=60)
        process = Process(stores, settings=settings)
        await process.store.open()
        await process.relay.drain()
        assert await statuses(stores) == ["SYNCED"] * 2_100
        assert source.limit_max == 150
        assert set(target.together) == {
            frozenset(numbered_id(number) for number in numbers) for numbers in together
        }
        await process.store.close()
        await assert_promises(stores)

    simulate(check())


def test_many_versions_of_one_record_are_carried_as_the_latest() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        paused = Process(stores, settings=PAUSED)
        await paused.create(1)
        for number in range(200):
            await paused.edit(1, name=f"name {number}")
        process = Process(stores, target_gate=weather)
        await process.store.open()
        await process.relay.drain()
        assert weather.calls.count("apply") == 1
        await process.store.close()
        await assert_promises(stores)

    simulate(check())


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    async def check() -> None:
        stores = Stores()
        await left_pending(stores, change_set_of(creation(1)))
        process = Process(stores)
        await process.store.open()
        (entry,) = await entries_of(stores, 1)
        # Noted while the clock was six hours ahead.
        ahead = entry["at"] + timedelta(hours=6)
        failed = DeliveryMark(
            entry_id=entry[ID], status=SyncStatus.FAILED, at=ahead, attempts=1, next_at=ahead, error="taken"
        )
        assert QUICK.retry_delay_seconds_max < 6 * 3600
        await stores.source.mark([failed])
        await process.relay.drain()
        await process.store.close()
        await assert_promises(stores)

    simulate(check())


def test_entries_that_were_rejected_together_are_due_together() -> None:
    marks = DeliveryMarks(QUICK)
    change = change_set_of(*(creation(number) for number in range(1, 9)))
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    due = {marks.rejected(entry, Rejection("taken"), now).next_at for entry in change.entries}
    assert len(due) == 1
