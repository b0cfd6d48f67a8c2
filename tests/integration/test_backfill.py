"""Backfills from real sources to PostgreSQL: beside writes, ended in the middle, and equal afterwards."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from adapters.migration.checkpoints import Destination
from adapters.mongo.record_store import MongoRecordStore
from adapters.monty.record_store import MontyRecordStore
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.lanes import LanedStore
from adapters.records.record import ID
from application.ports.migration import Progress
from domain.errors import StoreUnavailable
from tests.servers.mongo import MongoDatabase
from tests.servers.postgres import PostgresServer
from tests.unit.adapters.migration.backfill_world import (
    are_equal,
    backfill,
    commit,
    deliver_rest,
    fill,
    ignore,
)
from tests.unit.contracts.builders import erasure, fetched, label, numbered_id, put, task
from tests.unit.contracts.lanes import admitted

TASKS = 300


@pytest.fixture
async def target(postgres_server: PostgresServer) -> AsyncIterator[PostgresRecordStore]:
    url = await asyncio.to_thread(postgres_server.create_prepared_database)
    store = PostgresRecordStore(url)
    await store.open()
    await admitted(store)
    yield store
    await store.close()
    postgres_server.drop_database(url)


@pytest.fixture(params=["monty", "mongo"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[LanedStore]:
    if request.param == "monty":
        monty = MontyRecordStore(None)
        await monty.open()
        yield await admitted(monty)
        await monty.close()
        return
    database = MongoDatabase(request.getfixturevalue("mongo_server").uri)
    mongo = MongoRecordStore(database.uri, database.name, timeout_ms=30_000)
    await mongo.open()
    await mongo.prepare()
    yield await admitted(mongo)
    await mongo.close()
    database.drop()


async def test_a_backfill_that_is_ended_again_and_again_beside_writes_ends_equal(
    source: LanedStore, target: PostgresRecordStore
) -> None:
    await fill(source, tasks=TASKS)
    is_ended = asyncio.Event()

    async def write() -> None:
        number = 0
        while not is_ended.is_set() and number < TASKS // 3 - 1:
            number += 1
            changed = task(3 * number, version=2, title="Changed", extra={"kept": [number]})
            await commit(source, put("tasks", changed), syncStatus="PENDING")
            await commit(source, erasure("tasks", 3 * number + 1, version=2), syncStatus="PENDING")
            await commit(source, put("tasks", task(1_000 + number)), syncStatus="PENDING")
            await asyncio.sleep(0.01)

    writing = asyncio.create_task(write())
    for seconds in (0.1, 0.2, 0.3):
        run = asyncio.create_task(backfill(source, target, workers=2, page_max=50).run(ignore))
        await asyncio.wait([run], timeout=seconds)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    await backfill(source, target).run(ignore)
    is_ended.set()
    await writing
    await deliver_rest(source, target)
    assert await are_equal(source, target)


async def test_a_blocked_table_is_named_with_its_cause(target: PostgresRecordStore) -> None:
    with psycopg.connect(target.url) as other:
        other.execute("LOCK TABLE postgres_tasks IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable):
            await target.load("tasks", [task(1)], checkpoint=None)
        other.rollback()
        other.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'closed for today'; END$$"
        )
        other.execute("CREATE TRIGGER refuse BEFORE INSERT ON postgres_tasks EXECUTE FUNCTION refuse()")
        other.commit()
        with pytest.raises(
            StoreUnavailable, match=r"postgres_tasks takes no rows at present.*closed for today"
        ):
            await target.load("tasks", [task(1), task(2)], checkpoint=None)


async def test_a_row_that_a_trigger_drops_is_named(target: PostgresRecordStore) -> None:
    with psycopg.connect(target.url, autocommit=True) as other:
        other.execute(
            "CREATE FUNCTION drop_row() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN IF NEW.title = 'Lost' THEN RETURN NULL; END IF; RETURN NEW; END$$"
        )
        other.execute(
            "CREATE TRIGGER drop_row BEFORE INSERT ON postgres_tasks FOR EACH ROW EXECUTE FUNCTION drop_row()"
        )
    loaded = await target.load("tasks", [task(1), task(2, title="Lost"), task(3)], checkpoint=None)
    assert list(loaded.rejected) == [numbered_id(2)]
    assert "trigger" in loaded.rejected[numbered_id(2)].reason
    assert await fetched(target, "tasks", 3) is not None


async def test_records_of_a_page_exchange_their_unique_values(target: PostgresRecordStore) -> None:
    await target.load("labels", [label(1, name="bug"), label(2, name="idea")], checkpoint=None)
    swapped = [label(1, version=2, name="idea"), label(2, version=2, name="bug")]
    assert not (await target.load("labels", swapped, checkpoint=None)).rejected
    names = [one["name"] for one in await target.scan("labels", after=None, limit=9)]
    assert names == ["idea", "bug"]


async def test_a_record_that_ends_its_connection_is_rejected_alone(target: PostgresRecordStore) -> None:
    with psycopg.connect(target.url, autocommit=True) as other:
        other.execute(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.title = 'Poison' THEN"
            " PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END$$"
        )
        other.execute(
            "CREATE TRIGGER poison BEFORE INSERT ON postgres_tasks FOR EACH ROW EXECUTE FUNCTION poison()"
        )
    loaded = await target.load("tasks", [task(1), task(2, title="Poison"), task(3)], checkpoint=None)
    assert list(loaded.rejected) == [numbered_id(2)]
    assert [one[ID] for one in await target.scan("tasks", after=None, limit=9)] == [
        numbered_id(1),
        numbered_id(3),
    ]


async def test_progress_ends_at_the_total(target: PostgresRecordStore) -> None:
    source = MontyRecordStore(None)
    await source.open()
    await admitted(source)
    await fill(source, tasks=120)
    reports: list[Progress] = []
    read = await backfill(source, target, destination=Destination("one", 1, 1), rate=10_000).run(
        reports.append
    )
    assert reports[-1].done == reports[-1].total == read
    assert reports[-1].eta_seconds == (0, 0)
    await source.close()


async def test_records_that_the_mirror_brings_meanwhile_are_not_taken_back(
    target: PostgresRecordStore,
) -> None:
    """The rows are held until the load that saw none of them has begun to copy."""
    with psycopg.connect(target.url) as other:
        other.execute(
            "INSERT INTO postgres_labels (mongo_id, version, is_erased, is_deleted) VALUES (%s, 5, true, true)",
            [numbered_id(2)],
        )
        loading = asyncio.create_task(target.load("labels", [label(1), label(2), label(3)], checkpoint=None))
        await asyncio.sleep(0.3)
        assert not loading.done()
        other.commit()
    loaded = await loading
    assert (loaded.written, loaded.rejected) == (2, {})
    assert [one["version"] for one in await target.scan("labels", after=None, limit=9)] == [1, 5, 1]
