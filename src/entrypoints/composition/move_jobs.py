"""Long steps of the move, run in the background of this process, one at a time."""

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import replace
from typing import Any

from loguru import logger

from adapters.records.record_store import StoreRefused
from application.ports.migration import Job, JobState, Progress, Work
from domain.errors import Conflict, NotFound, StoreUnavailable, TandemError, Unavailable

JOBS_MAX = 50
"""How many jobs are remembered; beyond it the oldest ended ones are forgotten."""
STOPPED = "The process was stopped. Start the step again: it continues with what it stored."
INTERNAL_ERROR = "It failed because of an internal error of Tandem; the log has the details."


class MoveJobs:
    """Starts jobs and remembers what became of them. What a job has stored is durable, whatever becomes of the job."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._running: asyncio.Task[None] | None = None

    def start(self, step: str, work: Work) -> Job:
        """Starts the work. Raises Conflict while another job runs."""
        running = self.newest()
        if running is not None and running.is_running:
            raise Conflict(
                f"A {running.step} is under way (job {running.id}). Wait for it: tandem move status"
            )
        id = secrets.token_hex(12)
        job = Job(id=id, step=step, state=JobState.RUNNING)
        self._jobs[id] = job
        while len(self._jobs) > JOBS_MAX:
            self._jobs.popitem(last=False)
        self._running = asyncio.create_task(self._run(id, work), name=f"move {step}")
        return job

    def newest(self) -> Job | None:
        """The job that was started last; None before the first."""
        return next(reversed(self._jobs.values()), None)

    def get(self, id: str) -> Job:
        """One job. Raises NotFound for a job of another process, or one that was forgotten."""
        if id not in self._jobs:
            raise NotFound(
                f"This process knows no job {id}: another one ran it, or Tandem was started again since. What it stored"
                " is kept. See how far it came: tandem move status"
            )
        return self._jobs[id]

    async def wait(self, id: str) -> Job:
        """The job once it has ended."""
        if self._running is not None and self.get(id).is_running:
            await asyncio.wait([self._running])
        return self.get(id)

    async def close(self) -> None:
        """Cancels the running job."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self, id: str, work: Work) -> None:
        def note(progress: Progress) -> None:
            self._change(id, progress=progress)

        try:
            result = await work(note)
        except TandemError as error:
            self._change(id, state=JobState.FAILED, error=error.message, code=error.code)
        except StoreRefused as refused:
            self._change(id, state=JobState.FAILED, error=str(refused), code=StoreUnavailable.code)
        except asyncio.CancelledError:
            self._change(id, state=JobState.FAILED, error=STOPPED, code=Unavailable.code)
            raise
        except Exception:  # noqa: BLE001 - nobody awaits the task, and the operator reads the job
            logger.exception("A step of the move failed")
            self._change(id, state=JobState.FAILED, error=INTERNAL_ERROR)
        else:
            self._change(id, state=JobState.DONE, result=result)

    def _change(self, id: str, **changes: Any) -> None:
        self._jobs[id] = replace(self._jobs[id], **changes)
