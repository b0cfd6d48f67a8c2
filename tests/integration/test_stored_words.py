"""Search tokens of an earlier rule are found and rebuilt, page by page, and only once."""

from collections.abc import AsyncIterator

import psycopg
import pytest
from pymongo import MongoClient

from adapters.mongo.record_store import MongoRecordStore
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.criteria import HasWords
from adapters.records.lanes import LanedStore, LaneLost
from adapters.records.old_records import PAGE, Upgradable, rewritten_in, waiting_in
from adapters.records.record_store import RecordStore
from domain.errors import AlreadyExists
from entrypoints.composition.schema import rewrite_once
from tests.servers.mongo import MongoDatabase
from tests.servers.postgres import PostgresServer
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import change_set, commit_all, erasure, found_numbers, label, put, task
from tests.unit.contracts.lanes import admitted

TASKS = PAGE + 20
MONGO_TIMEOUT_MS = 120_000
"""Stand-ins take seconds for a page of writes in one transaction, beside other tests a minute and more."""


@pytest.fixture
async def postgres(postgres_server: PostgresServer) -> AsyncIterator[PostgresRecordStore]:
    url = postgres_server.create_prepared_database()
    store = PostgresRecordStore(url)
    await store.open()
    yield store
    await store.close()
    postgres_server.drop_database(url)


@pytest.fixture
async def mongo(mongo_database: MongoDatabase) -> AsyncIterator[MongoRecordStore]:
    store = MongoRecordStore(mongo_database.uri, mongo_database.name, timeout_ms=MONGO_TIMEOUT_MS)
    await store.open()
    await store.prepare()
    yield store
    await store.close()


async def _fill(store: RecordStore) -> None:
    tasks = [task(number, title=f"Größe {number}", displayId=number) for number in range(1, TASKS + 1)]
    await store.apply([change_set(*(put("tasks", one) for one in tasks))])
    await store.commit(change_set(erasure("tasks", TASKS, version=2)))


async def _check_fence(store: LanedStore, collection: str, ids: list[str]) -> None:
    """Old records are rewritten by a lane, and not at all once it is closed."""
    assert isinstance(store, Upgradable)
    await admitted(store)
    await store.register()
    (lane,) = (await store.positions()).lanes
    assert await store.rewrite(collection, ids[:2]) == 2
    assert await store.close_lane(lane) == 1
    with pytest.raises(LaneLost):
        await store.rewrite(collection, ids)
    formats = await store.formats(collection, after=None, limit=len(ids))
    assert [one.record_id for one in formats if one.is_current] == ids[:2]
    await admitted(store)
    assert await store.rewrite(collection, ids) == len(ids) - 2


async def _check_rebuild(store: RecordStore) -> None:
    """Every old record is rebuilt, with its version; a second run finds nothing."""
    assert isinstance(store, Upgradable)
    before = await store.scan("tasks", after=None, limit=PAGE)
    assert await found_numbers(store, "tasks", HasWords("grosse")) == []
    assert (await waiting_in(store, "tasks")).waiting == TASKS - 1
    interrupted = [record["id"] for record in before[:7]]
    assert await store.rewrite("tasks", interrupted) == 7
    done = await rewritten_in(store, "tasks")
    assert (done.rewritten, done.waiting) == (TASKS - 8, 0)
    assert len(await found_numbers(store, "tasks", HasWords("grosse"))) == TASKS - 1
    assert await found_numbers(store, "tasks", HasWords("#9 größe")) == [9]
    assert await store.scan("tasks", after=None, limit=PAGE) == before
    assert (await rewritten_in(store, "tasks")).rewritten == 0


async def test_rows_are_rewritten_by_an_open_lane_only(postgres: PostgresRecordStore) -> None:
    await commit_all(postgres, "tasks", *(task(number) for number in range(5)))
    with psycopg.connect(postgres.url) as connection:
        connection.execute("UPDATE postgres_tasks SET words = to_tsvector('simple', 'old')")
    await _check_fence(postgres, "tasks", [numbered_id(number) for number in range(5)])


async def test_documents_are_rewritten_by_an_open_lane_only(
    mongo: MongoRecordStore, mongo_database: MongoDatabase
) -> None:
    await commit_all(mongo, "tasks", *(task(number) for number in range(5)))
    with MongoClient[dict[str, object]](mongo_database.uri) as client:
        client[mongo_database.name]["tasks"].update_many({}, {"$set": {"_words": "words of an earlier form"}})
    await _check_fence(mongo, "tasks", [numbered_id(number) for number in range(5)])


async def test_rows_get_the_tokens_of_todays_rule(postgres: PostgresRecordStore) -> None:
    await _fill(postgres)
    with psycopg.connect(postgres.url) as connection:
        connection.execute(
            "UPDATE postgres_tasks SET words = to_tsvector('simple', title) WHERE is_erased IS NULL"
        )
    await _check_rebuild(postgres)


async def test_documents_get_the_tokens_of_todays_rule(
    mongo: MongoRecordStore, mongo_database: MongoDatabase
) -> None:
    await _fill(mongo)
    with MongoClient(mongo_database.uri) as client:  # type: ignore[var-annotated]
        client[mongo_database.name]["tasks"].update_many(
            {"isErased": None}, {"$set": {"_words": "größe . words of an earlier form"}}
        )
    await _check_rebuild(mongo)


async def test_a_start_rebuilds_once_for_each_rule(postgres: PostgresRecordStore) -> None:
    await commit_all(postgres, "tasks", task(1, title="Größe"))
    await rewrite_once(postgres)
    with psycopg.connect(postgres.url) as connection:
        connection.execute("UPDATE postgres_tasks SET words = 'größe'")
    await rewrite_once(postgres)
    assert await found_numbers(postgres, "tasks", HasWords("grosse")) == []
    with psycopg.connect(postgres.url) as connection:
        connection.execute(
            'UPDATE tandem_control SET value = \'{"revision": "an earlier rule"}\''
            " WHERE mongo_id = 'old-records-rewritten'"
        )
    await rewrite_once(postgres)
    assert await found_numbers(postgres, "tasks", HasWords("grosse")) == [1]


async def test_labels_of_one_name_from_before_stay_and_are_counted(
    mongo: MongoRecordStore, mongo_database: MongoDatabase
) -> None:
    await commit_all(mongo, "labels", label(1, name="Bug"), label(2, name="roof"))
    with MongoClient(mongo_database.uri) as client:  # type: ignore[var-annotated]
        labels = client[mongo_database.name]["labels"]
        labels.update_many({}, {"$unset": {"nameKey": True}})
        labels.update_one({"name": "roof"}, {"$set": {"name": "bug", "_words": ["bug", "«bug"]}})
    done = await rewritten_in(mongo, "labels")
    assert (done.rewritten, done.waiting) == (1, 1)
    assert await found_numbers(mongo, "labels", HasWords("bug")) == [1, 2]
    with pytest.raises(AlreadyExists):
        await commit_all(mongo, "labels", label(3, name="BUG"))
