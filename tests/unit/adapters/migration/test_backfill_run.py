"""The backfill under way is known to every process, and any of them may pause it."""

import pytest

from adapters.migration.backfill_run import BackfillRun, begin_run, end_run, pause_run, require_run, run_of
from adapters.ownership.comparison import LEASE_SECONDS
from adapters.records.lanes import ProcessIdentity
from domain.errors import Conflict
from tests.unit.adapters.ownership.world import Service, World, world_in_memory


def is_running(_: ProcessIdentity) -> bool:
    return False


def has_ended(_: ProcessIdentity) -> bool:
    return True


def run_by(service: Service) -> BackfillRun:
    return BackfillRun(service.side.me, f"a run of {service.side.me.process}")


async def started() -> tuple[World, Service, Service]:
    world = await world_in_memory()
    first = await Service(world, "first").start()
    second = await Service(world, "second").join(first)
    await begin_run(first.source, await first.raw_source.positions(), run_by(first), is_gone=is_running)
    return world, first, second


async def test_another_process_pauses_and_resumes_the_one_that_runs() -> None:
    _, first, second = await started()
    for is_paused in (True, False):
        positions = await second.raw_source.positions()
        await pause_run(second.source, positions, is_paused=is_paused, is_gone=is_running)
        run = await run_of(first.source)
        assert run is not None
        assert (run.by, run.is_paused) == (first.side.me, is_paused)


async def test_a_second_backfill_is_told_which_process_runs_the_first() -> None:
    _, first, second = await started()
    positions = await second.raw_source.positions()
    with pytest.raises(Conflict, match=str(first.side.me)):
        await begin_run(second.source, positions, run_by(second), is_gone=is_running)
    await end_run(second.source, run_by(second))
    assert await run_of(first.source) is not None
    await end_run(first.source, run_by(first))
    await begin_run(second.source, positions, run_by(second), is_gone=is_running)


async def test_nothing_is_paused_where_no_backfill_runs() -> None:
    _, first, second = await started()
    await end_run(first.source, run_by(first))
    with pytest.raises(Conflict, match="No backfill runs"):
        await pause_run(
            second.source, await second.raw_source.positions(), is_paused=True, is_gone=is_running
        )


async def test_a_backfill_whose_process_was_killed_is_named_and_can_be_begun_again() -> None:
    world, first, second = await started()
    with pytest.raises(Conflict, match=f"{first.side.me}. Continue it: tandem move backfill"):
        await require_run(second.source, await second.raw_source.positions(), is_gone=has_ended)
    await world.pass_time(LEASE_SECONDS + 1, second)
    positions = await second.raw_source.positions()
    with pytest.raises(Conflict, match="tandem move backfill"):
        await require_run(second.source, positions, is_gone=is_running)
    await begin_run(second.source, positions, run_by(second), is_gone=is_running)
    run = await run_of(second.source)
    assert run is not None
    assert run.by == second.side.me
