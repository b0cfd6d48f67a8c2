"""The MongoDB record store passes the contract; the summary of the run says which server stood behind it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from adapters.mongo.record_store import MongoRecordStore
from adapters.records.record_store import RecordStore
from adapters.records.specs import SPECS
from tests.servers.mongo import MongoDatabase, MongoServer
from tests.unit.contracts.lanes import LaneContract, SeenContract
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


class TestMongoRecordStore(RecordStoreContract, LaneContract, SeenContract, LoadContract):
    """Everything a record store promises."""

    @pytest.fixture
    async def store(self, empty_database: MongoDatabase) -> AsyncIterator[RecordStore]:
        store = MongoRecordStore(empty_database.uri, empty_database.name, timeout_ms=TIMEOUT_MS)
        await store.open()
        yield store
        await store.close()
