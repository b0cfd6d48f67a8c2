"""Transactions that hold up nobody: one that was given up is ended at once, and a beat waits for none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from adapters.mongo.client import MongoConnection
from adapters.mongo.record_store import MongoRecordStore
from adapters.mongo.sessions import Sessions
from adapters.mongo.transactions import Transaction
from adapters.ownership.comparison import shows_life
from domain.errors import StoreUnavailable
from tests.servers.mongo import MongoDatabase
from tests.unit.contracts.lanes import admitted

DEADLINE_SECONDS = 0.4
UNLOCKED_SECONDS_MAX = 10.0
"""Far below the minute after which MongoDB ends a transaction."""
SILENT_SECONDS = 1.0

Database = AsyncDatabase[dict[str, Any]]


@pytest.fixture
async def database(mongo_database: MongoDatabase) -> AsyncIterator[Database]:
    """A database with one document."""
    async with AsyncMongoClient[dict[str, Any]](mongo_database.uri) as client:
        database = client[mongo_database.name]
        await database.tasks.insert_one({"_id": 1, "by": "nobody"})
        yield database


@pytest.mark.parametrize("fails_in", ["a statement", "the commit"])
async def test_a_transaction_that_is_late_unlocks_its_documents(database: Database, fails_in: str) -> None:
    sessions = Sessions(database.client)

    async def take_long(session: AsyncClientSession) -> None:
        await _write(database, session)
        await asyncio.sleep(2 * DEADLINE_SECONDS)
        if fails_in == "a statement":
            await _write(database, session)

    with pytest.raises(PyMongoError) as late, pymongo.timeout(DEADLINE_SECONDS):
        await Transaction(sessions, ReadConcern()).run(take_long)
    assert late.value.timeout
    await _require_unlocked(database)
    await sessions.close()


async def test_a_cancelled_transaction_unlocks_its_documents(database: Database) -> None:
    sessions = Sessions(database.client)
    has_written = asyncio.Event()

    async def hang(session: AsyncClientSession) -> None:
        await _write(database, session)
        has_written.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(Transaction(sessions, ReadConcern()).run(hang))
    await has_written.wait()
    for _ in range(2):  # As callers do that close while a call is being abandoned.
        running.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await running
    await _require_unlocked(database)
    await sessions.close()


async def test_closing_waits_for_transactions_that_are_being_ended(mongo_database: MongoDatabase) -> None:
    connection = MongoConnection(mongo_database.uri, mongo_database.name, timeout_ms=5_000, pool_max=2)
    await connection.open()
    with pytest.raises(StoreUnavailable):
        await _insert_too_late(connection)
    await connection.close()
    async with AsyncMongoClient[dict[str, Any]](mongo_database.uri) as client:
        with pymongo.timeout(UNLOCKED_SECONDS_MAX):
            await client[mongo_database.name].tasks.insert_one({"_id": 1, "by": "another"})


async def test_a_beat_does_not_wait_for_a_write_that_holds_a_lane(mongo_database: MongoDatabase) -> None:
    store = MongoRecordStore(mongo_database.uri, mongo_database.name)
    await store.open()
    await store.prepare()
    await admitted(store)
    await store.register()
    await store.beat()
    await asyncio.sleep(SILENT_SECONDS)
    async with (
        AsyncMongoClient[dict[str, Any]](mongo_database.uri) as client,
        client.start_session() as session,
        await session.start_transaction(),
    ):
        lanes = client[mongo_database.name].lanes
        await lanes.update_many({}, {"$inc": {"number": 1}}, session=session)
        await store.beat()
        (lane,) = (await store.positions()).lanes.values()
    assert lane.silent_seconds < SILENT_SECONDS
    await store.close()


async def test_a_process_that_beats_after_the_clock_was_set_back_shows_life(
    mongo_database: MongoDatabase,
) -> None:
    store = MongoRecordStore(mongo_database.uri, mongo_database.name)
    await store.open()
    await store.prepare()
    await admitted(store)
    await store.register()
    async with AsyncMongoClient[dict[str, Any]](mongo_database.uri) as client:
        ahead = datetime.now(UTC) + timedelta(days=2)
        await client[mongo_database.name].lanes.update_many({}, {"$set": {"registeredAt": ahead}})
        (before,) = (await store.positions()).lanes.values()
        await store.beat()
        (after,) = (await store.positions()).lanes.values()
    assert (shows_life(before), shows_life(after)) == (False, True)
    await store.close()


@pytest.mark.parametrize("many", ["update", "delete"])
async def test_a_change_of_many_documents_that_waits_for_a_transaction_lets_others_end(
    database: Database, many: str
) -> None:
    await database.tasks.insert_many([{"_id": 2, "by": "nobody"}, {"_id": 3, "by": "nobody"}])
    async with _open_transaction(database) as first, _open_transaction(database) as second:
        await database.tasks.update_one({"_id": 1}, {"$set": {"by": "first"}}, session=first)
        waiting = asyncio.create_task(_change_all(database, many))
        await asyncio.sleep(DEADLINE_SECONDS)
        inserting = asyncio.create_task(database.tasks.insert_one({"_id": 4, "by": "second"}, session=second))
        await asyncio.sleep(DEADLINE_SECONDS)
        await first.commit_transaction()
        await inserting
        await second.commit_transaction()
        await waiting
    left = [document["_id"] async for document in database.tasks.find({"by": "first"}, sort=["_id"])]
    assert (left, await database.tasks.count_documents({"changes": 1})) == (
        ([1], 3) if many == "update" else ([], 0)
    )
    assert await database.tasks.find_one({"_id": 4}, {"by": True}) == {"_id": 4, "by": "second"}


async def test_the_removal_of_a_database_that_waits_for_a_transaction_holds_up_nobody(
    mongo_database: MongoDatabase,
) -> None:
    async with AsyncMongoClient[dict[str, Any]](mongo_database.uri) as client:
        removed = client[f"{mongo_database.name}_removed"]
        await removed.tasks.insert_one({"_id": 1, "by": "nobody"})
        async with _open_transaction(removed) as session:
            await _write(removed, session)
            removing = asyncio.create_task(client.drop_database(removed.name))
            await asyncio.sleep(DEADLINE_SECONDS)
            await client[mongo_database.name].tasks.insert_one({"_id": 1})
            await session.commit_transaction()
            await removing
        assert await removed.list_collection_names() == []


@asynccontextmanager
async def _open_transaction(database: Database) -> AsyncIterator[AsyncClientSession]:
    """A transaction that the block ends, soon enough."""
    async with asyncio.timeout(UNLOCKED_SECONDS_MAX), database.client.start_session() as session:
        await session.start_transaction()
        yield session


async def _change_all(database: Database, many: str) -> None:
    """Of the documents that nobody but the first wrote."""
    among = {"_id": {"$lte": 3}}
    if many == "update":
        await database.tasks.update_many(among, {"$inc": {"changes": 1}})
    else:
        await database.tasks.delete_many(among)


async def _insert_too_late(connection: MongoConnection) -> None:
    async with connection.call(seconds=DEADLINE_SECONDS) as database:

        async def take_long(session: AsyncClientSession) -> None:
            await database.tasks.insert_one({"_id": 1, "by": "transaction"}, session=session)
            await asyncio.sleep(2 * DEADLINE_SECONDS)

        await Transaction(connection.sessions, ReadConcern()).run(take_long)


async def _write(database: Database, session: AsyncClientSession) -> None:
    await database.tasks.update_one({}, {"$set": {"by": "transaction"}}, session=session)


async def _require_unlocked(database: Database) -> None:
    with pymongo.timeout(UNLOCKED_SECONDS_MAX):
        await database.tasks.update_one({}, {"$set": {"by": "another"}})
        assert await database.tasks.find_one({}) == {"_id": 1, "by": "another"}
