"""Collections and indexes follow the specs, and a text index serves the search where the server has one."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.document_query import filter_of
from adapters.mongo.documents import to_document
from adapters.mongo.indexes import ensure_text_index, has_text_index, prepare_collection
from adapters.records.criteria import AllOf, AnyOf, Equals, HasWords
from adapters.records.specs import ALL_SPECS, AUDIT_LOGS, SPECS, TASKS, TIMELINES
from tests.servers.mongo import MongoDatabase
from tests.unit.contracts.builders import label, task
from tests.unit.contracts.searching import WORDS

Database = AsyncDatabase[dict[str, Any]]


async def _open(database: MongoDatabase) -> AsyncIterator[Database]:
    async with AsyncMongoClient[dict[str, Any]](database.uri) as client:
        yield client[database.name]


@pytest.fixture
async def database(mongo_database: MongoDatabase) -> AsyncIterator[Database]:
    """An empty database of the server with transactions."""
    async for opened in _open(mongo_database):
        yield opened


@pytest.fixture
async def text_database(text_mongo_database: MongoDatabase) -> AsyncIterator[Database]:
    """An empty database of the server with text indexes."""
    async for opened in _open(text_mongo_database):
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


async def test_whether_there_is_a_text_index_is_known_afterwards(database: Database) -> None:
    assert await has_text_index(database, "tasks") is None
    is_made = await prepare_collection(database, TASKS)
    assert await has_text_index(database, "tasks") is is_made


async def test_a_text_index_is_made_where_the_server_has_them(text_database: Database) -> None:
    assert await ensure_text_index(text_database.tasks) is True
    assert await ensure_text_index(text_database.tasks) is True


async def test_a_text_index_answers_like_a_plain_search(text_database: Database) -> None:
    await ensure_text_index(text_database.tasks)
    records = [
        task(1, title="Fix the ROOF", description="new tiles"),
        task(2, title="roof", description=None),
        task(3, title="Roofs"),
        task(4, title="Über Наш Haus"),
        task(5, title="Café 日本語"),
        task(6, title="v2-2 don't is", description="snake_case a.b(c) [x] 100% $5 \\d+ 🙂smile"),
        task(7, title="THE", description="a\nroof\twith\r\nlines"),
        task(8, description=None),
    ]
    await text_database.tasks.insert_many([to_document("tasks", record) for record in records])
    answers = {}
    for text, _ in WORDS:
        query = filter_of(HasWords(text), has_text_index=True)
        assert ("$text" in query) == any(char.isalnum() for char in text)
        cursor = text_database.tasks.find(query).sort("_id", 1)
        answers[text] = [int(document["_id"], 16) async for document in cursor]
    assert answers == dict(WORDS)


async def test_a_text_index_joins_other_criteria(text_database: Database) -> None:
    await ensure_text_index(text_database.labels)
    records = [label(1, name="red roof"), label(2, name="red wall"), label(3, name="blue")]
    await text_database.labels.insert_many([to_document("labels", record) for record in records])
    both = filter_of(AllOf((HasWords("red"), HasWords("roof"))), has_text_index=True)
    either = filter_of(AnyOf((HasWords("roof"), Equals("name", "blue"))), has_text_index=True)
    assert "$text" not in either
    assert [one["name"] async for one in text_database.labels.find(both)] == ["red roof"]
    assert {one["name"] async for one in text_database.labels.find(either)} == {"red roof", "blue"}
