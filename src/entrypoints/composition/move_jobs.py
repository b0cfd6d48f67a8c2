"""Long steps of the move, run in the background of this process, one at a time."""

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import replace
from typing import Any

from loguru import logger

from application.ports.migration import Job, JobState, Progress, Work
from domain.errors import Conflict, NotFound, TandemError

JOBS_MAX = 50
"""How many jobs are remembered; beyond it the oldest ended ones are forgotten."""
FAULT = "It failed because of a fault in Tandem; the log has the details."


class MoveJobs:
    """Starts jobs and remembers what became of them. What a job has stored is durable, whatever becomes of the job."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._running: asyncio.Task[None] | None = None

    def start(self, step: str, work: Work) -> Job:
        """Starts the work. Raises Conflict while another job runs."""
        running = next((job for job in self._jobs.values() if job.state is JobState.RUNNING), None)
        if running is not None:
            raise Conflict(
                f"A {running.step} is under way (job {running.id}). Wait for it: tandem move status"
            )
        job = Job(id=secrets.token_hex(12), step=step, state=JobState.RUNNING)
        self._jobs[job.id] = job
        while len(self._jobs) > JOBS_MAX:
            self._jobs.popitem(last=False)
        self._running = asyncio.create_task(self._run(job.id, work), name=f"move {step}")
        return job

    def get(self, id: str) -> Job:
        """One job. Raises NotFound for a job of another process, or one that was forgotten."""
        if id not in self._jobs:
            raise NotFound
        return self._jobs[id]

    async def wait(self, id: str) -> Job:
        """The job once it has ended."""
        if self._running is not None and self.get(id).state is JobState.RUNNING:
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
            self._change(id, state=JobState.FAILED, error=error.message)
        except asyncio.CancelledError:
            self._change(id, state=JobState.FAILED, error="The service was stopped; start the step again.")
            raise
        except Exception:  # noqa: BLE001 - nobody awaits the task, and the operator reads the job
            logger.exception("A step of the move failed")
            self._change(id, state=JobState.FAILED, error=FAULT)
        else:
            self._change(id, state=JobState.DONE, result=result)

    def _change(self, id: str, **changes: Any) -> None:
        self._jobs[id] = replace(self._jobs[id], **changes)
