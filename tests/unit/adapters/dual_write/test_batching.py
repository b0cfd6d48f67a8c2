"""Requests share calls to the target, marks share calls to the source; both within bounds."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from adapters.dual_write.backoff import BackOff
from adapters.dual_write.batcher import LATE_MS, MirrorBatcher
from adapters.dual_write.differences import judged
from adapters.dual_write.latency import SAMPLES_MAX, MirrorLatencies
from adapters.dual_write.marker import Marker
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.settings import DualWriteSettings
from adapters.records.change_set import ApplyOutcome, ChangeSet, DeliveryMark
from domain.audit import SyncStatus
from domain.errors import StoreUnavailable
from tests.unit.adapters.dual_write.virtual_time import simulate
from tests.unit.adapters.dual_write.world import LABEL, QUICK, change_set_of, creation
from tests.unit.contracts.builders import change_set, put, task
from tests.unit.memory_store import MemoryRecordStore

NOW = datetime(2026, 3, 2, tzinfo=UTC)


class SlowStore(MemoryRecordStore):
    """Takes a tenth of a second for each call, and notes how much came in each."""

    def __init__(self) -> None:
        super().__init__()
        self.applied: list[int] = []
        self.marked: list[int] = []
        self.at_once = 0
        self.at_once_max = 0
        self.is_down = False

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        self.applied.append(len(change_sets))
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        await asyncio.sleep(0.1)
        self.at_once -= 1
        return await super().apply(change_sets)

    async def mark(self, marks: Sequence[DeliveryMark]) -> None:
        self.marked.append(len(marks))
        await asyncio.sleep(0.1)
        if self.is_down:
            raise StoreUnavailable


def batcher(store: SlowStore, settings: DualWriteSettings = QUICK) -> MirrorBatcher:
    target = MirrorTarget(store, settings=settings)
    return MirrorBatcher(
        target,
        settings=settings,
        judge=partial(judged, store),
        on_outcome=lambda _change_set, _outcome, _elapsed: None,
    )


def mirrored(mirror: MirrorBatcher, *numbers: int) -> list[asyncio.Task[bool]]:
    return [asyncio.ensure_future(mirror.mirror(change_set_of(creation(number)))) for number in numbers]


def test_one_change_set_alone_goes_straight_through() -> None:
    async def check() -> None:
        store = SlowStore()
        assert await batcher(store).mirror(change_set_of(creation(1)))
        assert asyncio.get_running_loop().time() < 0.101

    simulate(check())


def test_change_sets_that_arrive_during_a_flush_go_together_in_the_next() -> None:
    async def check() -> None:
        store = SlowStore()
        mirror = batcher(store)
        first = mirrored(mirror, 1)
        await asyncio.sleep(0.05)
        rest = mirrored(mirror, *range(2, 51))
        answers = await asyncio.gather(*first, *rest)
        assert set(answers) == {True}
        assert store.applied == [1, 49]
        assert store.at_once_max == 1

    simulate(check())


def test_other_tables_are_sent_beside_a_flush_that_is_late_and_its_own_waits() -> None:
    class SlowLabels(SlowStore):
        async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
            if any(put.collection == LABEL for one in change_sets for put in one.puts):
                await asyncio.sleep(2)
            return await super().apply(change_sets)

    async def check() -> None:
        store = SlowLabels()
        mirror = batcher(store, replace(QUICK, timeout_ms=10_000))
        labels = mirrored(mirror, 1)
        await asyncio.sleep(LATE_MS / 1000 + 0.05)
        labels += mirrored(mirror, 2, 3)
        assert await mirror.mirror(change_set(put("tasks", task(1))))
        assert asyncio.get_running_loop().time() < 0.3
        assert store.applied == [1]
        assert set(await asyncio.gather(*labels)) == {True}
        assert store.applied == [1, 1, 2]

    simulate(check())


def test_a_batch_is_bounded_by_its_records() -> None:
    async def check() -> None:
        store = SlowStore()
        mirror = batcher(store, replace(QUICK, batch_records_max=4))
        sets = [change_set_of(creation(10 * n), creation(10 * n + 1)) for n in range(1, 8)]
        large = change_set_of(*(creation(100 + n) for n in range(9)))
        answers = await asyncio.gather(*(mirror.mirror(one) for one in (*sets, large)))
        assert set(answers[:7]) == {True}
        assert store.applied == [2, 2, 2, 1, 1]

    simulate(check())


def test_a_batch_is_bounded_by_its_bytes() -> None:
    async def check() -> None:
        store = SlowStore()
        sets = [change_set_of(creation(number, name=f"{number:04}" * 1_250)) for number in range(1, 8)]
        mirror = batcher(store, replace(QUICK, batch_bytes_max=3 * sets[0].rough_bytes))
        huge = change_set_of(creation(9, name="x" * 500_000))
        answers = await asyncio.gather(*(mirror.mirror(one) for one in (*sets, huge)))
        assert set(answers) == {True}
        assert store.applied == [3, 3, 1, 1]

    simulate(check())


def test_a_full_queue_turns_others_away_at_once() -> None:
    async def check() -> None:
        store = SlowStore()
        mirror = batcher(store, replace(QUICK, queue_max=5))
        waiting = mirrored(mirror, 1)
        await asyncio.sleep(0.05)
        waiting += mirrored(mirror, *range(2, 10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        answers = [task.result() for task in waiting if task.done()]
        assert answers == [False] * 3
        assert len(waiting) - len(answers) == 6
        assert set(await asyncio.gather(*waiting)) == {True, False}

    simulate(check())


def test_each_waiter_has_its_own_time_out() -> None:
    async def check() -> None:
        store = SlowStore()
        mirror = batcher(store, replace(QUICK, timeout_ms=150, batch_records_max=1))
        answers = await asyncio.gather(*mirrored(mirror, 1, 2, 3))
        assert answers == [True, False, False]
        assert asyncio.get_running_loop().time() < 0.151
        await mirror.close()

    simulate(check())


def test_a_closed_batcher_finishes_its_queue_and_accepts_nothing_more() -> None:
    async def check() -> None:
        store = SlowStore()
        mirror = batcher(store)
        waiting = mirrored(mirror, 1, 2)
        await asyncio.sleep(0)
        await mirror.close()
        assert await asyncio.gather(*waiting) == [True] * 2
        assert not await mirror.mirror(change_set_of(creation(3)))
        assert store.applied == [2]

    simulate(check())


def mark_of(number: int) -> DeliveryMark:
    return DeliveryMark(entry_id=f"{number:024x}", status=SyncStatus.SYNCED, at=NOW)


def test_marks_are_written_together_after_the_interval() -> None:
    async def check() -> None:
        store = SlowStore()
        marker = Marker(store, settings=replace(QUICK, mark_interval_ms=50))
        for number in range(30):
            marker.mark(mark_of(number))
        await asyncio.sleep(0.04)
        assert store.marked == []
        await asyncio.sleep(0.02)
        assert store.marked == [30]
        await marker.close()

    simulate(check())


def test_a_full_batch_of_marks_does_not_wait() -> None:
    async def check() -> None:
        store = SlowStore()
        marker = Marker(store, settings=replace(QUICK, mark_interval_ms=60_000, mark_batch_max=10))
        for number in range(25):
            marker.mark(mark_of(number))
        await asyncio.sleep(0.25)
        assert store.marked == [10, 10]
        await marker.close()
        assert store.marked == [10, 10, 5]

    simulate(check())


def test_too_many_marks_are_dropped() -> None:
    async def check() -> None:
        store = SlowStore()
        marker = Marker(store, settings=replace(QUICK, mark_queue_max=10))
        for number in range(25):
            marker.mark(mark_of(number))
        await marker.close()
        marker.mark(mark_of(99))
        await asyncio.sleep(1)
        assert store.marked == [10]

    simulate(check())


def test_marks_that_cannot_be_written_are_given_up() -> None:
    async def check() -> None:
        store = SlowStore()
        store.is_down = True
        marker = Marker(store, settings=QUICK)
        marker.mark(mark_of(1))
        await asyncio.sleep(1)
        store.is_down = False
        marker.mark(mark_of(2))
        await marker.close()
        assert store.marked == [1, 1]

    simulate(check())


def test_a_source_that_hangs_does_not_keep_the_process_from_closing() -> None:
    class HangingStore(MemoryRecordStore):
        async def mark(self, marks: Sequence[DeliveryMark]) -> None:
            await asyncio.sleep(3_600)

    async def check() -> None:
        marker = Marker(HangingStore(), settings=QUICK)
        marker.mark(mark_of(1))
        await marker.close()
        assert asyncio.get_running_loop().time() < QUICK.close_timeout_ms / 1000 + 1

    simulate(check())


def test_pauses_double_with_jitter_up_to_the_longest() -> None:
    back_off = BackOff(first=5, longest=300)
    for attempt in range(1, 100):
        shortest = min(5 * 2 ** (attempt - 1), 300)
        pauses = {back_off.seconds_after(attempt) for _ in range(20)}
        assert shortest <= min(pauses)
        assert max(pauses) <= shortest + 5
        assert len(pauses) > 1


def test_latencies_keep_the_latest_samples_only() -> None:
    latencies = MirrorLatencies()
    for elapsed_ms in range(10 * SAMPLES_MAX):
        latencies.note("labels", float(elapsed_ms))
    assert latencies.quantile("labels", 0.0) == 9 * SAMPLES_MAX
    assert latencies.quantile("labels", 0.5) == 9.5 * SAMPLES_MAX
    assert latencies.quantile("labels", 1.0) == 10 * SAMPLES_MAX - 1
    assert latencies.quantile("tasks", 0.5) is None
