"""The background jobs. A job that fails, or whose store takes no writes, is logged and repeated with growing pauses."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from loguru import logger

from application.actor import system_actor
from application.history.retention import PurgeExpired
from application.projects.commands import FinishProjects
from application.teams.commands import FinishTeams
from application.teams.members import FinishLeavings
from domain.errors import StoreUnavailable
from entrypoints.composition.container import Container
from entrypoints.composition.failures import StoreRefused

BACK_OFF_SECONDS = 1.0
BACK_OFF_SECONDS_MAX = 60.0
RELAY_INTERVAL_SECONDS = 1.0
BACKFILL_INTERVAL_SECONDS = 2.0
VERIFICATION_INTERVAL_SECONDS = 5.0
VERIFICATION_SECONDS_MAX = 60.0
"""Bounds the comparison of what has changed; a pass over everything goes on beside it."""
RETENTION_INTERVAL_SECONDS = 3_600.0
RETENTION_DELAY_SECONDS = 60.0
"""Keeps the first run out of the way of a process that has just started."""
RETENTION_SECONDS_MAX = 1_800.0
OVERLAP = timedelta(hours=1)
"""How long before the last run an interrupted operation may have begun."""
BEGINNING = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that is repeated `interval_seconds` after each run. The first run begins after `delay_seconds`.

    `timeout_seconds` bounds one run. None is for work that paces itself and runs until `stop` is called. `finish` is
    called after the last run.
    """

    name: str
    work: Callable[[], Awaitable[object]]
    interval_seconds: float
    timeout_seconds: float | None
    stop: Callable[[], None] | None = None
    finish: Callable[[], Awaitable[None]] | None = None
    delay_seconds: float = 0.0


def jobs_of(container: Container) -> Sequence[Job]:
    """The jobs for these settings. A single store needs no relay."""
    stack = container.stack()
    if stack.relay is None:
        return (retention_of(container),)
    relaying = Job(
        name="relay",
        work=stack.relay_until_stopped,
        interval_seconds=RELAY_INTERVAL_SECONDS,
        timeout_seconds=None,
        stop=stack.stop_relaying,
    )
    return (relaying, *verification_of(container), retention_of(container))


def worker_jobs_of(container: Container) -> Sequence[Job]:
    """The jobs of a process that serves no requests."""
    jobs = jobs_of(container)
    return jobs if container.stack().relay is None else (*jobs, backfill_of(container))


def backfill_of(container: Container) -> Job:
    """Loads parts of a backfill that another process runs. For workers only: requests would wait for it."""
    stopping = asyncio.Event()

    async def help_backfill() -> None:
        await container.migration().help_backfill(stopping.is_set)

    return Job(
        name="backfill",
        work=help_backfill,
        interval_seconds=BACKFILL_INTERVAL_SECONDS,
        timeout_seconds=None,
        stop=stopping.set,
    )


def verification_of(container: Container) -> Sequence[Job]:
    """Compares the stores in the background. None for a single store, and where the settings say so."""
    verification = container.continuous_verification()
    if container.stack().relay is None or not verification.is_enabled:
        return ()
    job = Job(
        name="verification",
        work=verification.tick,
        interval_seconds=VERIFICATION_INTERVAL_SECONDS,
        timeout_seconds=VERIFICATION_SECONDS_MAX,
        finish=verification.close,
        delay_seconds=VERIFICATION_INTERVAL_SECONDS,
    )
    return (job,)


def retention_of(container: Container) -> Job:
    """Completes operations that a crash interrupted, and permanently removes expired trash. Several processes may run
    it at the same time.
    """
    build = container.builder().build

    async def purge() -> None:
        actor = system_actor(f"retention-{container.identifiers().fresh()}")
        runs, began = container.runs(), container.clock().now()
        # A purge on request completes no operations, so the time of the last completion is recorded separately.
        finished = await runs.finished_until()
        since = BEGINNING if finished is None else finished - OVERLAP
        await build(FinishProjects)(actor, since=since)
        await build(FinishTeams)(actor, since=since)
        await build(FinishLeavings)(actor, since=since)
        await runs.note_finished(began)
        run = await build(PurgeExpired)(actor)
        if run.removed or run.kept:
            logger.bind(removed=dict(run.removed), detached=run.detached, kept=run.kept).info(
                "Records in the trash since before {} have been permanently removed.", run.cutoff.isoformat()
            )

    return Job(
        name="retention",
        work=purge,
        interval_seconds=RETENTION_INTERVAL_SECONDS,
        timeout_seconds=RETENTION_SECONDS_MAX,
        delay_seconds=RETENTION_DELAY_SECONDS,
    )


async def keep_going(job: Job, stopping: asyncio.Event) -> None:
    """Repeats the job until `stopping` is set. Whatever it raises is logged, and it is repeated with back-off.

    A store that cannot be used, or takes no writes, is not our error: its reason is logged without a traceback.
    """
    try:
        await _repeat(job, stopping)
    finally:
        if job.finish is not None:
            await job.finish()


async def _repeat(job: Job, stopping: asyncio.Event) -> None:
    failures = 0
    if job.delay_seconds:
        await _pause(job.delay_seconds, stopping)
    while not stopping.is_set():
        try:
            async with asyncio.timeout(job.timeout_seconds):
                await job.work()
            failures = 0
            pause = job.interval_seconds
        except (StoreUnavailable, StoreRefused) as refused:
            # Nothing is wrong with the job: it goes on as soon as the store takes writes again.
            failures += 1
            pause = back_off_seconds(failures)
            logger.warning("The job {} pauses for {:.1f} s: {}", job.name, pause, refused)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other jobs and this one go on
            failures += 1
            pause = back_off_seconds(failures)
            logger.opt(exception=error).error(
                "The job {} failed (failure {} in a row). It runs again in {:.1f} s.",
                job.name,
                failures,
                pause,
            )
        await _pause(pause, stopping)


def back_off_seconds(failures: int) -> float:
    """Doubles from BACK_OFF_SECONDS to BACK_OFF_SECONDS_MAX, less a random part, so that workers spread out."""
    doubled: float = BACK_OFF_SECONDS * 2 ** min(failures - 1, 16)
    return min(BACK_OFF_SECONDS_MAX, doubled) * (1 - secrets.randbelow(250) / 1000)


async def _pause(seconds: float, stopping: asyncio.Event) -> None:
    """Waits, at most until `stopping` is set."""
    waiting = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((waiting,), timeout=seconds)
    finally:
        waiting.cancel()
