"""The record store contract on PostgreSQL behind poolers, whose sessions have hostile settings."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from adapters.postgres.record_store import PostgresRecordStore
from tests.servers.hostile_sessions import make_database_hostile
from tests.servers.postgres import PostgresServer
from tests.servers.postgres_pooler import Habits, PostgresPooler
from tests.servers.tables import PreparedDatabase, prepared_database
from tests.unit.contracts.lanes import CheckpointContract, LaneContract, SeenContract
from tests.unit.contracts.questions import CriteriaContract
from tests.unit.contracts.record_store import StateContract
from tests.unit.contracts.searching import HasWordsContract

HABITS = Habits(server_count=3, resets=True)


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[PreparedDatabase]:
    """A database with hostile settings, shared by the tests of this module."""
    with prepared_database(postgres_server) as database:
        make_database_hostile(database.url)
        yield database


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pooler(database: PreparedDatabase) -> AsyncIterator[PostgresPooler]:
    async with PostgresPooler(database.url, HABITS).serving() as pooler:
        yield pooler


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_store(pooler: PostgresPooler) -> AsyncIterator[PostgresRecordStore]:
    store = PostgresRecordStore(pooler.url)
    yield store
    await store.close()


@pytest.mark.asyncio(loop_scope="module")
class TestPooledPostgres(StateContract, CriteriaContract, HasWordsContract):
    """Each transaction gets another server process, in which nothing is left of the one before it.

    The session decides what values mean and how an index is searched. Which words a text has and which comes first does
    not depend on it: the statements are those of `HasWordsContract`, and the rest is counted outside the server.
    """

    @pytest_asyncio.fixture(loop_scope="module")
    async def store(
        self, shared_store: PostgresRecordStore, database: PreparedDatabase
    ) -> AsyncIterator[PostgresRecordStore]:
        # Harmless unless the test before closed it.
        await shared_store.open()
        yield shared_store
        database.empty()


@pytest.mark.asyncio(loop_scope="module")
class TestLanesOfPooledPostgres(LaneContract, SeenContract, CheckpointContract):
    """Lanes belong to a store that is new: it has not been admitted yet."""

    @pytest_asyncio.fixture(loop_scope="module")
    async def store(
        self, pooler: PostgresPooler, database: PreparedDatabase
    ) -> AsyncIterator[PostgresRecordStore]:
        store = PostgresRecordStore(pooler.url)
        await store.open()
        yield store
        await store.close()
        database.empty()
