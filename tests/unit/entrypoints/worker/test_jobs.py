import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from loguru import logger

from adapters.records.record import is_tombstone
from application.history.retention import PurgeExpired
from domain.entity import Stamp
from domain.errors import StoreUnavailable
from entrypoints.composition.container import build_container
from entrypoints.composition.failures import StoreRefused, WritesRefused
from entrypoints.composition.settings import read_settings
from entrypoints.worker.jobs import (
    BACK_OFF_SECONDS,
    BACK_OFF_SECONDS_MAX,
    Job,
    back_off_seconds,
    jobs_of,
    retention_of,
)
from entrypoints.worker.main import run_jobs, stop_on_signals
from tests.unit.builders import ANNA, BEN, actor, numbered_id, project, task

SECONDS_MAX = 10.0
TWO_MONTHS = timedelta(days=60)
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


class Work:
    """Counts its runs; fails at first, or runs until it is stopped."""

    def __init__(self, *, failures: int = 0, goes_on: bool = False) -> None:
        self.runs = 0
        self.reached = asyncio.Event()
        self.stopped = asyncio.Event()
        self._failures = failures
        self._goes_on = goes_on

    async def __call__(self) -> None:
        self.runs += 1
        if self.runs <= self._failures:
            raise ConnectionError("the store went away")
        if self.runs > self._failures + 1:
            self.reached.set()
        if self._goes_on:
            self.reached.set()
            await self.stopped.wait()


class Log:
    """The logged lines, and an event for the first one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.has_line = asyncio.Event()

    def write(self, line: str) -> None:
        self.lines.append(line)
        self.has_line.set()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    sink = logger.add(log.write, format="{message}")
    yield log
    logger.remove(sink)


def job(work: Work, *, name: str = "tidy up", timeout_seconds: float | None = 1.0) -> Job:
    stop = work.stopped.set
    return Job(name=name, work=work, interval_seconds=0.001, timeout_seconds=timeout_seconds, stop=stop)


async def test_a_job_is_done_again_and_again_until_the_end() -> None:
    stopping, work = asyncio.Event(), Work()
    running = asyncio.create_task(run_jobs([job(work)], stopping))
    async with asyncio.timeout(SECONDS_MAX):
        await work.reached.wait()
        stopping.set()
        assert await running
    assert work.runs >= 2


async def test_a_job_that_fails_is_logged_and_tried_again_while_others_go_on(log: Log) -> None:
    stopping, failing, healthy = asyncio.Event(), Work(failures=1), Work()
    running = asyncio.create_task(run_jobs([job(failing, name="repair"), job(healthy)], stopping))
    async with asyncio.timeout(SECONDS_MAX):
        await healthy.reached.wait()
        await failing.reached.wait()
        stopping.set()
        assert await running
    line = log.lines[0]
    assert line.startswith("The job repair failed (failure 1 in a row)")
    assert "the store went away" in line


class Gate:
    """A store that takes no writes until it is opened."""

    def __init__(self, refusal: Exception) -> None:
        self._refusal, self.is_open, self.passed = refusal, False, asyncio.Event()

    async def __call__(self) -> None:
        if not self.is_open:
            raise self._refusal
        self.passed.set()


@pytest.mark.parametrize(
    "refusal",
    [WritesRefused("It is an older copy."), StoreRefused("It is an older copy."), StoreUnavailable("Down.")],
)
async def test_a_job_pauses_with_the_stores_own_reason_and_goes_on_once_it_takes_writes(
    log: Log, refusal: Exception
) -> None:
    stopping, gate = asyncio.Event(), Gate(refusal)
    paused = Job(name="retention", work=gate, interval_seconds=60, timeout_seconds=1.0)
    running = asyncio.create_task(run_jobs([paused], stopping))
    async with asyncio.timeout(SECONDS_MAX):
        await log.has_line.wait()
        gate.is_open = True
        await gate.passed.wait()
        stopping.set()
        assert await running
    assert log.lines[0].startswith("The job retention pauses for ")
    assert str(refusal) in log.lines[0]
    assert not any("Traceback" in line for line in log.lines)


async def test_a_run_that_takes_too_long_is_a_failure(log: Log) -> None:
    stopping, hanging = asyncio.Event(), Work(goes_on=True)
    running = asyncio.create_task(run_jobs([job(hanging, timeout_seconds=0.05)], stopping))
    async with asyncio.timeout(SECONDS_MAX):
        await log.has_line.wait()
        stopping.set()
        assert await running
    assert "failed" in log.lines[0]


async def test_work_that_paces_itself_is_asked_to_finish() -> None:
    stopping, relay = asyncio.Event(), Work(goes_on=True)
    running = asyncio.create_task(run_jobs([job(relay, timeout_seconds=None)], stopping))
    async with asyncio.timeout(SECONDS_MAX):
        await relay.reached.wait()
        stopping.set()
        assert await running
    assert relay.stopped.is_set()


async def test_a_job_that_does_not_finish_is_cancelled_and_logged(log: Log) -> None:
    stopping, stubborn = asyncio.Event(), Work(goes_on=True)
    endless = Job(name="endless", work=stubborn, interval_seconds=1, timeout_seconds=None)
    running = asyncio.create_task(run_jobs([endless], stopping, drain_seconds_max=0.05))
    async with asyncio.timeout(SECONDS_MAX):
        await stubborn.reached.wait()
        stopping.set()
        assert not await running
    assert log.lines[-1].startswith("The job endless did not finish in time")


async def test_a_delayed_job_does_not_run_in_a_process_that_stops_before() -> None:
    stopping, work = asyncio.Event(), Work()
    waiting = replace(job(work), delay_seconds=SECONDS_MAX * 10)
    running = asyncio.create_task(run_jobs([waiting, job(prompt := Work())], stopping))
    async with asyncio.timeout(SECONDS_MAX):
        await prompt.reached.wait()
        stopping.set()
        assert await running
    assert work.runs == 0


async def test_a_single_store_needs_retention_and_two_stores_more() -> None:
    single = {"APP_ENV": "test", "STORE": "monty", "MONTY_STORAGE": "memory"}
    dual = {**single, "STORE": "dual", "POSTGRES_URL": NOWHERE}
    named = [[job.name for job in jobs_of(build_container(read_settings(each)))] for each in (single, dual)]
    assert named == [["retention"], ["relay", "verification", "retention"]]


async def test_the_retention_removes_expired_records_and_logs_it(log: Log) -> None:
    variables = {"APP_ENV": "test", "STORE": "monty", "MONTY_STORAGE": "memory", "DB_NAME": "test_retention"}
    container = build_container(read_settings(variables))
    stack = container.stack()
    await stack.open(within_seconds=SECONDS_MAX)
    try:
        work = container.begin()(actor())
        old = task(1, changes={"title": "Dig"})
        work.tasks.save(old)
        await work.commit()
        work = container.begin()(actor())
        work.tasks.save(
            (await work.tasks.get(old.id)).delete(Stamp(container.clock().now() - TWO_MONTHS, ANNA))
        )
        await work.commit()
        await retention_of(container).work()
        assert is_tombstone((await stack.store.fetch("tasks", [old.id]))[old.id])
        run = await container.runs().last()
    finally:
        await stack.close()
    assert run is not None
    assert run.removed == {"tasks": 1}
    assert log.lines[-1].startswith("Records in the trash since before")


async def test_an_interrupted_operation_is_completed_although_the_trash_was_purged_since(log: Log) -> None:
    variables = {"APP_ENV": "test", "STORE": "monty", "MONTY_STORAGE": "memory", "DB_NAME": "test_finishing"}
    container = build_container(read_settings(variables))
    stack = container.stack()
    await stack.open(within_seconds=SECONDS_MAX)
    try:
        await retention_of(container).work()
        earlier = Stamp(container.clock().now() - TWO_MONTHS, ANNA)
        garden = project(2)
        work = container.begin()(actor())
        work.projects.save(garden)
        work.tasks.save(task(1, changes={"project_id": garden.id}))
        await work.commit()
        work = container.begin()(actor())
        work.projects.save((await work.projects.get(garden.id)).edit(earlier, {"owner_id": BEN}))
        await work.commit()
        await container.builder().build(PurgeExpired)(actor(admin=True))
        await container.runs().note_finished(earlier.at)

        await retention_of(container).work()
        moved = await container.begin()(actor()).tasks.get(numbered_id(1))
        until = await container.runs().finished_until()
    finally:
        await stack.close()
    assert moved.owner_id == BEN
    assert until is not None
    assert until > earlier.at


async def test_signals_stop_the_worker() -> None:
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    os.kill(os.getpid(), signal.SIGTERM)
    try:
        async with asyncio.timeout(SECONDS_MAX):
            await stopping.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
    assert stopping.is_set()


@pytest.mark.parametrize("failures", [1, 2, 5, 50, 10_000])
def test_back_off_grows_and_is_bounded(failures: int) -> None:
    longest = min(BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS * 2 ** min(failures - 1, 16))
    assert 0.75 * longest <= back_off_seconds(failures) <= longest
