"""The record store contract on PostgreSQL behind poolers, whose sessions have hostile settings."""

from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.postgres.migrate import upgrade
from adapters.postgres.record_store import PostgresRecordStore
from tests.servers.hostile_sessions import friendly, make_database_hostile
from tests.servers.postgres import PostgresServer
from tests.servers.postgres_pooler import Habits, PostgresPooler
from tests.servers.tables import empty_tables
from tests.unit.contracts.lanes import CheckpointContract, LaneContract, SeenContract
from tests.unit.contracts.record_store import RecordStoreContract


@pytest.fixture(scope="module")
def prepared_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with tables and hostile settings, shared by the tests of this module."""
    url = postgres_server.create_database()
    upgrade(url)
    make_database_hostile(url)
    yield url
    postgres_server.drop_database(url)


async def _store_behind(url: str, habits: Habits) -> AsyncIterator[PostgresRecordStore]:
    async with PostgresPooler(url, habits).serving() as pooler:
        store = PostgresRecordStore(pooler.url)
        await store.open()
        yield store
        await store.close()
    empty_tables(friendly(url))


class TestPooledPostgres(RecordStoreContract, LaneContract, SeenContract, CheckpointContract):
    """Each transaction gets another server process, in which nothing is left of the one before it."""

    @pytest.fixture
    async def store(self, prepared_url: str) -> AsyncIterator[PostgresRecordStore]:
        async for store in _store_behind(prepared_url, Habits(server_count=3, resets=True)):
            yield store
