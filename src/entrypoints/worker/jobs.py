"""What the worker does, and how a job is kept going: a failure is logged and tried again, never silently dead."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from loguru import logger

from entrypoints.composition.store_stack import StoreStack

BACK_OFF_SECONDS = 1.0
BACK_OFF_SECONDS_MAX = 60.0
RELAY_INTERVAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that is done again and again, `interval_seconds` after it ended.

    `timeout_seconds` bounds one turn; None is for work that paces itself and goes on until `stop` is called.
    """

    name: str
    work: Callable[[], Awaitable[object]]
    interval_seconds: float
    timeout_seconds: float | None
    stop: Callable[[], None] | None = None


def jobs_of(stack: StoreStack) -> Sequence[Job]:
    """The jobs that these settings call for; none where a single store needs no mirror."""
    relay = stack.relay
    if relay is None:
        return ()
    return (
        Job(
            name="relay",
            work=relay.run,
            interval_seconds=RELAY_INTERVAL_SECONDS,
            timeout_seconds=None,
            stop=relay.stop,
        ),
    )


async def keep_going(job: Job, stopping: asyncio.Event) -> None:
    """Does the job until stopping is set. Whatever it raises is logged, and it is tried again with back-off."""
    failures = 0
    while not stopping.is_set():
        try:
            async with asyncio.timeout(job.timeout_seconds):
                await job.work()
            failures = 0
            pause = job.interval_seconds
        except Exception as error:  # noqa: BLE001 - whatever it is, the other jobs and this one go on
            failures += 1
            pause = back_off_seconds(failures)
            logger.opt(exception=error).error(
                "The job {} failed (failure {} in a row); again in {:.1f} s.", job.name, failures, pause
            )
        await _pause(pause, stopping)


def back_off_seconds(failures: int) -> float:
    """Doubles from BACK_OFF_SECONDS to BACK_OFF_SECONDS_MAX, less up to a quarter: workers should not march in step."""
    doubled: float = BACK_OFF_SECONDS * 2 ** min(failures - 1, 16)
    return min(BACK_OFF_SECONDS_MAX, doubled) * (1 - secrets.randbelow(250) / 1000)


async def _pause(seconds: float, stopping: asyncio.Event) -> None:
    """Waits, or less where stopping is set."""
    waiting = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((waiting,), timeout=seconds)
    finally:
        waiting.cancel()
