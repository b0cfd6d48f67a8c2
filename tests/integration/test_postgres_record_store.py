"""The record store contract on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from adapters.postgres.record_store import PostgresRecordStore
from tests.servers.tables import PreparedDatabase
from tests.unit.contracts.lanes import CheckpointContract, LaneContract, SeenContract
from tests.unit.contracts.loading import LoadContract
from tests.unit.contracts.record_store import RecordStoreContract


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_store(database: PreparedDatabase) -> AsyncIterator[PostgresRecordStore]:
    """A new connection has everything to plan anew, which takes longer than most tests."""
    store = PostgresRecordStore(database.url)
    yield store
    await store.close()


@pytest.mark.asyncio(loop_scope="module")
class TestPostgresRecordStore(RecordStoreContract):
    """Everything every store promises."""

    @pytest_asyncio.fixture(loop_scope="module")
    async def store(
        self, shared_store: PostgresRecordStore, database: PreparedDatabase
    ) -> AsyncIterator[PostgresRecordStore]:
        # Harmless unless the test before closed it.
        await shared_store.open()
        yield shared_store
        database.empty()


class TestLanesOfPostgres(LaneContract, SeenContract, CheckpointContract, LoadContract):
    """Lanes belong to a store that is new: it has not been admitted yet."""

    @pytest.fixture
    async def store(self, database: PreparedDatabase) -> AsyncIterator[PostgresRecordStore]:
        store = PostgresRecordStore(database.url)
        await store.open()
        yield store
        await store.close()
        database.empty()
