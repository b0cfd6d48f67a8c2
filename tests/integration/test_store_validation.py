"""The databases themselves reject invalid data, whichever program and driver writes it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors as driver
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, WriteError

from adapters.mongo.documents import to_document
from adapters.mongo.errors import INVALID_DOCUMENT, HandMadeRule
from adapters.mongo.record_store import MongoRecordStore
from adapters.mongo.validators import validator_of
from adapters.records.record import tombstone
from adapters.records.specs import ALL_SPECS, TASKS
from tests.servers.mongo import MongoDatabase
from tests.servers.postgres import PostgresServer
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    fetched,
    label,
    numbered_id,
    put,
    reason_of,
    same,
    task,
)

Document = dict[str, Any]


@pytest.fixture
async def mongo_store(mongo_database: MongoDatabase) -> AsyncIterator[MongoRecordStore]:
    store = MongoRecordStore(mongo_database.uri, mongo_database.name, timeout_ms=30_000)
    await store.open()
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
def tasks(mongo_store: MongoRecordStore, mongo_database: MongoDatabase) -> Iterator[Collection[Document]]:
    """The collection as another program sees it."""
    with MongoClient[Document](mongo_database.uri, tz_aware=True) as client:
        yield client[mongo_database.name]["tasks"]


INVALID: dict[str, Document] = {
    "no title": {"title": None},
    "unknown status": {"status": "todo"},
    "unknown priority": {"priority": 7},
    "a fraction for a rank": {"priority": 2.0},
    "text for an instant": {"dueAt": "tomorrow"},
    "text for a list": {"labelIds": "a"},
    "a number for an id": {"_id": 7},
    "text for a version": {"version": "1"},
}


@pytest.mark.parametrize("fields", INVALID.values(), ids=INVALID)
def test_mongodb_rejects_an_invalid_document_of_another_program(
    tasks: Collection[Document], fields: Document
) -> None:
    with pytest.raises(WriteError) as refused:
        tasks.insert_one({**to_document("tasks", task(1)), **fields})
    assert refused.value.code == INVALID_DOCUMENT
    assert tasks.count_documents({}) == 0


def test_mongodb_rejects_an_invalid_change_and_keeps_the_document(tasks: Collection[Document]) -> None:
    document = to_document("tasks", task(1))
    tasks.insert_one(document)
    for change in ({"$set": {"title": 5}}, {"$unset": {"ownerId": ""}}, {"$set": {"status": "?"}}):
        with pytest.raises(WriteError):
            tasks.update_one({"_id": numbered_id(1)}, change)
    with pytest.raises(BulkWriteError):
        tasks.insert_many([{"_id": numbered_id(2)}])
    assert list(tasks.find()) == [document]


def test_mongodb_accepts_the_documents_of_tandem(tasks: Collection[Document]) -> None:
    tasks.insert_one({**to_document("tasks", task(1)), "someday": {"kept": True}})
    tasks.insert_one(to_document("tasks", tombstone(numbered_id(2), 3)))
    assert tasks.update_one({"_id": numbered_id(1)}, {"$inc": {"_guarded": 1}}).modified_count == 1
    with pytest.raises(WriteError):
        tasks.insert_one({**to_document("tasks", tombstone(numbered_id(3), 3)), "title": "left behind"})


async def test_every_collection_has_the_validator_of_its_spec(
    mongo_store: MongoRecordStore, mongo_database: MongoDatabase
) -> None:
    with MongoClient[Document](mongo_database.uri) as client:
        database = client[mongo_database.name]
        for spec in ALL_SPECS:
            options = database[spec.collection].options()
            assert options["validator"] == validator_of(spec)
            assert (options["validationLevel"], options["validationAction"]) == ("strict", "error")


async def test_an_older_validator_is_replaced_and_documents_stay(
    mongo_store: MongoRecordStore, mongo_database: MongoDatabase
) -> None:
    await commit_all(mongo_store, "tasks", task(1))
    with MongoClient[Document](mongo_database.uri) as client:
        database = client[mongo_database.name]
        database.command("collMod", "tasks", validator={"never": "so"}, validationLevel="moderate")
        with pytest.raises(HandMadeRule, match=r"validator of the collection tasks .*tandem migrate up"):
            await mongo_store.commit(change_set(put("labels", label(1)), put("tasks", task(2))))
        (refusal,) = await mongo_store.apply([change_set(put("tasks", task(2)))])
        assert "validator of tasks" in reason_of(refusal)
        assert await fetched(mongo_store, "labels", 1) is None
        await mongo_store.prepare()
        assert database["tasks"].options()["validator"] == validator_of(TASKS)
    await mongo_store.commit(change_set(put("labels", label(1)), put("tasks", task(2))))
    assert same(await fetched(mongo_store, "tasks", 1), task(1))


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with tables; nothing that these tests write stays."""
    url = postgres_server.create_prepared_database()
    yield url
    postgres_server.drop_database(url)


TASK_ROW = {
    "mongo_id": "'1'",
    "version": "1",
    "created_at": "now()",
    "created_by": "'a'",
    "updated_at": "now()",
    "updated_by": "'a'",
    "is_deleted": "false",
    "title": "'t'",
    "status": "'TODO'",
    "priority": "2",
    "label_ids": "'[]'",
    "links": "'[]'",
    "is_acknowledged": "false",
    "owner_id": "'a'",
}


def _insert(values: dict[str, str]) -> str:
    return f"INSERT INTO postgres_tasks ({', '.join(values)}) VALUES ({', '.join(values.values())})"


@pytest.mark.parametrize("column", sorted(TASK_ROW))
def test_postgresql_rejects_a_row_without_a_required_value(url: str, column: str) -> None:
    rest = {name: value for name, value in TASK_ROW.items() if name != column}
    with psycopg.connect(url) as connection, pytest.raises((driver.CheckViolation, driver.NotNullViolation)):
        connection.execute(_insert(rest))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", "'todo'"),
        ("priority", "7"),
        ("label_ids", "'{}'"),
        ("label_ids", "'null'"),
        ("assignee_type", "'ROBOT'"),
        ("is_erased", "true"),
    ],
)
def test_postgresql_rejects_a_row_with_an_unknown_value(url: str, column: str, value: str) -> None:
    with psycopg.connect(url) as connection, pytest.raises(driver.CheckViolation):
        connection.execute(_insert({**TASK_ROW, column: value}))


def test_postgresql_rejects_an_invalid_change(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(_insert(TASK_ROW))
        with pytest.raises(driver.CheckViolation), connection.transaction():
            connection.execute("UPDATE postgres_tasks SET title = NULL")
        connection.execute("UPDATE postgres_tasks SET assignee_type = 'TEAM', due_at = now()")
        connection.rollback()


def test_postgresql_accepts_a_tombstone_only_without_content(url: str) -> None:
    left = {"mongo_id": "'1'", "version": "2", "is_deleted": "true", "is_erased": "true"}
    with psycopg.connect(url) as connection:
        connection.execute(_insert(left))
        with pytest.raises(driver.CheckViolation):
            connection.execute(_insert({**left, "mongo_id": "'2'", "title": "'left behind'"}))
