"""The worker process: runs the jobs until a signal, and lets them finish the work that has begun."""

import asyncio
import signal
from collections.abc import Callable, Sequence

from loguru import logger

from entrypoints.composition.container import Container, build_container
from entrypoints.composition.failures import StoreRefused
from entrypoints.composition.settings import Settings, StoreKind
from entrypoints.composition.start import start
from entrypoints.worker.jobs import Job, keep_going, worker_jobs_of

DRAIN_SECONDS_MAX = 20.0


async def run_worker(settings: Settings, *, print_ready: Callable[[list[str]], None]) -> bool:
    """Runs the jobs until SIGTERM or SIGINT. Returns whether all of them then finished in time.

    Waits for the source without a limit. Raises StoreRefused where this process must not use it.
    """
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    container = build_container(settings)
    stack = container.stack()
    try:
        if not await _open_unless_stopped(container, stopping, source=settings.stores.source):
            return True
        jobs = worker_jobs_of(container)
        print_ready([job.name for job in jobs])
        return await run_jobs(jobs, stopping)
    finally:
        await stack.close()


async def _open_unless_stopped(container: Container, stopping: asyncio.Event, *, source: str) -> bool:
    opening = asyncio.create_task(start(container), name="opening the stores")
    waiting = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({opening, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            return False
        opening.result()
        return True
    except StoreRefused as error:
        if source != StoreKind.MONTY:
            raise
        raise StoreRefused(f"{error} No worker is needed: the service runs these jobs itself.") from error
    finally:
        opening.cancel()
        waiting.cancel()
        await asyncio.gather(opening, waiting, return_exceptions=True)


async def run_jobs(
    jobs: Sequence[Job], stopping: asyncio.Event, *, drain_seconds_max: float = DRAIN_SECONDS_MAX
) -> bool:
    """Runs every job until `stopping` is set. Returns whether all of them then finished in time.

    A job that does not finish in time is cancelled. Its work is durable in the stores, and the next process continues
    it.
    """
    tasks = [asyncio.create_task(keep_going(job, stopping), name=job.name) for job in jobs]
    try:
        await stopping.wait()
        for job in jobs:
            if job.stop is not None:
                job.stop()
        _, unfinished = await asyncio.wait(tasks, timeout=drain_seconds_max) if tasks else (set(), set())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in unfinished:
        logger.warning("The job {} did not finish in time; the next process continues it.", task.get_name())
    return not unfinished


def stop_on_signals(stopping: asyncio.Event) -> None:
    """SIGTERM and SIGINT set the event instead of ending the process."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
