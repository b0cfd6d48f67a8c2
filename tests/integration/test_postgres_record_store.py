"""The record store contract on PostgreSQL."""

from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.postgres.migrate import upgrade
from adapters.postgres.record_store import PostgresRecordStore
from tests.servers.postgres import PostgresServer
from tests.servers.tables import empty_tables
from tests.unit.contracts.lanes import LaneContract, SeenContract
from tests.unit.contracts.loading import LoadContract
from tests.unit.contracts.record_store import RecordStoreContract


@pytest.fixture(scope="module")
def prepared_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with tables, shared by the tests of this module; each of them finds it empty."""
    url = postgres_server.create_database()
    upgrade(url)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
async def store(prepared_url: str) -> AsyncIterator[PostgresRecordStore]:
    store = PostgresRecordStore(prepared_url)
    await store.open()
    yield store
    await store.close()
    empty_tables(prepared_url)


class TestPostgresRecordStore(RecordStoreContract, LaneContract, SeenContract, LoadContract):
    """Everything every store promises."""
