"""A worker loads ranges of a backfill that the service runs."""

import asyncio

import pytest
from pymongo import MongoClient

from adapters.migration.backfill_run import run_of
from adapters.migration.checkpoints import Destination, checkpoints_of
from adapters.migration.range_loader import RANGE_RECORDS_MIN
from adapters.mongo.documents import Document, to_document
from entrypoints.composition.move import Move
from tests.integration.ownership_world import serving, until_connected, write
from tests.unit.contracts.builders import task

TASKS = 2 * RANGE_RECORDS_MIN


def _fill(variables: dict[str, str]) -> None:
    """Not by transactions, in which stand-ins take a minute for so many."""
    documents = [to_document("tasks", task(number)) for number in range(1, TASKS + 1)]
    with MongoClient[Document](variables["MONGODB_URI"]) as client:
        client[variables["DB_NAME"]]["tasks"].insert_many(documents, ordered=False)


@pytest.mark.parametrize("variables", ["mongo"], indirect=True)
async def test_a_worker_loads_ranges_of_a_backfill_that_the_service_runs(variables: dict[str, str]) -> None:
    async with serving(variables) as service, serving(variables) as worker:
        _, target = service.stack().raw_stores
        await asyncio.to_thread(_fill, variables)
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
