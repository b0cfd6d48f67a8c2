"""The MongoDB record store passes the contract; the summary of the run says which server stood behind it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from pymongo import MongoClient

from adapters.mongo.record_store import MongoRecordStore
from adapters.records.record_store import RecordStore
from adapters.records.specs import SPECS
from tests.servers.mongo import MongoDatabase, MongoServer
from tests.unit.contracts.lanes import CheckpointContract, LaneContract, SeenContract
from tests.unit.contracts.loading import LoadContract
from tests.unit.contracts.record_store import RecordStoreContract

TIMEOUT_MS = 30_000
"""Stand-ins are slow with hundreds of writes in one transaction."""


async def _prepare(database: MongoDatabase) -> None:
    store = MongoRecordStore(database.uri, database.name, timeout_ms=TIMEOUT_MS)
    await store.open()
    await store.prepare()
    await store.close()


@pytest.fixture(scope="module")
def prepared_database(mongo_server: MongoServer) -> Iterator[MongoDatabase]:
    """A database with all collections and indexes, for the tests of this module one after the other."""
    database = MongoDatabase(mongo_server.uri)
    asyncio.run(_prepare(database))
    yield database
    database.drop()


@pytest.fixture(scope="module")
def plain_client(prepared_database: MongoDatabase) -> Iterator[MongoClient[dict[str, Any]]]:
    """A connection beside the store's."""
    with MongoClient[dict[str, Any]](prepared_database.uri) as client:
        yield client


@pytest.fixture
def empty_database(
    prepared_database: MongoDatabase, plain_client: MongoClient[dict[str, Any]]
) -> MongoDatabase:
    """The prepared database without a document."""
    for collection in (*SPECS, "lanes", "seen"):
        plain_client[prepared_database.name][collection].delete_many({})
    return prepared_database


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_store(prepared_database: MongoDatabase) -> AsyncIterator[MongoRecordStore]:
    store = MongoRecordStore(prepared_database.uri, prepared_database.name, timeout_ms=TIMEOUT_MS)
    yield store
    await store.close()


@pytest.mark.asyncio(loop_scope="module")
class TestMongoRecordStore(RecordStoreContract):
    """Everything a record store promises."""

    @pytest_asyncio.fixture(loop_scope="module")
    async def store(self, shared_store: MongoRecordStore, empty_database: MongoDatabase) -> RecordStore:
        # Harmless unless the test before closed it.
        await shared_store.open()
        return shared_store


class TestLanesOfMongo(LaneContract, SeenContract, CheckpointContract, LoadContract):
    """Lanes belong to a store that is new: it has not been admitted yet."""

    @pytest.fixture
    async def store(self, empty_database: MongoDatabase) -> AsyncIterator[RecordStore]:
        store = MongoRecordStore(empty_database.uri, empty_database.name, timeout_ms=TIMEOUT_MS)
        await store.open()
        yield store
        await store.close()
