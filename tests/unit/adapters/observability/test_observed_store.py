"""An observed store answers as the store does, and counts its operations."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from loguru import logger

from adapters.observability.observed_store import SEVERAL, ObservedStore
from adapters.observability.recent_errors import RecentErrors
from adapters.observability.slow_operations import SLOW_OPERATIONS_MAX
from adapters.observability.store_metrics import NAME
from adapters.records.change_set import ChangeSet, DeliveryMark
from adapters.records.criteria import EVERYTHING, Question
from adapters.records.record_store import RecordStore
from domain.audit import SyncStatus
from domain.errors import StoreUnavailable, VersionConflict
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    fetched,
    label,
    minutes,
    numbered_id,
    put,
    same,
    task,
)
from tests.unit.contracts.record_store import RecordStoreContract
from tests.unit.faults import FaultyStore, Step, Weather
from tests.unit.memory_store import MemoryRecordStore

NEVER_SLOW_MS = 600_000
NOW = datetime(2025, 3, 1, tzinfo=UTC)


class StoppedClock:
    def now(self) -> datetime:
        return NOW


def observed(store: RecordStore, *, slow_ms: float = NEVER_SLOW_MS) -> ObservedStore:
    return ObservedStore(store, slow_ms=slow_ms, clock=StoppedClock(), errors=RecentErrors(store))


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    """Everything that is logged during the test: level, message and facts."""
    noted: list[dict[str, Any]] = []
    sink = logger.add(
        lambda message: noted.append(
            {
                "level": message.record["level"].name,
                "message": message.record["message"],
                **message.record["extra"],
            }
        ),
        format="{message}",
    )
    yield noted
    logger.remove(sink)


class TestObservedStore(RecordStoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[RecordStore]:
        store = observed(MemoryRecordStore())
        await store.open()
        await store.prepare()
        yield store
        await store.close()


class TestCounting:
    async def test_every_operation_is_counted_under_its_collection(self) -> None:
        store = observed(MemoryRecordStore())
        await store.ping()
        await commit_all(store, "tasks", task(1))
        await store.commit(change_set(put("tasks", task(2)), put("labels", label(1))))
        await store.apply([ChangeSet((put("labels", label(2)),))])
        await store.apply([])
        await store.fetch("tasks", [numbered_id(1)])
        await store.fetch("tasks", [numbered_id(2)])
        await store.find(Question(collection="labels", limit=1))
        await store.count("tasks", EVERYTHING)
        await store.scan("users", after=None, limit=1)
        await store.mark([DeliveryMark(entry_id=numbered_id(1), status=SyncStatus.SYNCED, at=minutes(1))])
        counted = {
            ("ping", SEVERAL): 1,
            ("commit", "tasks"): 1,
            ("commit", SEVERAL): 1,
            ("apply", "labels"): 1,
            ("apply", SEVERAL): 1,
            ("fetch", "tasks"): 2,
            ("find", "labels"): 1,
            ("count", "tasks"): 1,
            ("scan", "users"): 1,
            ("mark", "audit_logs"): 1,
        }
        assert {key: store.metrics.count_of(*key, "ok") for key in counted} == counted

    async def test_a_rejection_is_no_outage(self) -> None:
        weather = Weather()
        store = observed(FaultyStore(MemoryRecordStore(), weather))
        with pytest.raises(VersionConflict):
            await store.commit(change_set(put("tasks", task(1, version=2))))
        weather.is_down = True
        with pytest.raises(StoreUnavailable):
            await fetched(store, "tasks", 1)
        assert store.metrics.count_of("commit", "tasks", "rejected") == 1
        assert store.metrics.count_of("fetch", "tasks", "unavailable") == 1
        assert store.metrics.count_of("commit", "tasks", "ok") == 0

    async def test_a_bug_of_ours_is_counted_as_failed(self) -> None:
        store = observed(MemoryRecordStore())
        with pytest.raises(KeyError):
            await store.fetch("no such collection", [numbered_id(1)])
        assert store.metrics.count_of("fetch", "no such collection", "failed") == 1

    async def test_a_caller_that_leaves_is_counted_as_cancelled(self) -> None:
        arrived = asyncio.Event()

        async def never(_: Step) -> None:
            arrived.set()
            await asyncio.Event().wait()

        store = observed(FaultyStore(MemoryRecordStore(), never))
        leaving = asyncio.create_task(fetched(store, "tasks", 1))
        await arrived.wait()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert store.metrics.count_of("fetch", "tasks", "cancelled") == 1


class TestRendering:
    async def test_nothing_is_rendered_before_something_was_counted(self) -> None:
        assert observed(MemoryRecordStore()).metrics.render() == ""

    async def test_buckets_add_up_to_the_count(self) -> None:
        store = observed(MemoryRecordStore())
        series = ("fetch", "tasks", "ok")
        for seconds in (0.00005, 0.00006, 0.002, 9.0):
            store.metrics.observe(series, seconds)
        labels = 'store="memory",operation="fetch",collection="tasks",outcome="ok"'
        lines = store.metrics.render().splitlines()
        assert lines[:2] == [
            f"# HELP {NAME} Durations of store operations.",
            f"# TYPE {NAME} histogram",
        ]
        counts = {
            line.partition('le="')[2].partition('"')[0]: line.split()[-1] for line in lines if "le=" in line
        }
        assert counts == {
            "5e-05": "1",
            "0.0001": "2",
            "0.00025": "2",
            "0.0005": "2",
            "0.001": "2",
            "0.0025": "3",
            "0.005": "3",
            "0.01": "3",
            "0.025": "3",
            "0.1": "3",
            "0.5": "3",
            "1": "3",
            "5": "3",
            "+Inf": "4",
        }
        assert lines[-2:] == [f"{NAME}_sum{{{labels}}} 9.002110000", f"{NAME}_count{{{labels}}} 4"]


class TestSlowOperations:
    async def test_a_slow_operation_is_logged_without_values(self, events: list[dict[str, Any]]) -> None:
        store = observed(MemoryRecordStore(), slow_ms=0)
        await commit_all(store, "tasks", task(1, title="Very private"))
        (slow,) = store.slow_operations.newest()
        assert (slow.at, slow.store, slow.operation) == (NOW, "memory", "commit")
        assert (slow.collection, slow.outcome) == ("tasks", "ok")
        assert slow.duration_ms >= 0
        assert events == [
            {
                "level": "WARNING",
                "message": "Slow store operation.",
                "count": 1,
                "store": "memory",
                "operation": "commit",
                "collection": "tasks",
                "outcome": "ok",
                "duration_ms": slow.duration_ms,
            }
        ]
        assert "private" not in f"{events}{slow}"
        assert numbered_id(1) not in f"{events}{slow}"

    async def test_many_at_once_are_all_kept_and_logged_once(self, events: list[dict[str, Any]]) -> None:
        store = observed(MemoryRecordStore(), slow_ms=0)
        for number in range(5):
            await commit_all(store, "tasks", task(number))
        assert len(store.slow_operations.newest()) == 5
        assert len(events) == 1

    async def test_a_slow_failure_is_noted_too(self, events: list[dict[str, Any]]) -> None:
        weather = Weather()
        weather.is_down = True
        store = observed(FaultyStore(MemoryRecordStore(), weather), slow_ms=0)
        with pytest.raises(StoreUnavailable):
            await fetched(store, "tasks", 1)
        assert [(one.operation, one.outcome) for one in store.slow_operations.newest()] == [
            ("fetch", "unavailable")
        ]
        assert events[0]["outcome"] == "unavailable"

    async def test_a_quick_operation_is_not_slow(self, events: list[dict[str, Any]]) -> None:
        store = observed(MemoryRecordStore())
        await commit_all(store, "tasks", task(1))
        assert same(await fetched(store, "tasks", 1), task(1))
        assert store.slow_operations.newest() == ()
        assert events == []

    async def test_the_bound_alone_decides_which_operations_are_slow(self) -> None:
        weather = Weather()
        weather.latency_seconds = 0.03
        store = observed(FaultyStore(MemoryRecordStore(), weather), slow_ms=20)
        await fetched(store, "tasks", 1)
        (slow,) = store.slow_operations.newest()
        assert slow.duration_ms >= 20

    async def test_the_newest_are_kept(self) -> None:
        store = observed(MemoryRecordStore(), slow_ms=0)
        for _ in range(SLOW_OPERATIONS_MAX):
            await fetched(store, "labels", 1)
        await fetched(store, "tasks", 1)
        newest = store.slow_operations.newest()
        assert len(newest) == SLOW_OPERATIONS_MAX
        assert [newest[0].collection, newest[1].collection] == ["tasks", "labels"]
