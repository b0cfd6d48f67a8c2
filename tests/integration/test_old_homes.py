"""Data from before homes and derived ids, in each store: put in place by today's program, and mirrored as it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pymongo import MongoClient

from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.mirrored_store import MirroredStore
from adapters.dual_write.settings import DualWriteSettings, MirrorMode
from adapters.mongo.record_store import MongoRecordStore
from adapters.monty.record_store import MontyRecordStore
from adapters.postgres.migrate import upgrade
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import ChangeSet, Put
from adapters.records.old_records import rewritten_in
from adapters.records.record import ID, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import ENTITY_SPECS, SYNC_FIELDS
from adapters.repositories.placing import Placing
from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.clock import SystemClock
from adapters.system.identifiers import SortableIdentifiers
from application.tasks import EditTask
from domain.errors import VersionConflict
from domain.task import TaskChanges
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.settings import read_settings
from entrypoints.composition.start import start
from tests.servers.mongo import MongoDatabase
from tests.unit.adapters.monty.raw_documents import write_raw
from tests.unit.builders import NUMBERS, actor
from tests.unit.contracts.builders import everything, numbered_id, project, task
from tests.unit.contracts.old_homes import (
    GIVEN,
    MADE_BY_OTHER,
    OWNER,
    PROJECT,
    WAITING,
    counted,
    old_documents,
    old_records,
    require_in_place,
)

PATIENCE_SECONDS = 60.0
MIRRORING = DualWriteSettings(mode=MirrorMode.STRICT, timeout_ms=30_000)
NAMES = [spec.collection for spec in ENTITY_SPECS]


async def fill_mongo(database: MongoDatabase) -> None:
    """The documents as the service before Tandem left them."""
    with MongoClient[dict[str, Any]](database.uri, tz_aware=True) as client:
        for collection, documents in old_documents().items():
            client[database.name][collection].insert_many(documents)


@pytest.fixture
async def mongo(mongo_database: MongoDatabase) -> AsyncIterator[RecordStore]:
    await fill_mongo(mongo_database)
    store = MongoRecordStore(mongo_database.uri, mongo_database.name, timeout_ms=30_000)
    await store.open()
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
async def monty(tmp_path: Path) -> AsyncIterator[RecordStore]:
    first = MontyRecordStore(tmp_path)
    await first.open()
    await first.close()
    for collection, documents in old_documents().items():
        write_raw(tmp_path, collection, *documents)
    store = MontyRecordStore(tmp_path)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[RecordStore]:
    store = PostgresRecordStore(postgres_url)
    await store.open()
    await store.prepare()
    await mirror_old_records(store)
    yield store
    await store.close()


async def mirror_old_records(store: RecordStore) -> None:
    """What a mirror of the old documents holds."""
    puts = [Put(name, record, 0) for name, records in old_records().items() for record in records]
    assert await store.apply([ChangeSet((put,)) for put in puts]) == [None] * len(puts)


@pytest.fixture(params=["monty", "mongo", "postgres"])
def store(request: pytest.FixtureRequest) -> RecordStore:
    opened: RecordStore = request.getfixturevalue(request.param)
    return opened


def placing_in(store: RecordStore) -> Placing:
    return Placing(store, SortableIdentifiers(), SystemClock())


async def bring_up(store: RecordStore) -> dict[str, tuple[int, int]]:
    """What `tandem migrate up` does with records; how many of each collection waited then and were put in place."""
    for name in NAMES:
        await rewritten_in(store, name)
    return counted(await placing_in(store).put_in_place())


async def test_old_data_is_put_in_place_once_and_for_all(store: RecordStore) -> None:
    assert await bring_up(store) == {name: (0, count) for name, count in WAITING.items()}
    await require_in_place(store)
    assert await placing_in(store).is_done()
    before = await everything(store, *NAMES, "audit_logs", "control")
    assert await bring_up(store) == dict.fromkeys(WAITING, (0, 0))
    assert await everything(store, *NAMES, "audit_logs", "control") == before


async def test_counting_changes_nothing(store: RecordStore) -> None:
    for name in NAMES:
        await rewritten_in(store, name)
    before = await everything(store, *NAMES, "audit_logs", "control")
    assert counted(await placing_in(store).waiting())["tasks"] == (WAITING["tasks"], 0)
    assert await everything(store, *NAMES, "audit_logs", "control") == before


@pytest.fixture
def container(mongo_database: MongoDatabase, tmp_path: Path) -> Container:
    """The service over the old documents, as somebody starts it who develops."""
    variables = {
        "APP_ENV": "test",
        "STORE": "mongo",
        "MONGODB_URI": mongo_database.uri,
        "DB_NAME": mongo_database.name,
        "DATA_DIR": str(tmp_path),
    }
    return build_container(read_settings(variables))


async def test_a_start_in_development_puts_everything_in_place(
    container: Container, mongo_database: MongoDatabase
) -> None:
    await fill_mongo(mongo_database)
    await start(container, within_seconds=30.0)
    await require_in_place(container.stack().source)
    shown = await container.get_task()(actor(OWNER), MADE_BY_OTHER)
    assert shown.task.title == "Mend the gate"
    await container.stack().close()


async def test_writers_beside_it_lose_nothing(mongo: RecordStore) -> None:
    numbers = range(1, 41)
    tasks = [task(number, projectId=PROJECT, ownerId=numbered_id(9)) for number in numbers]
    await mongo.commit(ChangeSet(tuple(Put("tasks", record, 0) for record in tasks)))
    edit = EditTask(partial(StoredUnitOfWork, mongo, SortableIdentifiers()), SystemClock(), NUMBERS)

    async def write(number: int) -> None:
        changes: TaskChanges = {"title": f"Changed {number}"}
        while True:
            with suppress(VersionConflict):
                await edit(actor(OWNER, admin=True), numbered_id(number), changes, expected_version=None)
                return

    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*(write(number) for number in numbers if number % 4 == 0), bring_up(mongo))
    await bring_up(mongo)
    stored = await mongo.fetch("tasks", [numbered_id(number) for number in numbers])
    assert {record["ownerId"] for record in stored.values()} == {OWNER}
    assert {int(id, 16): record["title"] for id, record in stored.items()} == {
        number: f"Task {number}" if number % 4 else f"Changed {number}" for number in numbers
    }


@pytest.fixture(params=["mongo-postgres", "postgres-mongo"])
def arranged(request: pytest.FixtureRequest) -> tuple[RecordStore, RecordStore]:
    """A source and its target, which both hold the old data."""
    source, target = (request.getfixturevalue(name) for name in request.param.split("-"))
    return source, target


async def test_both_stores_of_a_mirror_are_put_in_place_alike(
    arranged: tuple[RecordStore, RecordStore],
) -> None:
    source, target = arranged
    mirrored = MirroredStore(
        source,
        MirrorTarget(target, settings=MIRRORING),
        settings=MIRRORING,
        clock=SystemClock(),
        wake_relay=lambda: None,
    )
    await mirrored.open()
    for name in NAMES:
        await rewritten_in(source, name)
    done = counted(await placing_in(mirrored).put_in_place())
    assert done == {name: (0, count) for name, count in WAITING.items()}
    await require_in_place(target)
    for name in (*NAMES, "audit_logs"):
        assert await told(target, name) == await told(source, name)
    await mirrored.close()


async def told(store: RecordStore, collection: str) -> list[Record]:
    """The records of a collection without what each store says of its own copies, and without nulls."""
    return [
        {name: value for name, value in record.items() if value is not None and name not in SYNC_FIELDS}
        for record in await store.scan(collection, after=None, limit=1_000)
    ]


async def test_rows_of_the_first_revision_get_their_project_s_home(postgres_url: str) -> None:
    upgrade(postgres_url, "0001")
    garden, mine, others = project(0xC1, ownerId=OWNER), task(1), task(2)
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "INSERT INTO postgres_projects (mongo_id, version, name, owner_id, status, created_at, created_by,"
            " updated_at, updated_by, is_deleted)"
            " VALUES (%s, 1, 'Garden', %s, 'ACTIVE', now(), 'a', now(), 'a', false)",
            [garden[ID], OWNER],
        )
        for record, project_id in ((mine, None), (others, garden[ID])):
            connection.execute(
                "INSERT INTO postgres_tasks (mongo_id, version, title, status, priority, label_ids, is_acknowledged,"
                " project_id, created_at, created_by, updated_at, updated_by, is_deleted)"
                " VALUES (%s, 3, 'Old', 'TODO', 2, '[]', false, %s, now(), %s, now(), 'a', false)",
                [record[ID], project_id, GIVEN],
            )
    upgrade(postgres_url)
    store = PostgresRecordStore(postgres_url)
    await store.open()
    assert (await bring_up(store))["tasks"] == (0, 1)
    stored = await store.fetch("tasks", [mine[ID], others[ID]])
    assert {id: (record["version"], record["ownerId"]) for id, record in stored.items()} == {
        mine[ID]: (3, GIVEN),
        others[ID]: (4, OWNER),
    }
    await store.close()
