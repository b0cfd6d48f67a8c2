"""Both ways of sending a change set's writes have the same effect; MongoDB before 8.0 supports only one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from adapters.mongo.errors import DuplicateKey, StaleVersion
from adapters.mongo.sessions import Sessions
from adapters.mongo.transactions import Transaction
from adapters.mongo.writes import VersionCheck, Write, commit_writes, write_in_turn, write_together
from tests.servers.mongo import MongoDatabase
from tests.unit.contracts.builders import change_set, entry, label, numbered_id, put, task

Database = AsyncDatabase[dict[str, Any]]
Writer = Callable[[list[Write | VersionCheck]], Awaitable[None]]


@pytest.fixture
async def database(mongo_database: MongoDatabase) -> AsyncIterator[Database]:
    """A database with a unique name for labels."""
    async with AsyncMongoClient[dict[str, Any]](mongo_database.uri) as client:
        database = client[mongo_database.name]
        await database.labels.create_index([("nameKey", 1)], unique=True)
        yield database


@pytest.fixture(params=[write_together, write_in_turn], ids=["together", "in turn"])
def written(request: pytest.FixtureRequest, database: Database) -> Writer:
    """Sends writes in one transaction."""

    async def write(writes: list[Write | VersionCheck]) -> None:
        transaction = Transaction(Sessions(database.client), ReadConcern())
        await transaction.run(lambda session: request.param(database, writes, session))

    return write


async def _stored(database: Database) -> dict[str, list[Any]]:
    names = ("tasks", "labels", "audit_logs")
    return {name: [one["version"] async for one in database[name].find().sort("_id", 1)] for name in names}


async def test_writes_to_several_collections_arrive_together(database: Database, written: Writer) -> None:
    await written(
        commit_writes(change_set(put("tasks", task(1)), put("labels", label(1)), put("tasks", task(2))))
    )
    await written(commit_writes(change_set(put("tasks", task(1, version=2)))))
    stored = await _stored(database)
    assert (stored["tasks"], stored["labels"], sorted(stored["audit_logs"])) == ([2, 1], [1], [1, 1, 1, 2])


async def test_a_stale_replacement_stores_nothing(database: Database, written: Writer) -> None:
    await written(commit_writes(change_set(put("tasks", task(1)))))
    with pytest.raises(StaleVersion):
        await written(commit_writes(change_set(put("labels", label(1)), put("tasks", task(1, version=3)))))
    assert await _stored(database) == {"tasks": [1], "labels": [], "audit_logs": [1]}


async def test_a_taken_id_is_reported_with_its_collection(database: Database, written: Writer) -> None:
    await written(commit_writes(change_set(put("tasks", task(1)))))
    taken = entry(put("tasks", task(2)), id=entry(put("tasks", task(1)))["id"])
    with pytest.raises(DuplicateKey) as refused:
        await written(
            commit_writes(change_set(put("tasks", task(2)), put("tasks", task(3)), entries=[taken]))
        )
    assert (refused.value.collection, refused.value.fields) == ("audit_logs", ("_id",))
    assert await _stored(database) == {"tasks": [1], "labels": [], "audit_logs": [1]}


async def test_a_taken_value_is_reported_with_its_fields(database: Database, written: Writer) -> None:
    await written(commit_writes(change_set(put("labels", label(1, name="bug")))))
    clash = change_set(put("tasks", task(1)), put("labels", label(2, name="bug")))
    with pytest.raises(DuplicateKey) as refused:
        await written(commit_writes(clash))
    assert (refused.value.collection, refused.value.fields) == ("labels", ("nameKey",))
    assert await _stored(database) == {"tasks": [], "labels": [1], "audit_logs": [1]}


async def test_a_write_conflict_is_repeated_on_what_is_stored_by_then(database: Database) -> None:
    await database.tasks.insert_one({"_id": numbered_id(1), "version": 0})
    attempts = 0

    async def count_up(session: Any) -> int:
        nonlocal attempts
        attempts += 1
        found = await database.tasks.find_one({}, session=session)
        assert found is not None
        if attempts == 1:
            await database.tasks.update_one({}, {"$inc": {"version": 10}})
        await database.tasks.update_one({}, {"$set": {"version": found["version"] + 1}}, session=session)
        return attempts

    assert await Transaction(Sessions(database.client), ReadConcern("snapshot")).run(count_up) == 2
    found = await database.tasks.find_one({})
    assert found == {"_id": numbered_id(1), "version": 11}
