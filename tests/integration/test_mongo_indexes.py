"""Collections and indexes follow the specs."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.indexes import prepare_collection
from adapters.records.specs import ALL_SPECS, AUDIT_LOGS, SPECS, TASKS, TIMELINES
from tests.servers.mongo import MongoDatabase

Database = AsyncDatabase[dict[str, Any]]


async def _open(database: MongoDatabase) -> AsyncIterator[Database]:
    async with AsyncMongoClient[dict[str, Any]](database.uri) as client:
        yield client[database.name]


@pytest.fixture
async def database(mongo_database: MongoDatabase) -> AsyncIterator[Database]:
    """An empty database of the server with transactions."""
    async for opened in _open(mongo_database):
        yield opened


async def _indexes(database: Database, collection: str) -> dict[str, dict[str, Any]]:
    return {index["name"]: dict(index) async for index in await database[collection].list_indexes()}


async def test_every_index_of_the_specs_is_made(database: Database) -> None:
    for spec in ALL_SPECS:
        await prepare_collection(database, spec)
        made = await _indexes(database, spec.collection)
        assert {index.name for index in spec.indexes} | {key.name for key in spec.unique_keys} <= made.keys()
        for index in spec.indexes:
            asked = [name for name in index.fields if name != "id"]
            assert list(made[index.name]["key"].items()) == [(name, 1) for name in (*asked, "_id")]
        for key in spec.unique_keys:
            assert made[key.name]["unique"] is True
            assert list(made[key.name]["key"]) == list(key.fields)


@pytest.mark.parametrize(
    ("collection", "index", "held"),
    [
        ("tasks", "tasks_created", {"isDeleted": False}),
        ("tasks", "tasks_project_due", {"projectId": {"$gte": ""}, "isDeleted": False}),
        ("tasks", "tasks_project_deleted", {"projectId": {"$gte": ""}, "isDeleted": True}),
        ("audit_logs", "audit_logs_at", None),
        (
            "audit_logs",
            "audit_logs_undelivered",
            {"syncStatus": {"$in": [None, "PENDING", "FAILED", "PARKED"]}},
        ),
    ],
)
async def test_an_index_holds_the_records_of_its_scope(
    database: Database, *, collection: str, index: str, held: dict[str, Any] | None
) -> None:
    await prepare_collection(database, SPECS[collection])
    made = await _indexes(database, collection)
    assert made[index].get("partialFilterExpression") == held


async def test_collections_without_indexes_are_made_as_well(database: Database) -> None:
    await prepare_collection(database, TIMELINES)
    assert await database.list_collection_names() == ["timelines"]


async def test_preparing_again_rebuilds_nothing(database: Database) -> None:
    await prepare_collection(database, AUDIT_LOGS)
    before = await _indexes(database, "audit_logs")
    await prepare_collection(database, AUDIT_LOGS)
    assert await _indexes(database, "audit_logs") == before


async def test_an_index_whose_definition_changed_is_rebuilt(database: Database) -> None:
    await database.tasks.create_index([("createdAt", 1)], name="tasks_created")
    await database.tasks.create_index([("externalKey", 1)], name="tasks_external_key")
    await prepare_collection(database, TASKS)
    made = await _indexes(database, "tasks")
    assert list(made["tasks_created"]["key"]) == ["createdAt", "_id"]
    assert made["tasks_created"]["partialFilterExpression"] == {"isDeleted": False}
    assert made["tasks_external_key"]["unique"] is True


async def test_indexes_of_other_programs_are_left_alone(database: Database) -> None:
    await database.tasks.create_index([("title", 1)], name="somebody_elses")
    await prepare_collection(database, TASKS)
    assert "somebody_elses" in await _indexes(database, "tasks")


async def test_the_index_of_words_replaces_an_earlier_one(database: Database) -> None:
    await database.tasks.create_index([("_words", -1)], name="tasks_words")
    await prepare_collection(database, TASKS)
    assert (await _indexes(database, "tasks"))["tasks_words"]["key"] == {"_words": 1}
