"""MontyDB under our record store: does anything grow with the collection?"""

import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import ChangeSet, Put
from adapters.records.criteria import AllOf, Equals, Order, Question
from adapters.records.record import ID
from adapters.records.specs import TASKS
from benchmarks.records import task_change, task_id, task_record
from benchmarks.report import Report, at_most

SECTION = "MontyDB"
SMALL, LARGE = 100, 100_000
OWNERS = 100
PAGE = 1_000
LOOKUPS = 3_000


async def measure(report: Report) -> None:
    """By id, compare-and-set, indexed questions, and opening."""
    small = await _filled(None, SMALL)
    large = await _filled(None, LARGE)
    by_id_small, by_id_large = await _by_id(small, SMALL), await _by_id(large, LARGE)
    raw = f"{SMALL}: {by_id_small:.1f} µs, {LARGE}: {by_id_large:.1f} µs (median of {LOOKUPS})"
    report.add(SECTION, at_most("by id at 100,000 documents", by_id_large, 60, unit="µs", raw=raw))
    report.add(SECTION, at_most("by id, 100,000 against 100", by_id_large / by_id_small, 1.5, raw=raw))
    compare_and_set, with_entry = await _compare_and_set(large)
    raw = f"one put alone {compare_and_set:.1f} µs; with its audit entry {with_entry:.1f} µs"
    report.add(SECTION, at_most("compare-and-set in memory", compare_and_set, 120, unit="µs", raw=raw))
    per_match, matches = await _indexed(large)
    raw = f"{matches} matches, ordered, records copied out"
    report.add(SECTION, at_most("indexed question, each match", per_match, 20, unit="µs", raw=raw))
    await small.close()
    await large.close()
    await _opening(report)


async def _filled(directory: Path | None, count: int) -> MontyRecordStore:
    store = MontyRecordStore(
        directory, database=f"bench_{secrets.token_hex(4)}" if directory is None else "bench"
    )
    await store.open()
    await store.prepare()
    for start in range(0, count, PAGE):
        puts = tuple(
            Put(TASKS.collection, _owned(number), 0) for number in range(start, min(start + PAGE, count))
        )
        await store.commit(ChangeSet(puts))
    return store


def _owned(number: int) -> dict[str, object]:
    return {**task_record(number), "ownerId": f"{number % OWNERS:024x}"}


async def _timed(work: Callable[[int], Awaitable[object]], rounds: int) -> float:
    """The median time of one call in microseconds."""
    times = []
    for index in range(rounds):
        began = time.perf_counter_ns()
        await work(index)
        times.append((time.perf_counter_ns() - began) / 1_000)
    return statistics.median(times)


async def _by_id(store: MontyRecordStore, count: int) -> float:
    ids = [task_id((index * 7_919) % count) for index in range(LOOKUPS)]
    return await _timed(lambda index: store.fetch(TASKS.collection, [ids[index]]), LOOKUPS)


async def _compare_and_set(store: MontyRecordStore) -> tuple[float, float]:
    bare = [ChangeSet((Put(TASKS.collection, task_record(n, 2), 1),)) for n in range(1_000)]
    full = [task_change(n, 2, n) for n in range(1_000, 2_000)]
    return (
        await _timed(lambda index: store.commit(bare[index]), len(bare)),
        await _timed(lambda index: store.commit(full[index]), len(full)),
    )


async def _indexed(store: MontyRecordStore) -> tuple[float, int]:
    where = AllOf((Equals("ownerId", f"{77:024x}"), Equals("isDeleted", False)))
    question = Question(collection=TASKS.collection, where=where, order=Order("createdAt"), limit=PAGE)
    matches = len(await store.find(question))
    whole = await _timed(lambda _: store.find(question), 15)
    return whole / matches, matches


async def _opening(report: Report) -> None:
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        directory = Path(folder)
        store = await _filled(directory, LARGE)
        await store.close()
        again = MontyRecordStore(directory, database="bench")
        began = time.perf_counter()
        await again.open()
        await again.prepare()
        seconds = time.perf_counter() - began
        found = await again.fetch(TASKS.collection, [task_id(LARGE - 1)])
        files = _mebibytes(directory)
        one, many = await _commits(again)
        await again.close()
    raw = f"{files:.0f} MiB, last record there: {found[task_id(LARGE - 1)][ID] == task_id(LARGE - 1)}"
    report.add(SECTION, at_most("opening 100,000 documents (sqlite)", seconds, 5, unit="s", raw=raw))
    raw = f"alone {1 / one:.0f} a second, 32 at once {1 / many:.0f} a second"
    report.add(SECTION, at_most("durable commit, 32 at once against alone", many / one, 1, raw=raw))


def _mebibytes(directory: Path) -> float:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 2**20


async def _commits(store: MontyRecordStore) -> tuple[float, float]:
    """Seconds per durable commit: one after the other, and 32 at once."""
    alone = 200
    began = time.perf_counter()
    for number in range(alone):
        await store.commit(task_change(number, 2, 10_000 + number))
    one = (time.perf_counter() - began) / alone
    together = [task_change(number, 2, 20_000 + number) for number in range(1_000, 1_000 + 32 * 40)]
    began = time.perf_counter()
    await asyncio.gather(*(_in_turn(store, together[start::32]) for start in range(32)))
    return one, (time.perf_counter() - began) / len(together)


async def _in_turn(store: MontyRecordStore, change_sets: list[ChangeSet]) -> None:
    for change_set in change_sets:
        await store.commit(change_set)
