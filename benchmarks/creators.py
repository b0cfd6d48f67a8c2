"""The cost of display numbers: 16 concurrent creators with and without numbers, on every store.

Tandem has no mode without them. Here the same use case gets its numbers from a counter in memory, and they are removed
from the task before it is stored: no reservation, and no value in the unique index.
"""

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from adapters.records.change_set import ChangeSet
from adapters.records.record_store import RecordStore
from adapters.records.specs import TASKS
from adapters.records.wrapped_store import WrappedStore
from adapters.repositories.display_numbers import StoredDisplayNumbers
from adapters.repositories.unit_of_work import StoredUnitOfWork
from application.actor import Actor, system_actor
from application.tasks.commands import CreateTask
from benchmarks.processes import stand_in_mongo
from benchmarks.report import Report, at_most
from domain.task import TaskChanges
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.settings import read_settings
from entrypoints.composition.start import start

SECTION = "Display numbers"
CREATORS = 16
EACH = 20
ROUNDS = 11
START_SECONDS_MAX = 60.0
RATIO_MAX = 1.1
CHANGES: TaskChanges = {"title": "Dig the pond", "description": "Line it with two layers of foil. " * 20}

SETTINGS: Mapping[str, Mapping[str, str]] = {
    "MontyDB in memory": {"STORE": "monty", "MONTY_STORAGE": "memory"},
    "MontyDB on disk": {"STORE": "monty", "MONTY_STORAGE": "sqlite"},
    "PostgreSQL": {"STORE": "postgres", "POSTGRES_URL": "embedded"},
}


class CountedNumbers:
    """The port DisplayNumbers without a store, for creates without the cost of numbers."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    async def next(self) -> int:
        return next(self._numbers)

    async def several(self, count: int) -> Sequence[int]:
        return list(itertools.islice(self._numbers, count))

    def start_over(self) -> None:
        """Does nothing, because no number is ever taken."""


class WithoutNumbers(WrappedStore):
    """Stores tasks without their numbers."""

    async def commit(self, change_set: ChangeSet) -> None:
        puts = tuple(
            replace(put, record={**put.record, "displayId": None})
            if put.collection == TASKS.collection
            else put
            for put in change_set.puts
        )
        await super().commit(replace(change_set, puts=puts))


class Reservations(WrappedStore):
    """Counts and times the reservations of numbers."""

    def __init__(self, inner: RecordStore) -> None:
        super().__init__(inner)
        self.count_made = 0
        self.seconds = 0.0

    async def commit(self, change_set: ChangeSet) -> None:
        began = time.perf_counter()
        await super().commit(change_set)
        self.count_made += 1
        self.seconds += time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class Round:
    """The average of one create among 16 concurrent ones: elapsed time, and CPU time of this process."""

    ms: float
    cpu_ms: float


async def measure(report: Report) -> None:
    """Each store alone, because a mirror would cost both the same."""
    for name, settings in SETTINGS.items():
        await _measure_store(report, name, settings)
    with stand_in_mongo() as uri:
        await _measure_store(report, "stand-in for MongoDB", {"STORE": "mongo", "MONGODB_URI": uri})


async def _measure_store(report: Report, name: str, settings: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory(prefix="tandem-bench-", ignore_cleanup_errors=True) as directory:
        # If this process is root, PostgreSQL runs under another account.
        Path(directory).chmod(0o755)  # noqa: ASYNC240 - nothing else runs yet
        variables = {"APP_ENV": "test", "SLOW_QUERY_MS": "60000", "DATA_DIR": directory, **settings}
        container = build_container(read_settings(variables))
        try:
            await start(container, within_seconds=START_SECONDS_MAX)
            await _compare(report, name, container)
        finally:
            await container.stack().close()


async def _compare(report: Report, name: str, container: Container) -> None:
    """Both variants in turn, so that changes in the machine's speed affect both."""
    store, clock, identifiers = container.stack().store, container.clock(), container.identifiers()
    reservations = Reservations(store)
    numbered = CreateTask(
        partial(StoredUnitOfWork, store, identifiers), clock, identifiers, StoredDisplayNumbers(reservations)
    )
    plain = CreateTask(
        partial(StoredUnitOfWork, WithoutNumbers(store), identifiers), clock, identifiers, CountedNumbers()
    )
    actor = system_actor("bench")
    await _round(numbered, actor)
    await _round(plain, actor)
    reservations.count_made, reservations.seconds = 0, 0.0
    rounds = [(await _round(numbered, actor), await _round(plain, actor)) for _ in range(ROUNDS)]
    made = ROUNDS * CREATORS * EACH
    reserving_ms = reservations.seconds * 1_000 / max(1, reservations.count_made)
    raw = (
        f"{_median(one.ms for one, _ in rounds):.3f} ms against {_median(two.ms for _, two in rounds):.3f} ms each, "
        f"{CREATORS} at once, {ROUNDS} rounds of {CREATORS * EACH} in turn; by CPU "
        f"{_median(one.cpu_ms / two.cpu_ms for one, two in rounds):.3f}; {reservations.count_made} reservations of "
        f"{reserving_ms:.2f} ms for {made} tasks"
    )
    ratio = _median(one.ms / two.ms for one, two in rounds)
    title = f"{name}: a create with a number against one without"
    report.add(SECTION, at_most(title, ratio, RATIO_MAX, raw=raw))


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


async def _round(create: Callable[[Actor, TaskChanges], Awaitable[object]], actor: Actor) -> Round:
    async def creator() -> None:
        for _ in range(EACH):
            await create(actor, CHANGES)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(creator() for _ in range(CREATORS)))
    made = CREATORS * EACH
    return Round((time.perf_counter() - began) * 1_000 / made, (time.process_time() - cpu) * 1_000 / made)
