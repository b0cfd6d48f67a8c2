"""A source that hangs for longer than a lease while the target goes on: none of its processes is refused."""

import asyncio
from pathlib import Path

import pytest

from adapters.ownership.comparison import LEASE_SECONDS
from adapters.postgres.record_store import PostgresRecordStore
from entrypoints.composition.container import Container
from tests.integration.ownership_world import mongo_to_postgres, serving, task_ids, until_equal, write
from tests.servers.mongo import StandInMongoServer

CAUGHT_UP_SECONDS_MAX = 40.0
"""The longest pause of the relay after an outage, and a lease."""


@pytest.mark.torture
async def test_a_process_that_enters_again_after_its_source_was_frozen_is_not_refused(
    own_mongo_server: StandInMongoServer, postgres_url: str, tmp_path: Path
) -> None:
    variables = mongo_to_postgres(
        own_mongo_server.uri, name="frozen", postgres_url=postgres_url, directory=tmp_path
    )
    async with serving(variables) as first, serving(variables) as second:
        await write(first, 1)
        await until_equal(first)
        own_mongo_server.server.freeze()
        await asyncio.sleep(LEASE_SECONDS + 1)
        await _close_lanes_in_target(second)
        own_mongo_server.server.thaw()
        await _until_admitted(second)
        await write(second, 2)
        await write(first, 3)
        await until_equal(first, seconds=CAUGHT_UP_SECONDS_MAX)
        assert len(await task_ids(second.stack().raw_stores[1])) == 3
        assert [one.stack().ownership.refusal for one in (first, second)] == [None, None]


async def _close_lanes_in_target(container: Container) -> None:
    """As a newcomer does that took its process for ended, so that it has to enter again."""
    target, me = container.stack().raw_stores[1], container.stack().ownership.me
    assert isinstance(target, PostgresRecordStore)
    for lane in (await target.positions()).lanes.values():
        if lane.by.process == me.process:
            await target.close_lane(lane.lane)


async def _until_admitted(container: Container) -> None:
    target, me = container.stack().raw_stores[1], container.stack().ownership.me
    assert isinstance(target, PostgresRecordStore)
    async with asyncio.timeout(CAUGHT_UP_SECONDS_MAX):
        while True:
            await asyncio.sleep(0.2)
            if (await target.positions()).has_open_lane_of(me):
                return
