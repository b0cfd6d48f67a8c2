"""MontyDB over SQLite: the figures with bounds, on disk and with 100,000 tasks unless stated otherwise.

`python -m benchmarks.embedded_store million` measures the figures for 1,000,000 tasks; filling takes minutes.
"""

import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil

from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import ChangeSet, Put
from adapters.records.criteria import RELEVANCE, AllOf, Criterion, HasWords, Order, Question
from adapters.records.record import VERSION, Record
from benchmarks.lists import COUNT, LIMIT, LISTS, LIVE, MEMBER_LISTS, NEWEST, SEEN, fill, search_texts
from benchmarks.records import entry_record, task_id
from benchmarks.report import Report, at_least, at_most

T = TypeVar("T")
SECTION = "MontyDB over SQLite"
LARGE = 1_000_000
LOOKUPS, COMMITS, REPEATS, ROUNDS = 2_000, 1_000, 15, 5
WRITERS = 32
BY_ID_US_MAX = {COUNT: 25, LARGE: 40}
OPENING_MS_MAX = {COUNT: 50, LARGE: 100}
OPENING_MIB_MAX = {COUNT: 60, LARGE: 100}
EVERYBODYS_MS_MAX, MEMBERS_MS_MAX = 0.5, 1.5
SEARCH_MS_MAX = 5
FREQUENT_MS_MAX = 15
BEST = Order(RELEVANCE, descending=True)


async def measure(report: Report) -> None:
    """The figures for 100,000 tasks."""
    await _in_memory(report)
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        directory = Path(folder) / "monty"
        await _filled(directory, COUNT)
        _opening(report, directory, COUNT)
        store = MontyRecordStore(directory)
        await store.open()
        await _by_id(report, store, COUNT)
        await _pages(report, store)
        await _searches(report, store)
        await _counts(report, store)
        await _group_commits(report, store)
        await store.close()


async def measure_million(report: Report) -> None:
    """The figures for 1,000,000 tasks."""
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        directory = Path(folder) / "monty"
        await _filled(directory, LARGE)
        _opening(report, directory, LARGE)
        store = MontyRecordStore(directory)
        await store.open()
        await _by_id(report, store, LARGE)
        await store.close()


async def _filled(directory: Path, count: int) -> None:
    store = MontyRecordStore(directory)
    await store.open()
    await fill(store, count=count)
    await store.close()


async def _in_memory(report: Report) -> None:
    store = MontyRecordStore(None)
    await store.open()
    await fill(store)
    changes = await _changes(store, COMMITS, COUNT)
    times = await _times(store.commit, changes, unit="µs")
    _add(report, "update with its entry, in memory", times, 120, unit="µs")
    await store.close()


async def _changes(store: MontyRecordStore, count: int, size: int) -> list[ChangeSet]:
    """Updates that change the title of scattered tasks, each with its entry."""
    ids = [task_id(number) for number in random.Random(3).sample(range(size), count)]
    records: dict[str, Record] = {}
    for start in range(0, count, 500):
        records |= await store.fetch("tasks", ids[start : start + 500])
    return [_change(records[record_id], number) for number, record_id in enumerate(ids)]


def _change(before: Record, number: int) -> ChangeSet:
    after = {**before, VERSION: before[VERSION] + 1, "title": f"{before['title']} {number}"}
    return ChangeSet((Put("tasks", after, before[VERSION]),), (entry_record(after, before, number),))


async def _group_commits(report: Report, store: MontyRecordStore) -> None:
    changes = await _changes(store, ROUNDS * 2 * COMMITS, COUNT)
    rates = []
    for start in range(0, len(changes), 2 * COMMITS):
        waiting = iter(changes[start : start + 2 * COMMITS])
        began = time.perf_counter()
        await asyncio.gather(*(_commit_each(store, waiting) for _ in range(WRITERS)))
        rates.append(2 * COMMITS / (time.perf_counter() - began))
    raw = f"rounds: {', '.join(f'{rate:.0f}' for rate in rates)}"
    name = f"updates with entries, {WRITERS} at once"
    report.add(SECTION, at_least(name, statistics.median(rates), 3_500, unit="/s", raw=raw))


async def _commit_each(store: MontyRecordStore, changes: Iterator[ChangeSet]) -> None:
    for change in changes:
        await store.commit(change)


def _opening(report: Report, directory: Path, count: int) -> None:
    """Measured in new processes, because memory is measured."""
    command = [sys.executable, "-m", "benchmarks.embedded_store", "open", str(directory)]
    found = [json.loads(subprocess.check_output(command, text=True)) for _ in range(ROUNDS)]
    size = sum(path.stat().st_size for path in directory.iterdir()) / 2**20
    times = [one["ms"] for one in found]
    _add(report, f"opening {count:,} tasks", times, OPENING_MS_MAX[count], note=f"file {size:.0f} MiB; ")
    used = [one["mib"] for one in found]
    name = f"memory above start with {count:,} tasks, after a page in every order and a search"
    _add(report, name, used, OPENING_MIB_MAX[count], unit="MiB")


async def _open_and_use(directory: Path) -> dict[str, float]:
    process = psutil.Process()
    before = process.memory_info().rss
    store, began = MontyRecordStore(directory), time.perf_counter()
    await store.open()
    ms = (time.perf_counter() - began) * 1_000
    for question in (*_everybodys().values(), *_members().values(), _search("basin", BEST)):
        await store.find(question)
    used = process.memory_info().rss
    await store.close()
    return {"ms": ms, "mib": (used - before) / 2**20}


async def _by_id(report: Report, store: MontyRecordStore, count: int) -> None:
    ids = [[task_id(number)] for number in random.Random(5).choices(range(count), k=LOOKUPS)]
    times = await _times(partial(store.fetch, "tasks"), ids, unit="µs")
    _add(report, f"by id, {count:,} tasks", times, BY_ID_US_MAX[count], unit="µs")


def _everybodys() -> dict[str, Question]:
    return {
        name: Question(collection="tasks", where=where, order=order, limit=LIMIT)
        for name, (where, order) in LISTS.items()
    }


def _members() -> dict[str, Question]:
    return {
        name: Question(collection="tasks", where=where, order=order, limit=LIMIT)
        for name, (where, order) in MEMBER_LISTS.items()
    }


async def _pages(report: Report, store: MontyRecordStore) -> None:
    for questions, bound in ((_everybodys(), EVERYBODYS_MS_MAX), (_members(), MEMBERS_MS_MAX)):
        for name, question in questions.items():
            times = await _times(store.find, [question] * REPEATS)
            _add(report, f"page of {LIMIT}: {name}", times, bound, note=f"the first {times[0]:.2f}, ")


def _search(text: str, order: Order) -> Question:
    return Question(collection="tasks", where=AllOf((LIVE, HasWords(text))), order=order, limit=LIMIT)


async def _searches(report: Report, store: MontyRecordStore) -> None:
    first = await _times(store.find, [_search(search_texts()["usual word"][7], BEST)])
    _add(report, "the first search", first, SEARCH_MS_MAX)
    for kind, texts in search_texts().items():
        for name, order in (("newest first", NEWEST), ("by relevance", BEST)):
            times = await _times(store.find, [_search(text, order) for text in texts])
            is_frequent = (kind, order) == ("frequent word", BEST)
            bound = FREQUENT_MS_MAX if is_frequent else SEARCH_MS_MAX
            _add(report, f"search: {kind}, {name}, p50", times, bound)


async def _counts(report: Report, store: MontyRecordStore) -> None:
    frequent = AllOf((LIVE, HasWords(search_texts()["frequent word"][0])))
    counts: dict[str, tuple[Criterion, float]] = {
        "all live": (LIVE, 0.5),
        "tasks visible to a member": (SEEN, 8),
        "a frequent word": (frequent, 15),
    }
    for name, (where, bound) in counts.items():
        times = await _times(partial(store.count, "tasks"), [where] * REPEATS)
        _add(
            report, f"exact count: {name}", times, bound, note=f"{await store.count('tasks', where)} tasks; "
        )


async def _times(
    call: Callable[[T], Awaitable[object]], arguments: Sequence[T], *, unit: str = "ms"
) -> list[float]:
    times = []
    for argument in arguments:
        began = time.perf_counter()
        await call(argument)
        times.append((time.perf_counter() - began) * {"ms": 1e3, "µs": 1e6}[unit])
    return times


def _add(
    report: Report, name: str, values: Sequence[float], bound: float, *, unit: str = "ms", note: str = ""
) -> None:
    """The median against its bound."""
    ordered = sorted(values)
    raw = f"{note}least {ordered[0]:.3g}, worst {ordered[-1]:.3g} of {len(ordered)}"
    report.add(SECTION, at_most(name, statistics.median(ordered), bound, unit=unit, raw=raw))


if __name__ == "__main__":
    if sys.argv[1] == "million":
        asyncio.run(measure_million(Report()))
    else:
        print(json.dumps(asyncio.run(_open_and_use(Path(sys.argv[2])))))
