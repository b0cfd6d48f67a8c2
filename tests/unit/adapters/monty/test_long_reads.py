"""Long reads leave the event loop to others, and end when nobody waits for them any more."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.monty.tuning import Tuning
from adapters.records.criteria import AllOf, Equals, HasWords, NotNull, Order, Question
from tests.unit.contracts.builders import change_set, commit_all, fetched, put, task

MANY = 3_000
UNINDEXED = Question(collection="tasks", where=Equals("nowhere", "x"), order=Order("nowhere"), limit=10)
"""The matcher looks at every task."""


@pytest.fixture(params=["memory", "file"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MontyRecordStore]:
    store = MontyRecordStore(None if request.param == "memory" else tmp_path / "data")
    await store.open()
    # Without entries of the audit trail, which nobody reads here and which would take as long again.
    tasks = (put("tasks", task(number, title="Dig the pond")) for number in range(MANY))
    await store.commit(change_set(*tasks, entries=()))
    yield store
    await store.close()


@pytest.mark.parametrize("where", [HasWords("pond"), NotNull("nowhere"), AllOf(())])
async def test_a_long_count_lets_others_work(
    store: MontyRecordStore, where: HasWords | NotNull | AllOf
) -> None:
    counted = asyncio.create_task(store.count("tasks", where))
    turns = 0
    while not counted.done():
        await asyncio.sleep(0)
        turns += 1
    assert await counted == (0 if isinstance(where, NotNull) else MANY)
    assert turns >= 3


async def test_a_read_is_interrupted_when_its_caller_goes(store: MontyRecordStore) -> None:
    began = time.perf_counter()
    await store.find(UNINDEXED)
    whole = time.perf_counter() - began
    reads = [asyncio.create_task(store.find(UNINDEXED)) for _ in range(20)]
    await asyncio.sleep(whole / 10)
    for read in reads:
        read.cancel()
    began = time.perf_counter()
    await asyncio.gather(*reads, return_exceptions=True)
    assert await store.find(UNINDEXED) == []
    assert time.perf_counter() - began < 5 * whole
    assert all(read.cancelled() for read in reads)


async def test_commits_go_on_beside_long_reads(store: MontyRecordStore) -> None:
    reads = [asyncio.create_task(store.find(UNINDEXED)) for _ in range(5)]
    await asyncio.sleep(0)
    for version in range(2, 6):
        await store.commit(change_set(put("tasks", task(1, version=version, title=f"Version {version}"))))
        assert await fetched(store, "tasks", 1) == task(1, version=version, title=f"Version {version}")
    assert await asyncio.gather(*reads) == [[]] * 5


async def test_closing_waits_for_what_is_being_read(tmp_path: Path) -> None:
    store = MontyRecordStore(tmp_path)
    await store.open()
    await commit_all(store, "tasks", *(task(number) for number in range(500)))
    read = asyncio.create_task(store.count("tasks", NotNull("title")))
    await asyncio.sleep(0)
    await store.close()
    assert await read == 500


async def test_what_takes_longer_than_the_budget_is_answered_by_a_thread() -> None:
    store = MontyRecordStore(None, tuning=Tuning(on_loop_ms=0.01, on_loop_rows_max=1_000_000))
    await store.open()
    await commit_all(store, "tasks", *(task(number, priority=number % 3 + 1) for number in range(2_000)))
    question = Question(collection="tasks", where=AllOf(()), order=Order("priority"), limit=2_000)
    asked = asyncio.create_task(store.find(question))
    turns = 0
    while not asked.done():
        await asyncio.sleep(0)
        turns += 1
    assert [one["priority"] for one in await asked] == sorted(number % 3 + 1 for number in range(2_000))
    assert turns >= 3
    await store.close()
