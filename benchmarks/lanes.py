"""What lanes, marks and comparisons cost: each write with a lane against the same one without, in turn."""

import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from adapters.embedded_postgres.record_store import EmbeddedPostgresRecordStore
from adapters.mongo.record_store import MongoRecordStore
from adapters.monty.record_store import MontyRecordStore
from adapters.ownership import control
from adapters.ownership.checkpoints import checkpoint_closed, compared
from adapters.ownership.control import Ownership
from adapters.ownership.process_identity import this_process
from adapters.records.change_set import ChangeSet, LaneStamp, stamped
from adapters.records.lane_slots import new_lane
from adapters.records.lanes import LanedStore
from benchmarks.processes import stand_in_mongo
from benchmarks.records import task_change
from benchmarks.report import Report, at_most

SECTION = "Lanes"
COMMITS, BATCHES, BATCH, COMPARISONS, ROUNDS = 400, 60, 32, 200, 5
GROUP, GROUPS = 8, 40
CLOSED = (200, 10_000)
"""About what a year of weekly deploys leaves, and what a network leaves that loses an answer every hour."""
TOGETHER = 100
FOREIGN = 4_711

Call = Callable[[Any], Awaitable[Any]]
Pair = tuple[Call, Call, Any, Any]
"""The call without and the one with a lane, and what each of them gets."""


async def measure(report: Report) -> None:
    """Commits on every store, mirror batches, and the comparison of both stores."""
    with tempfile.TemporaryDirectory(prefix="tandem-bench-", ignore_cleanup_errors=True) as folder:
        pairs: list[tuple[str, LanedStore, LanedStore]] = []
        for name in ("monty", "postgres"):
            plain, laned = _store(name, folder, "plain"), _store(name, folder, "laned")
            for store in (plain, laned):
                await store.open()
                await store.prepare()
            await _admit(laned)
            pairs.append((name, plain, laned))
        changes = _Changes()
        for name, plain, laned in pairs:
            await _commits(report, name, (plain, laned), changes)
        (_, _, source), (_, plain_target, target) = pairs
        await _batches(report, (plain_target, target), changes)
        await _comparison(report, source, target)
        for _, plain, laned in pairs:
            await plain.close()
            await laned.close()
    with stand_in_mongo() as uri:
        await _groups(report, uri, changes)


def _store(name: str, folder: str, kind: str) -> LanedStore:
    # The account that runs PostgreSQL reaches it if this process is root.
    Path(folder).chmod(0o755)
    directory = Path(folder) / kind
    if name == "monty":
        return MontyRecordStore(directory / "monty", database=f"bench_{secrets.token_hex(4)}")
    return EmbeddedPostgresRecordStore(directory / "postgres")


async def _admit(store: LanedStore) -> None:
    held = await control.write(store, Ownership.of_owner(store.name), over=None)
    store.admit(held.admission(this_process()))
    await store.register()


class _Changes:
    """Change sets that create tasks; ids never repeat."""

    def __init__(self) -> None:
        self._made = 0

    def next(self, count: int) -> list[ChangeSet]:
        """So many more."""
        first, self._made = self._made, self._made + count
        return [task_change(number, 1, number) for number in range(first, first + count)]


async def _commits(
    report: Report, name: str, stores: tuple[LanedStore, LanedStore], changes: _Changes
) -> None:
    plain, laned = stores
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        pairs = [(plain.commit, laned.commit, change, change) for change in changes.next(COMMITS)]
        await _measure_in_turn(pairs, times)
    _add(report, f"commit with a lane against one without, {name}", times, 1.10)


async def _groups(report: Report, uri: str, changes: _Changes) -> None:
    """Groups of commits at the same time, each with a lane of its own."""
    plain, laned = (MongoRecordStore(uri, f"bench_{name}", timeout_ms=60_000) for name in ("plain", "laned"))
    for store in (plain, laned):
        await store.open()
        await store.prepare()
    await _admit(laned)

    async def commit_all(store: LanedStore, group: Sequence[ChangeSet]) -> None:
        await asyncio.gather(*(store.commit(change) for change in group))

    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        groups = [changes.next(GROUP) for _ in range(GROUPS)]
        pairs = [(partial(commit_all, plain), partial(commit_all, laned), group, group) for group in groups]
        await _measure_in_turn(pairs, times)
    _add(report, f"{GROUP} commits at once with lanes against without, stand-in for MongoDB", times, 1.10)
    for store in (plain, laned):
        await store.close()


async def _batches(report: Report, stores: tuple[LanedStore, LanedStore], changes: _Changes) -> None:
    """The batch with a lane also notes what was seen of the lane of its entries."""
    plain, laned = stores
    times: tuple[list[float], list[float]] = ([], [])
    number = 0
    for _ in range(ROUNDS):
        pairs = []
        for batch in [changes.next(BATCH) for _ in range(BATCHES)]:
            number += 1
            marked = [stamped(change, LaneStamp(FOREIGN, number)) for change in batch]
            pairs.append((plain.apply, laned.apply, batch, marked))
        await _measure_in_turn(pairs, times)
    _add(report, f"mirror batch of {BATCH} with lane and marks against one without", times, 1.03)


async def _comparison(report: Report, source: LanedStore, target: LanedStore) -> None:
    """Reads both stores and compares, as in each round of the relay."""
    for store in (source, target):
        held = await control.read(store)
        if held is not None:
            store.admit(held.admission(this_process()))
            await store.register()
    # The batches carried marks of a lane that the source does not have.
    await target.lower({FOREIGN: 0})
    present = 0
    for closed in CLOSED:
        for store in (source, target):
            await _close_lanes(store, closed - present)
        present = closed
        await checkpoint_closed(source, target, await compared(source, target))

        async def once(_: object) -> None:
            held = await control.read(target)
            if held is None or not (await compared(source, target)).is_clean:
                raise AssertionError("neither store should be an older copy")

        elapsed = [await _median_us(once, range(COMPARISONS)) / 1_000 for _ in range(ROUNDS)]
        name = f"comparison of both stores with {closed:,} closed lanes in each"
        value = statistics.median(elapsed)
        raw = f"p50 of {COMPARISONS}: {value:.2f} ms"
        report.add(SECTION, at_most(name, value, 2, unit="ms", raw=raw))


async def _close_lanes(store: LanedStore, count: int) -> None:
    """Adds so many closed lanes: a checkpoint is one."""
    for first in range(0, count, TOGETHER):
        group = range(first, min(first + TOGETHER, count))
        await asyncio.gather(*(store.add_checkpoint({}, checkpoint=new_lane()) for _ in group))


def _add(report: Report, name: str, times: tuple[Sequence[float], Sequence[float]], bound: float) -> None:
    without, with_lane = map(statistics.median, times)
    ratio = statistics.median(laned / plain for plain, laned in zip(*times, strict=True))
    raw = f"without {without:.0f} µs, with {with_lane:.0f} µs (p50)"
    report.add(SECTION, at_most(name, ratio, bound, raw=raw))


async def _measure_in_turn(pairs: Sequence[Pair], times: tuple[list[float], list[float]]) -> None:
    """Adds the median of each side, in µs. The sides take turns call by call, and at being the first, because other
    processes disturb both.
    """
    taken: tuple[list[float], list[float]] = ([], [])
    for number, (plain, laned, without, with_lane) in enumerate(pairs):
        calls = [(0, plain, without), (1, laned, with_lane)]
        for side, call, item in calls if number % 2 else reversed(calls):
            began = time.perf_counter_ns()
            await call(item)
            taken[side].append((time.perf_counter_ns() - began) / 1e3)
            await asyncio.sleep(0)
    for side in (0, 1):
        times[side].append(statistics.median(taken[side]))


async def _median_us(work: Callable[[Any], Awaitable[Any]], items: Sequence[Any]) -> float:
    times = []
    for item in items:
        began = time.perf_counter_ns()
        await work(item)
        times.append((time.perf_counter_ns() - began) / 1e3)
        await asyncio.sleep(0)
    return statistics.median(times)
