"""Several processes load ranges of one backfill; whichever of them ends or sleeps, every record arrives."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.migration.backfill import Backfill
from adapters.migration.checkpoints import Claim, RangeCheckpoint, checkpoints_of
from adapters.migration.range_claims import RangeClaims
from adapters.migration.range_loader import BackfillSettings
from adapters.monty.record_store import MontyRecordStore
from adapters.ownership.comparison import LEASE_SECONDS
from adapters.records.change_set import ChangeSet, Put
from adapters.records.lanes import ProcessIdentity
from adapters.records.loading import Loaded
from adapters.records.record import ID, Record
from adapters.records.wrapped_store import WrappedStore
from domain.errors import Conflict, StoreUnavailable
from tests.unit.adapters.migration.backfill_world import HERE, are_equal, backfill, ignore, two_stores
from tests.unit.adapters.ownership.world import Service, World, world_in_memory
from tests.unit.contracts.builders import put, task

TASKS = 200
RANGES = 4
SECONDS_MAX = 30.0


class Held(WrappedStore):
    """A target in which the loads of tasks of one process wait, or fail, until it is let go."""

    def __init__(self, inner: MontyRecordStore) -> None:
        super().__init__(inner)
        self._store = inner
        self.go = asyncio.Event()
        self.go.set()
        self.reached = asyncio.Event()
        self.error: Exception | None = None
        self.loaded: set[str] = set()

    async def load(self, collection: str, records: Sequence[Record], *, checkpoint: Put | None) -> Loaded:
        if collection == "tasks" and records:
            self.reached.set()
            await self.go.wait()
            if self.error is not None:
                raise self.error
        loaded = await self._store.load(collection, records, checkpoint=checkpoint)
        if collection == "tasks":
            self.loaded |= {record[ID] for record in records}
        return loaded


@dataclass
class Processes:
    """Two processes; `ended` are those that are known not to run."""

    world: World
    first: Service
    second: Service
    ended: set[str] = field(default_factory=set)

    def backfill(
        self, service: Service, target: Any = None, *, run: str = "run", **settings: Any
    ) -> Backfill:
        """The backfill as one of them loads it."""
        claims = RangeClaims(service.raw_source, Claim(service.side.me, run), self._is_gone)
        return Backfill(
            service.raw_source,
            target or service.raw_target,
            destination=HERE,
            settings=BackfillSettings(ranges=RANGES, range_records_min=25, page_max=10, **settings),
            claims=claims,
        )

    def _is_gone(self, by: ProcessIdentity) -> bool:
        return by.process in self.ended

    async def ranges(self) -> list[RangeCheckpoint]:
        return await checkpoints_of(self.world.target.store, "tasks", HERE)

    async def until_done(self, count: int) -> None:
        """Waits until so many ranges of tasks are loaded."""
        while True:
            if sum(one.is_done for one in await self.ranges()) >= count:
                return
            await asyncio.sleep(0.01)

    async def are_equal(self) -> bool:
        return await are_equal(self.world.source.store, self.world.target.store)


@pytest.fixture
async def processes() -> Processes:
    world = await world_in_memory()
    first = await Service(world, "first").start()
    second = await Service(world, "second").join(first)
    for number in range(1, TASKS + 1):
        await first.source.commit(ChangeSet((put("tasks", task(number)),)))
    return Processes(world, first, second)


async def _helped(helper: Backfill, until: "asyncio.Task[int]") -> None:
    """Looks for ranges again and again, as the job of a worker does."""
    while not until.done():
        await helper.help()
        await asyncio.sleep(0.01)


async def test_two_processes_load_ranges_of_one_backfill(processes: Processes) -> None:
    first, second = Held(processes.first.raw_target), Held(processes.second.raw_target)
    running = asyncio.create_task(processes.backfill(processes.first, first).run(ignore))
    async with asyncio.timeout(SECONDS_MAX):
        await _helped(processes.backfill(processes.second, second), running)
    assert await running == TASKS
    assert await processes.are_equal()
    assert first.loaded
    assert second.loaded
    assert not first.loaded & second.loaded
    ranges = await processes.ranges()
    assert len(ranges) == RANGES
    assert {one.claim.by.process for one in ranges if one.claim is not None} == {"first", "second"}


@pytest.mark.parametrize("is_seen", [True, False])
async def test_the_range_of_a_helper_that_was_killed_is_loaded_by_another(
    processes: Processes, *, is_seen: bool
) -> None:
    """Its process is seen to be gone on the same machine; elsewhere its lanes fall silent."""
    held = Held(processes.second.raw_target)
    held.go.clear()
    running = asyncio.create_task(processes.backfill(processes.first).run(ignore))
    helping = asyncio.create_task(_helped(processes.backfill(processes.second, held), running))
    async with asyncio.timeout(SECONDS_MAX):
        await held.reached.wait()
        helping.cancel()
        await asyncio.gather(helping, return_exceptions=True)
        await processes.until_done(RANGES - 1)
        assert not running.done()
        if is_seen:
            processes.ended.add("second")
        else:
            await processes.world.pass_time(LEASE_SECONDS + 1, processes.first)
        assert await running == TASKS
    assert await processes.are_equal()


async def test_a_helper_that_sleeps_stores_nothing_in_a_range_that_was_taken(processes: Processes) -> None:
    held = Held(processes.second.raw_target)
    held.go.clear()
    running = asyncio.create_task(processes.backfill(processes.first).run(ignore))
    helping = asyncio.create_task(processes.backfill(processes.second, held).help())
    async with asyncio.timeout(SECONDS_MAX):
        while not held.reached.is_set():
            if helping.done():
                helping = asyncio.create_task(processes.backfill(processes.second, held).help())
            await asyncio.sleep(0.01)
        processes.ended.add("second")
        assert await running == TASKS
        before = await processes.ranges()
        held.go.set()
        await helping
    assert held.loaded == set()
    assert await processes.ranges() == before
    assert {one.claim.by.process for one in before if one.claim is not None} == {"first"}


@pytest.mark.parametrize("error", [Conflict("Too many."), RuntimeError("An error in the process.")])
async def test_a_helper_that_fails_gives_its_range_back(processes: Processes, error: Exception) -> None:
    held = Held(processes.second.raw_target)
    held.error = error
    running = asyncio.create_task(processes.backfill(processes.first).run(ignore))
    async with asyncio.timeout(SECONDS_MAX):
        with pytest.raises(type(error)):
            await _helped(processes.backfill(processes.second, held), running)
        assert await running == TASKS
    assert await processes.are_equal()


async def test_claims_of_an_earlier_run_are_void(processes: Processes) -> None:
    held = Held(processes.second.raw_target)
    held.go.clear()
    running = asyncio.create_task(processes.backfill(processes.second, held).run(ignore))
    async with asyncio.timeout(SECONDS_MAX):
        await held.reached.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert [one.claim is not None for one in await processes.ranges()].count(True) == 1
        await processes.backfill(processes.first, run="another run").run(ignore)
    assert await processes.are_equal()


class Ending(WrappedStore):
    """A target that is lost after so many loads, with or without storing the last one."""

    def __init__(self, inner: MontyRecordStore, *, loads: int, is_stored: bool) -> None:
        super().__init__(inner)
        self._store = inner
        self._left = loads
        self._is_stored = is_stored

    async def load(self, collection: str, records: Sequence[Record], *, checkpoint: Put | None) -> Loaded:
        self._left -= 1
        if self._left < 0 or (self._left == 0 and not self._is_stored):
            raise StoreUnavailable("It is lost.")
        loaded = await self._store.load(collection, records, checkpoint=checkpoint)
        if self._left == 0:
            raise StoreUnavailable("It is lost.")
        return loaded


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_crash_at_any_load_leaves_no_range_behind(*, is_stored: bool) -> None:
    """The ranges of a collection are stored one by one, and a later run may divide it differently."""
    explored, outcome = 0, None
    for loads in range(1, 100):
        async with two_stores() as (source, target):
            for number in range(1, 61):
                await source.commit(ChangeSet((put("tasks", task(number)),)))
            settings: dict[str, Any] = {"ranges": 4, "range_records_min": 10, "retry_seconds": 0.0}
            ending = Ending(target, loads=loads, is_stored=is_stored)
            run = backfill(source, ending, workers=2, **settings).run(ignore)
            (outcome,) = await asyncio.gather(run, return_exceptions=True)
            if not isinstance(outcome, StoreUnavailable):
                break
            explored += 1
            settings["ranges"] = 4 if loads % 2 else 1
            await backfill(source, target, **settings).run(ignore)
            assert await are_equal(source, target), loads
    assert outcome == 60
    assert explored > 15


async def test_a_helper_of_an_earlier_run_disturbs_no_later_one(processes: Processes) -> None:
    """It gives up a range that the later run has begun to load by itself."""
    held = Held(processes.second.raw_target)
    held.go.clear()
    first = asyncio.create_task(processes.backfill(processes.first).run(ignore))
    helping = asyncio.create_task(_helped(processes.backfill(processes.second, held), first))
    async with asyncio.timeout(SECONDS_MAX):
        await held.reached.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        later = asyncio.create_task(processes.backfill(processes.first, run="another run").run(ignore))
        held.error = RuntimeError("The run has ended.")
        held.go.set()
        await asyncio.gather(helping, return_exceptions=True)
        assert await later > 0
    assert await processes.are_equal()
