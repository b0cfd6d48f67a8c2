"""Old documents of another service: read, found, changed, mirrored and rewritten without losing a version."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bson.objectid import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from adapters.mongo.record_store import MongoRecordStore
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import ChangeSet, ReadCheck
from adapters.records.criteria import Equals, HasWords, OneOf, Order, Question, Range
from adapters.records.old_records import PAGE, rewritten_in, waiting_in
from adapters.records.record import Record
from adapters.records.specs import TASKS
from application.tasks.reading import GetTask
from domain.errors import AlreadyExists, VersionConflict
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.schema import rewrite_once
from entrypoints.composition.settings import read_settings
from entrypoints.composition.start import start
from tests.servers.mongo import MongoDatabase
from tests.unit.builders import actor
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    erasure,
    fetched,
    found_numbers,
    minutes,
    numbered_id,
    put,
    same,
    task,
)
from tests.unit.contracts.old_documents import MAKER, OLD_ID, old_task, unmendable_task, upgraded_task

Document = dict[str, Any]
KEY = str(OLD_ID)
Over = Callable[..., Awaitable[MongoRecordStore]]


@pytest.fixture
def raw(mongo_database: MongoDatabase) -> Iterator[Database[Document]]:
    """The database as another service left it: documents, and no validator."""
    with MongoClient[Document](mongo_database.uri, tz_aware=True) as client:
        yield client[mongo_database.name]


@pytest.fixture
async def over(mongo_database: MongoDatabase, raw: Database[Document]) -> AsyncIterator[Over]:
    """Opens and prepares the store over these tasks."""
    store = MongoRecordStore(mongo_database.uri, mongo_database.name, timeout_ms=30_000)

    async def opened(*documents: Document) -> MongoRecordStore:
        raw["tasks"].insert_many(documents)
        await store.open()
        await store.prepare()
        return store

    yield opened
    await store.close()


@pytest.fixture
async def mongo(over: Over) -> MongoRecordStore:
    """The store over one old task."""
    return await over(old_task())


def object_id(number: int) -> ObjectId:
    """The ObjectId with the digits of `numbered_id`."""
    return ObjectId(numbered_id(number))


def as_document(number: int, **fields: Any) -> Document:
    """A task in today's form but for its id, which is an ObjectId."""
    record = task(number, **fields)
    del record["id"]
    return {"_id": object_id(number), **record}


async def test_an_old_document_is_fetched_and_scanned_in_today_s_form(mongo: MongoRecordStore) -> None:
    expected = {KEY: upgraded_task()}
    assert same(await mongo.fetch("tasks", [KEY, numbered_id(1)]), expected)
    assert same(await mongo.gather({"tasks": [KEY]}), {"tasks": expected})
    assert same(await mongo.scan("tasks", after=None, limit=9), [upgraded_task()])
    assert same(await mongo.find(Question(collection="tasks", limit=9)), [upgraded_task()])
    assert TASKS.entity(upgraded_task()).title == "Mend the gate"


async def test_reading_changes_nothing(mongo: MongoRecordStore, raw: Database[Document]) -> None:
    await mongo.fetch("tasks", [KEY])
    await mongo.scan("tasks", after=None, limit=9)
    assert [one["_id"] for one in raw["tasks"].find()] == [OLD_ID]
    assert "version" not in raw["tasks"].find_one({})  # type: ignore[operator] # it is there


async def test_the_next_version_replaces_it_under_its_id_as_text(
    mongo: MongoRecordStore, raw: Database[Document]
) -> None:
    after = upgraded_task(version=2, title="Mended")
    await mongo.commit(change_set(put("tasks", after)))
    assert same(await mongo.fetch("tasks", [KEY]), {KEY: after})
    assert [one["_id"] for one in raw["tasks"].find()] == [KEY]


async def test_a_rejected_change_set_leaves_the_old_document_unchanged(
    mongo: MongoRecordStore, raw: Database[Document]
) -> None:
    await commit_all(mongo, "tasks", task(1, externalKey="taken"))
    before = raw["tasks"].find_one({"_id": OLD_ID})
    taken = put("tasks", task(3, externalKey="taken"))
    with pytest.raises(AlreadyExists):
        await mongo.commit(change_set(put("tasks", upgraded_task(version=2)), taken))
    for version, expected in ((5, 4), (2, 0)):
        with pytest.raises(VersionConflict) as refused:
            await mongo.commit(change_set(put("tasks", upgraded_task(version=version), expected=expected)))
        assert refused.value.current_version == 1
    assert raw["tasks"].find_one({"_id": OLD_ID}) == before
    assert raw["tasks"].count_documents({}) == 2


async def test_two_writers_of_an_old_document_leave_one_winner(
    mongo: MongoRecordStore, raw: Database[Document]
) -> None:
    writers = [
        mongo.commit(change_set(put("tasks", upgraded_task(version=2, title=f"Writer {number}"))))
        for number in range(4)
    ]
    outcomes = await asyncio.gather(*writers, return_exceptions=True)
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, (VersionConflict, AlreadyExists)) for outcome in outcomes) == 3
    (left,) = raw["tasks"].find()
    assert (left["_id"], left["title"]) == (KEY, f"Writer {outcomes.index(None)}")


async def test_an_old_document_can_be_guarded(mongo: MongoRecordStore) -> None:
    read_checks = (ReadCheck("tasks", KEY, 1),)
    await mongo.commit(ChangeSet((put("tasks", task(1)),), read_checks=read_checks))
    assert same(await fetched(mongo, "tasks", 1), task(1))
    assert same(await mongo.fetch("tasks", [KEY]), {KEY: upgraded_task()})
    stale = (ReadCheck("tasks", KEY, 3),)
    with pytest.raises(VersionConflict):
        await mongo.commit(ChangeSet((put("tasks", task(2)),), read_checks=stale))


async def test_an_old_document_with_a_text_id_can_be_guarded_and_changed(
    over: Over, raw: Database[Document]
) -> None:
    store = await over(old_task(numbered_id(7)))
    await store.commit(
        ChangeSet((put("tasks", task(1)),), read_checks=(ReadCheck("tasks", numbered_id(7), 1),))
    )
    await store.commit(change_set(put("tasks", upgraded_task(numbered_id(7), version=2))))
    assert same(await fetched(store, "tasks", 7), upgraded_task(numbered_id(7), version=2))
    assert raw["tasks"].count_documents({}) == 2


async def test_a_mirrored_version_replaces_an_old_document_where_it_is_newer(
    mongo: MongoRecordStore, raw: Database[Document]
) -> None:
    same_version = change_set(put("tasks", upgraded_task(title="Late replay")))
    assert await mongo.apply([same_version]) == [None]
    assert (await mongo.fetch("tasks", [KEY]))[KEY]["title"] == "Mend the gate"
    newer = put("tasks", upgraded_task(version=2, title="Mirrored"))
    assert await mongo.apply([change_set(put("tasks", task(1))), change_set(newer)]) == [None, None]
    assert sorted(str(one["_id"]) for one in raw["tasks"].find()) == [numbered_id(1), KEY]
    assert [one["title"] for one in raw["tasks"].find({"_id": KEY})] == ["Mirrored"]


async def test_an_old_document_can_be_removed_permanently(
    mongo: MongoRecordStore, raw: Database[Document]
) -> None:
    removed = erasure("tasks", int(KEY, 16), version=2)
    await mongo.commit(change_set(removed))
    assert [one["_id"] for one in raw["tasks"].find()] == [KEY]
    assert await mongo.count("tasks", OneOf("id", (KEY,))) == 0


@pytest.fixture
async def mixed(over: Over) -> MongoRecordStore:
    """Tasks 1 to 12: every third one under an ObjectId, two and two due at the same time, some never."""
    store = await over(*(as_document(number, **due(number)) for number in range(3, 13, 3)))
    await commit_all(store, "tasks", *(task(number, **due(number)) for number in range(1, 13) if number % 3))
    return store


def due(number: int) -> Document:
    return {"dueAt": None if number % 5 == 0 else minutes(number // 2)}


@pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
@pytest.mark.parametrize("field", ["id", "dueAt"])
async def test_pages_run_through_both_kinds_of_ids(
    mixed: MongoRecordStore, field: str, descending: bool
) -> None:
    order, seen, after = Order(field, descending), list[Record](), None
    while page := await mixed.find(Question(collection="tasks", order=order, after=after, limit=3)):
        seen += page
        after = (page[-1].get(field), page[-1]["id"])
    numbers = [int(record["id"], 16) for record in seen]
    in_order = sorted(
        range(1, 13),
        key=lambda number: (
            (number % 5 != 0, number // 2 if number % 5 else 0, number) if field == "dueAt" else number
        ),
    )
    assert numbers == (in_order[::-1] if descending else in_order)


async def test_questions_about_ids_find_both_kinds(mixed: MongoRecordStore) -> None:
    assert await found_numbers(mixed, "tasks", Equals("id", numbered_id(3))) == [3]
    assert await found_numbers(mixed, "tasks", OneOf("id", (numbered_id(2), numbered_id(3), "x"))) == [2, 3]
    between = Range(field="id", above=numbered_id(4), at_most=numbered_id(9))
    assert await found_numbers(mixed, "tasks", between) == [5, 6, 7, 8, 9]
    assert await found_numbers(mixed, "tasks", Range(field="id", above="")) == list(range(1, 13))
    assert await found_numbers(mixed, "tasks", Range(field="id", above="z")) == []
    assert await found_numbers(mixed, "tasks", Range(field="id", at_least=numbered_id(9)[:-1] + "9")) == [
        9,
        10,
        11,
        12,
    ]


@pytest.mark.parametrize("limit", [1, 4, 5, 50])
async def test_a_scan_runs_through_both_kinds_of_ids(mixed: MongoRecordStore, limit: int) -> None:
    seen: list[int] = []
    after = None
    while page := await mixed.scan("tasks", after=after, limit=limit):
        seen += [int(record["id"], 16) for record in page]
        after = page[-1]["id"]
    assert seen == list(range(1, 13))


async def test_rewriting_gives_every_document_today_s_form_and_keeps_versions(
    mongo: MongoRecordStore, raw: Database[Document]
) -> None:
    await commit_all(mongo, "tasks", task(1, version=4))
    waiting = await waiting_in(mongo, "tasks")
    assert (waiting.looked_at, waiting.waiting, waiting.unfit) == (2, 1, 0)
    done = await rewritten_in(mongo, "tasks")
    assert (done.rewritten, done.waiting, done.is_complete) == (1, 0, True)
    assert sorted(one["_id"] for one in raw["tasks"].find()) == sorted([KEY, numbered_id(1)])
    assert same(await mongo.fetch("tasks", [KEY]), {KEY: upgraded_task()})
    assert (await waiting_in(mongo, "tasks")).waiting == 0
    assert (await rewritten_in(mongo, "tasks")).rewritten == 0
    entries = await mongo.scan("audit_logs", after=None, limit=9)
    assert [entry["entityId"] for entry in entries] == [numbered_id(1)]
    assert await found_numbers(mongo, "tasks", Equals("isDeleted", False)) == [1, int(KEY, 16)]


async def test_rewriting_loses_no_change_of_writers_beside_it(over: Over, raw: Database[Document]) -> None:
    numbers = range(1, 41)
    store = await over(*(old_task(object_id(number), displayId=number) for number in numbers))

    async def write(number: int) -> None:
        record = await fetched(store, "tasks", number)
        assert record is not None
        await store.commit(change_set(put("tasks", {**record, "version": 2, "title": f"Changed {number}"})))

    _, done = await asyncio.gather(
        asyncio.gather(*(write(number) for number in numbers if number % 4 == 0)),
        rewritten_in(store, "tasks"),
    )
    assert done.unfit == 0
    await rewritten_in(store, "tasks")
    titles = {one["_id"]: (one["version"], one["title"]) for one in raw["tasks"].find()}
    assert titles == {
        numbered_id(number): (1, "Mend the gate") if number % 4 else (2, f"Changed {number}")
        for number in numbers
    }


async def test_a_document_that_cannot_be_rewritten_blocks_no_other(
    over: Over, raw: Database[Document]
) -> None:
    doubled = [old_task(object_id(1), displayId=7), old_task(object_id(2), displayId="#7")]
    store = await over(*doubled, unmendable_task(3), old_task(object_id(4), displayId=4))
    done = await rewritten_in(store, "tasks")
    assert (done.rewritten, done.waiting, done.unfit) == (2, 1, 1)
    assert raw["tasks"].count_documents({"_id": {"$type": "objectId"}}) == 1
    kept = raw["tasks"].find_one({"_id": numbered_id(3)})
    assert kept == unmendable_task(3)


async def test_rewriting_gives_documents_today_s_words(
    mongo: MongoRecordStore, raw: Database[Document]
) -> None:
    await commit_all(mongo, "tasks", task(1, title="A roof", description="of tiles"))
    raw["tasks"].update_one({"_id": numbered_id(1)}, {"$set": {"_words": "tiles"}, "$inc": {"_guarded": 3}})
    assert await found_numbers(mongo, "tasks", HasWords("roof")) == []
    assert (await waiting_in(mongo, "tasks")).waiting == 2
    assert (await rewritten_in(mongo, "tasks")).rewritten == 2
    assert await found_numbers(mongo, "tasks", HasWords("roof tiles")) == [1]
    assert len(await found_numbers(mongo, "tasks", HasWords("gate"))) == 1
    kept = raw["tasks"].find_one({"_id": numbered_id(1)})
    assert kept is not None
    assert (kept["version"], kept["_guarded"]) == (1, 3)


async def test_a_count_goes_from_page_to_page(mongo: MongoRecordStore) -> None:
    await commit_all(mongo, "tasks", *(task(number) for number in range(1, 1 + PAGE)))
    found = await waiting_in(mongo, "tasks")
    assert (found.looked_at, found.waiting, found.is_complete) == (PAGE + 1, 1, True)


async def test_a_mirror_takes_what_its_source_holds_and_both_read_alike(
    over: Over, postgres_url: str
) -> None:
    source = await over(old_task(), old_task(numbered_id(5), displayId=5), as_document(6))
    target = PostgresRecordStore(postgres_url)
    await target.open()
    await target.prepare()
    held = await source.scan("tasks", after=None, limit=9)
    assert await target.apply([ChangeSet((put("tasks", record),)) for record in held]) == [None] * 3
    assert set_fields(await target.scan("tasks", after=None, limit=9)) == set_fields(held)
    after = {**held[-1], "version": 2, "title": "Changed after the move"}
    await source.commit(change_set(put("tasks", after)))
    assert await target.apply([change_set(put("tasks", after))]) == [None]
    await rewritten_in(source, "tasks")
    rewritten = await source.scan("tasks", after=None, limit=9)
    assert set_fields(await target.scan("tasks", after=None, limit=9)) == set_fields(rewritten)
    await target.close()


def set_fields(records: list[Record]) -> list[Record]:
    """The records without nulls, which rows have for every field that is missing."""
    return [{name: value for name, value in record.items() if value is not None} for record in records]


@pytest.fixture
def container(mongo_database: MongoDatabase, tmp_path: Path) -> Container:
    """The service over the database, as a developer starts it."""
    variables = {
        "APP_ENV": "test",
        "STORE": "mongo",
        "MONGODB_URI": mongo_database.uri,
        "DB_NAME": mongo_database.name,
        "DATA_DIR": str(tmp_path),
    }
    return build_container(read_settings(variables))


async def test_the_first_start_in_development_rewrites_old_documents_and_later_ones_do_not(
    container: Container, raw: Database[Document]
) -> None:
    raw["tasks"].insert_one(old_task())
    await start(container, within_seconds=30.0)
    assert [(one["_id"], one["version"]) for one in raw["tasks"].find()] == [(KEY, 1)]
    shown = await container.builder().build(GetTask)(actor(str(MAKER)), KEY)
    assert shown.task.title == "Mend the gate"
    raw["tasks"].delete_many({})
    raw.command("collMod", "tasks", validator={})
    raw["tasks"].insert_one(old_task())
    await rewrite_once(container.stack().ownership.store)
    assert [one["_id"] for one in raw["tasks"].find()] == [OLD_ID]
    await container.stack().close()
