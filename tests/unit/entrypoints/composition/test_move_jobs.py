"""Long steps in the background: one at a time, remembered for a while, and what became of each."""

import asyncio

import pytest
from loguru import logger

from adapters.records.record_store import StoreRefused
from application.ports.migration import Job, JobState, OnProgress, Progress
from domain.errors import Conflict, NotFound, StoreUnavailable
from entrypoints.composition.move_jobs import INTERNAL_ERROR, JOBS_MAX, MoveJobs

HALF = Progress(done=1, total=2)


async def quick(on_progress: OnProgress) -> int:
    on_progress(HALF)
    return 7


async def endless(on_progress: OnProgress) -> None:
    on_progress(HALF)
    await asyncio.Event().wait()


async def ended(jobs: MoveJobs, job: Job) -> Job:
    assert job.id is not None
    return await jobs.wait(job.id)


async def test_a_job_runs_in_the_background_and_keeps_its_result() -> None:
    jobs = MoveJobs()
    started = jobs.start("backfill", quick)
    assert (started.state, started.result) == (JobState.RUNNING, None)
    job = await ended(jobs, started)
    assert (job.state, job.result, job.progress, job.error) == (JobState.DONE, 7, HALF, None)
    assert jobs.newest() == job


async def test_there_is_one_job_at_a_time() -> None:
    jobs = MoveJobs()
    running = jobs.start("backfill", endless)
    await asyncio.sleep(0)
    with pytest.raises(Conflict) as refused:
        jobs.start("verify", quick)
    for named in ("backfill", str(running.id), "tandem move status"):
        assert named in refused.value.message
    assert jobs.newest() == jobs.get(str(running.id))
    assert jobs.get(str(running.id)).progress == HALF
    await jobs.close()


async def test_another_job_may_follow_one_that_has_ended() -> None:
    jobs = MoveJobs()
    first = await ended(jobs, jobs.start("backfill", quick))
    second = await ended(jobs, jobs.start("verify", quick))
    assert (first.step, second.step, jobs.newest()) == ("backfill", "verify", second)


@pytest.mark.parametrize(
    "error", [StoreUnavailable("The target is down."), StoreRefused("The target is down.")]
)
async def test_a_failed_job_says_why_and_does_not_block_the_next_one(error: Exception) -> None:
    async def fails(_on_progress: OnProgress) -> None:
        raise error

    jobs = MoveJobs()
    job = await ended(jobs, jobs.start("verify", fails))
    assert (job.state, job.error, job.code) == (JobState.FAILED, "The target is down.", "store_unavailable")
    assert (await ended(jobs, jobs.start("verify", quick))).state is JobState.DONE


async def test_a_fault_of_ours_is_in_the_log_and_not_in_the_answer() -> None:
    async def faulty(_on_progress: OnProgress) -> None:
        raise ZeroDivisionError("secret")

    logged: list[str] = []
    sink = logger.add(logged.append, format="{message} {exception}")
    jobs = MoveJobs()
    job = await ended(jobs, jobs.start("repair", faulty))
    logger.remove(sink)
    assert (job.state, job.error, job.code) == (JobState.FAILED, INTERNAL_ERROR, None)
    assert "ZeroDivisionError: secret" in "".join(logged)


async def test_a_stopped_service_leaves_no_job_running() -> None:
    jobs = MoveJobs()
    job = jobs.start("backfill", endless)
    await asyncio.sleep(0)
    await jobs.close()
    stopped = jobs.get(str(job.id))
    assert stopped.state is JobState.FAILED
    assert "Start the step again" in str(stopped.error)


async def test_the_oldest_jobs_are_forgotten() -> None:
    jobs = MoveJobs()
    first = await ended(jobs, jobs.start("verify", quick))
    newest = first
    for _ in range(JOBS_MAX):
        newest = await ended(jobs, jobs.start("verify", quick))
    with pytest.raises(NotFound, match="tandem move status"):
        jobs.get(str(first.id))
    assert jobs.newest() == newest


async def test_a_job_of_another_process_is_not_known() -> None:
    jobs = MoveJobs()
    job = await ended(jobs, jobs.start("verify", quick))
    with pytest.raises(NotFound, match="another one ran it, or Tandem was started again"):
        MoveJobs().get(str(job.id))
