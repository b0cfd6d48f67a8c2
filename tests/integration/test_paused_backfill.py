"""A backfill is paused and resumed through another process than the one that runs it."""

import asyncio
from pathlib import Path

import pytest

from application.ports.migration import Job
from tests.integration.ownership_world import until, write
from tests.integration.served_move import Served, served

TASKS = 30
RATE = 20
"""Records a second: slow enough to be paused in the middle."""
PAUSED_SECONDS = 2.0
"""Longer than a page of that rate, and the pause before the next one, take."""


def done(running: Served, job: str) -> int:
    """How many records its backfill has loaded."""
    progress = job_of(running, job).progress
    return 0 if progress is None else progress.done


def job_of(running: Served, job: str) -> Job:
    return running.container.move_jobs().get(job)


@pytest.mark.parametrize("variables", ["mongo"], indirect=True)
async def test_a_backfill_is_paused_and_resumed_through_another_process(
    variables: dict[str, str], tmp_path: Path
) -> None:
    async with served(tmp_path / "a", **variables) as first, served(tmp_path / "b", **variables) as second:
        refused = await second.post("pause")
        assert (refused.status_code, "No backfill runs" in refused.json()["detail"]) == (409, True)
        await write(first.container, *range(1, TASKS + 1))
        job = (await first.post("backfill", {"rate": RATE})).json()["jobId"]
        await until(lambda: done(first, job) > 0)
        paused = await second.post("pause")
        assert (paused.status_code, paused.json()["isPaused"]) == (200, True)
        await asyncio.sleep(PAUSED_SECONDS)
        before = done(first, job)
        await asyncio.sleep(PAUSED_SECONDS)
        assert (done(first, job), job_of(first, job).is_running) == (before, True)
        resumed = await second.post("resume")
        assert (resumed.status_code, resumed.json()["isPaused"]) == (200, False)
        await until(lambda: done(first, job) > before)
