"""A worker loads ranges of a backfill that the service runs."""

import asyncio

import pytest

from adapters.migration.backfill_run import run_of
from adapters.migration.checkpoints import Destination, checkpoints_of
from adapters.migration.range_loader import RANGE_RECORDS_MIN
from entrypoints.composition.container import Container
from entrypoints.composition.move import Move
from tests.integration.ownership_world import serving, until_connected, write
from tests.unit.contracts.builders import task

TASKS = 2 * RANGE_RECORDS_MIN
AT_ONCE = 500


async def _fill(container: Container) -> None:
    for start in range(1, TASKS + 1, AT_ONCE):
        records = [task(number) for number in range(start, start + AT_ONCE)]
        await container.stack().direction.raw_source.load("tasks", records, checkpoint=None)


@pytest.mark.parametrize("variables", ["mongo"], indirect=True)
async def test_a_worker_loads_ranges_and_others_keep_to_their_rate(variables: dict[str, str]) -> None:
    async with serving(variables) as service, serving(variables) as worker:
        _, target = service.stack().raw_stores
        await _fill(service)
        await until_connected(service)
        await until_connected(worker)
        running = asyncio.create_task(service.migration().backfill(lambda _: None, by="anna"))
        while not running.done():
            await worker.migration().help_backfill(lambda: False)
            await asyncio.sleep(0.01)
        assert await running >= TASKS
        owner = (await service.stack().ownership.required()).ownership
        assert owner.peer is not None
        destination = Destination(owner.installation, owner.since, owner.peer.incarnation)
        ranges = await checkpoints_of(target, "tasks", destination)
        loaders = {one.claim.by.process for one in ranges if one.claim is not None}
        assert loaders == {one.stack().ownership.me.process for one in (service, worker)}
        assert sum(one.read for one in ranges) == TASKS
        assert (await service.migration().verify(lambda _: None, by="anna")).is_clean


@pytest.mark.parametrize("variables", ["mongo"], indirect=True)
async def test_a_backfill_with_a_rate_is_not_shared(variables: dict[str, str]) -> None:
    async with serving(variables) as service, serving(variables) as worker:
        await until_connected(service)
        await write(service, *range(1, 30))
        move: Move = service.migration()
        running = asyncio.create_task(move.backfill(lambda _: None, by="anna", rate=20))
        runs = []
        while not running.done():
            runs.append(await run_of(worker.stack().source))
            await worker.migration().help_backfill(lambda: False)
            await asyncio.sleep(0.05)
        await running
        assert {one.is_shared for one in runs if one is not None} == {False}


@pytest.mark.parametrize("variables", ["mongo"], indirect=True)
async def test_a_worker_that_stops_leaves_its_range_to_the_others(variables: dict[str, str]) -> None:
    async with serving(variables) as service, serving(variables) as worker:
        await _fill(service)
        await until_connected(service)
        await until_connected(worker)
        looks: list[bool] = []

        def is_stopping() -> bool:
            looks.append(len(looks) > 2)
            return looks[-1]

        running = asyncio.create_task(service.migration().backfill(lambda _: None, by="anna"))
        while not running.done() and not any(looks):
            await worker.migration().help_backfill(is_stopping)
            await asyncio.sleep(0.01)
        assert any(looks)
        assert await running >= TASKS
        assert (await service.migration().verify(lambda _: None, by="anna")).is_clean
