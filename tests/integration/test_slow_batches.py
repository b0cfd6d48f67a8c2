"""Batches that take longer than the time limit: what is quick is stored first, and no table is blamed for slowness."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from adapters.postgres.record_store import PostgresRecordStore
from adapters.postgres.target_writes import QUICK_PASSES_MAX
from adapters.records.change_set import ChangeSet
from adapters.records.isolation import apply_each
from adapters.records.slow_change_sets import too_slow
from tests.servers.tables import PreparedDatabase
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import change_set, put, task
from tests.unit.contracts.lanes import admitted

BATCHES = 8


@pytest.fixture
def slow_titles(database: PreparedDatabase) -> Iterator[None]:
    """Tasks take 15 ms to store, and a second where the title says so."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION labour() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_sleep(CASE WHEN NEW.title = 'slow' THEN 1 ELSE 0.015 END); RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER labour BEFORE INSERT ON postgres_tasks FOR EACH ROW EXECUTE FUNCTION labour()"
        )
        yield
        connection.execute("DROP TRIGGER labour ON postgres_tasks")
        connection.execute("DROP FUNCTION labour()")


@pytest.mark.usefixtures("slow_titles")
async def test_a_slow_batch_is_stored_in_parts_and_a_slow_change_set_alone_is_told_apart(
    store: PostgresRecordStore, database: PreparedDatabase
) -> None:
    hasty = PostgresRecordStore(database.url, statement_timeout_ms=400)
    await hasty.open()
    titles = ["quick" if number != 20 else "slow" for number in range(40)]
    changes = [
        change_set(put("tasks", {**task(number), "title": title})) for number, title in enumerate(titles)
    ]
    try:
        outcomes = await apply_each(hasty.apply, changes)
    finally:
        await hasty.close()
    slow = too_slow(changes[20], 400, store="postgres", sqlstate="57014")
    assert outcomes == [slow if title == "slow" else None for title in titles]
    assert len(await store.scan("tasks", after=None, limit=100)) == 39
    assert len(await store.scan("audit_logs", after=None, limit=100)) == 39


@pytest.mark.usefixtures("slow_titles")
async def test_quick_change_sets_of_a_batch_do_not_wait_for_slow_ones(
    store: PostgresRecordStore, database: PreparedDatabase
) -> None:
    hasty = PostgresRecordStore(database.url, statement_timeout_ms=800)
    await hasty.open()
    titles = ["slow", "slow", "slow", "quick"]
    changes = [
        change_set(put("tasks", {**task(number), "title": title})) for number, title in enumerate(titles)
    ]
    try:
        applying = asyncio.create_task(apply_each(hasty.apply, changes))
        async with asyncio.timeout(3):
            while not await store.fetch("tasks", [numbered_id(3)]):
                assert not applying.done()
                await asyncio.sleep(0.02)
        assert not applying.done()
        outcomes = await applying
    finally:
        await hasty.close()
    assert outcomes == [
        *(too_slow(change, 800, store="postgres", sqlstate="57014") for change in changes[:3]),
        None,
    ]


@pytest.fixture
def slow_lanes(database: PreparedDatabase) -> Iterator[None]:
    """Lanes take 150 ms to advance, and tasks 300 ms to store."""
    body = "BEGIN PERFORM pg_sleep(TG_ARGV[0]::float8); RETURN NEW; END"
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(
            f"CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $${body}$$;"
            "CREATE TRIGGER slowly BEFORE UPDATE ON tandem_lanes FOR EACH ROW EXECUTE FUNCTION slowly('0.15');"
            "CREATE TRIGGER slowly BEFORE INSERT ON postgres_tasks FOR EACH ROW EXECUTE FUNCTION slowly('0.3')"
        )
        yield
        connection.execute("DROP FUNCTION slowly CASCADE")


@pytest.mark.usefixtures("slow_lanes")
async def test_a_slow_server_stores_a_batch_in_parts_and_its_lanes_stay_usable(
    store: PostgresRecordStore, database: PreparedDatabase
) -> None:
    hasty = PostgresRecordStore(database.url, statement_timeout_ms=1_000)
    await hasty.open()
    try:
        await admitted(hasty)
        assert await apply_each(hasty.apply, _new_tasks(0, 4)) == [None] * 4
    finally:
        await hasty.close()
    assert len(await store.scan("tasks", after=None, limit=100)) == 4


@pytest.mark.usefixtures("slow_titles")
async def test_a_server_without_a_free_connection_stores_a_slow_batch_in_parts(
    store: PostgresRecordStore, database: PreparedDatabase, role: str
) -> None:
    limited = PostgresRecordStore(f"{database.url}&user={role}", statement_timeout_ms=400)
    await limited.open()
    try:
        assert await limited.apply(_new_tasks(0, 2)) == [None] * 2
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {role} CONNECTION LIMIT {_sessions_of(database.url, role)}")
        assert await apply_each(limited.apply, _new_tasks(2, 40)) == [None] * 40
    finally:
        await limited.close()
    assert len(await store.scan("tasks", after=None, limit=100)) == 42


@pytest.mark.usefixtures("slow_titles")
async def test_many_slow_batches_need_few_connections_besides_those_that_store_them(
    store: PostgresRecordStore, database: PreparedDatabase, role: str
) -> None:
    hasty = PostgresRecordStore(f"{database.url}&user={role}", statement_timeout_ms=400)
    await hasty.open()
    try:
        before = _sessions_of(database.url, role)
        batches = [_new_tasks(40 * number, 40) for number in range(BATCHES)]
        outcomes = await asyncio.gather(*(apply_each(hasty.apply, batch) for batch in batches))
        assert _sessions_of(database.url, role) <= before + BATCHES + QUICK_PASSES_MAX
    finally:
        await hasty.close()
    assert outcomes == [[None] * 40] * BATCHES
    assert len(await store.scan("tasks", after=None, limit=1_000)) == 40 * BATCHES


def _new_tasks(first: int, number: int) -> list[ChangeSet]:
    return [change_set(put("tasks", {**task(one), "title": "quick"})) for one in range(first, first + number)]


def _sessions_of(url: str, role: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*)::int FROM pg_stat_activity WHERE usename = %s", [role])
        ((number,),) = found
    return int(number)
