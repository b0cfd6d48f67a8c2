"""A backfill of a service gives way to its requests, and goes on with them once they are fast again."""

import asyncio
from pathlib import Path
from time import perf_counter

from adapters.migration.checkpoints import Destination, checkpoints_of
from adapters.observability.recent_latency import SAMPLES_MAX
from adapters.records.change_set import ChangeSet
from application.ports.migration import JobState
from domain.migration import Phase
from entrypoints.composition.container import Container
from entrypoints.composition.move import BACKFILL_WORKERS
from tests.integration.ownership_world import serving, until, write
from tests.integration.served_move import served
from tests.unit.contracts.builders import put, task

TASKS = 40
SLOW_SECONDS, FAST_SECONDS = 0.5, 0.001
UNHINDERED_SECONDS_MAX = 2.0
"""A backfill of so few records is over before that."""


def note_requests(container: Container, seconds: float) -> None:
    """As if requests had taken so long until now."""
    for _ in range(SAMPLES_MAX):
        container.stack().observed.latency.note(seconds, ended_at=perf_counter())


async def test_a_backfill_rests_while_requests_are_slow(tmp_path: Path, postgres_url: str) -> None:
    directory = tmp_path / "data"
    single = {"APP_ENV": "test", "STORE": "monty", "DATA_DIR": str(directory), "MONTY_STORAGE": "sqlite"}
    async with serving(single) as container:
        await write(container, 1)
        tasks = tuple(put("tasks", task(number)) for number in range(2, TASKS))
        await container.stack().store.commit(ChangeSet(tasks))
    dual = {"STORE": "dual", "DUAL_WRITE_SOURCE": "monty", "POSTGRES_URL": postgres_url}
    async with served(directory, **dual) as running:
        jobs = running.container.move_jobs()
        note_requests(running.container, FAST_SECONDS)
        job = (await running.post("backfill")).json()["jobId"]
        await until(lambda: jobs.get(job).progress is not None)
        note_requests(running.container, SLOW_SECONDS)
        await asyncio.sleep(UNHINDERED_SECONDS_MAX)
        assert jobs.get(job).state is JobState.RUNNING
        note_requests(running.container, FAST_SECONDS)
        async with asyncio.timeout(20):
            assert (await jobs.wait(job)).state is JobState.DONE
        owner = await running.owner()
        assert (owner.phase, owner.peer is not None) == (Phase.BACKFILLED, True)
        assert owner.peer is not None
        destination = Destination(owner.installation, owner.since, owner.peer.incarnation)
        target = running.container.stack().direction.raw_target
        assert target is not None
        ranges = await checkpoints_of(target, "tasks", destination)
        assert [one.is_done for one in ranges] == [True] * BACKFILL_WORKERS
