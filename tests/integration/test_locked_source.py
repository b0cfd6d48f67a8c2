"""A table of the source that another session has locked, or that a trigger makes slow: who asks gets the cause."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
import pytest

from adapters.observability.recent_errors import RECENT_SECONDS
from adapters.postgres.errors import Contention
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import ChangeSet
from adapters.records.criteria import Question
from application.ports.health import ComponentHealth
from domain.errors import StoreUnavailable
from entrypoints.composition.container import build_container
from entrypoints.composition.settings import read_settings
from entrypoints.composition.start import start
from entrypoints.composition.store_stack import StoreStack
from tests.servers.tables import PreparedDatabase
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import change_set, label, put, task
from tests.unit.contracts.lanes import admitted

REFUSED_SECONDS_MAX = 6.0
SHOWN_SECONDS_MAX = 6.0
OPENED_SECONDS_MAX = 15.0
PROGRAM = "nightly report"

Call = Callable[[PostgresRecordStore], Awaitable[object]]


@pytest.fixture
async def store(database: PreparedDatabase) -> AsyncIterator[PostgresRecordStore]:
    store = PostgresRecordStore(database.url)
    await store.open()
    await admitted(store)
    await store.commit(change_set(put("labels", label(1)), put("tasks", task(1))))
    yield store
    await store.close()
    database.empty()


def _creation(number: int) -> ChangeSet:
    return change_set(put("labels", label(number)))


def _edit(number: int) -> ChangeSet:
    return change_set(put("labels", label(number, version=2, name=f"Edited {number}")))


@contextmanager
def _session(url: str, *statements: str) -> Iterator[int]:
    """An open transaction of another session; its process id."""
    with psycopg.connect(url, application_name=PROGRAM) as connection:
        for statement in statements:
            connection.execute(statement)
        yield connection.info.backend_pid
        connection.rollback()


CALLS: tuple[Call, ...] = (
    lambda store: store.commit(_creation(2)),
    lambda store: store.commit(_edit(1)),
    lambda store: store.commit(change_set(put("labels", label(3)), put("tasks", task(3)))),
    lambda store: store.fetch("labels", [numbered_id(1)]),
    lambda store: store.find(Question(collection="labels", limit=3)),
    lambda store: store.rehearse(_creation(4)),
    lambda store: store.flaws(),
)
LOCKS = {
    "everything": ("LOCK TABLE postgres_labels", "postgres_labels", CALLS),
    "writes": ("LOCK TABLE postgres_labels IN SHARE MODE", "postgres_labels", CALLS[:3]),
    "entries and lanes": (
        "LOCK TABLE postgres_audit_logs, tandem_lanes IN SHARE ROW EXCLUSIVE MODE",
        "(postgres_audit_logs and )?tandem_lanes",
        CALLS[:3],
    ),
}


@pytest.mark.parametrize(("lock", "tables", "calls"), LOCKS.values(), ids=LOCKS)
async def test_who_needs_a_locked_table_is_told_which_and_who_has_locked_it(
    store: PostgresRecordStore, database: PreparedDatabase, lock: str, tables: str, calls: tuple[Call, ...]
) -> None:
    with _session(database.url, lock) as session:
        began = time.monotonic()
        outcomes = await asyncio.gather(*(call(store) for call in calls), return_exceptions=True)
        assert time.monotonic() - began < REFUSED_SECONDS_MAX
    for outcome in outcomes:
        assert isinstance(outcome, StoreUnavailable)
        assert outcome.is_of_the_store
        assert re.search(
            f"has locked {tables} of PostgreSQL, so nothing was read or saved there", outcome.message
        )
        for words in (
            f"session {session} ({PROGRAM}, in a transaction since ",
            f"type in psql: SELECT pg_terminate_backend({session}). Or wait",
        ):
            assert words in outcome.message
    assert [one["version"] for one in await store.scan("labels", after=None, limit=5)] == [1]
    await asyncio.gather(*(call(store) for call in calls))


async def test_a_session_that_waits_for_a_table_is_named_with_the_one_it_waits_for(
    store: PostgresRecordStore, database: PreparedDatabase
) -> None:
    with _session(database.url, "SELECT FROM postgres_labels") as reader:
        altering = asyncio.create_task(
            asyncio.to_thread(_alter, database.url, "ALTER TABLE postgres_labels REPLICA IDENTITY DEFAULT")
        )
        await _until_waiting(database.url)
        with pytest.raises(
            StoreUnavailable, match=rf"has locked postgres_labels .*waiting for session {reader}"
        ):
            await store.commit(_creation(2))
    await altering
    await store.commit(_creation(2))


def _alter(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True, application_name=PROGRAM) as connection:
        connection.execute(statement)


async def _until_waiting(url: str) -> None:
    """Waits until a session waits for the lock of a table."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
        async with asyncio.timeout(OPENED_SECONDS_MAX):
            while True:
                if await (await connection.execute(waiting)).fetchone() != (0,):
                    return
                await asyncio.sleep(0.02)


async def test_a_locked_row_is_no_trouble_of_the_store(
    store: PostgresRecordStore, database: PreparedDatabase
) -> None:
    with _session(database.url, "SELECT FROM postgres_labels FOR UPDATE"):
        with pytest.raises(Contention) as refused:
            await store.rehearse(_edit(1))
        assert not refused.value.is_of_the_store
        assert "keeps a row of postgres_labels locked" in refused.value.message
        await store.commit(_creation(2))


async def test_a_locked_row_is_not_blamed_on_a_table_that_is_locked_meanwhile(
    store: PostgresRecordStore, database: PreparedDatabase
) -> None:
    edit = change_set(put("labels", label(1, version=2)))
    with (
        _session(database.url, "LOCK TABLE postgres_tasks IN SHARE MODE"),
        _session(database.url, "SELECT FROM postgres_labels FOR UPDATE"),
    ):
        for call in (store.rehearse, store.commit):
            with pytest.raises(Contention) as refused:
                await call(edit)
            assert not refused.value.is_of_the_store


async def test_a_process_that_waits_for_the_ownership_is_told_that_its_row_is_locked(
    store: PostgresRecordStore, database: PreparedDatabase
) -> None:
    newcomer = PostgresRecordStore(database.url)
    await newcomer.open()
    await admitted(newcomer)
    with _session(database.url, "SELECT FROM tandem_control FOR UPDATE"):
        with pytest.raises(StoreUnavailable, match="keeps a row of tandem_control locked") as refused:
            await newcomer.register()
        assert "tandem_lanes" not in refused.value.message
    await newcomer.register()
    assert len((await store.positions()).lanes) == 2
    await newcomer.close()


async def test_only_the_locked_tables_of_the_failed_statement_are_named(
    store: PostgresRecordStore, database: PreparedDatabase
) -> None:
    with (
        _session(database.url, "LOCK TABLE postgres_tasks"),
        _session(database.url, "LOCK TABLE postgres_labels") as session,
        pytest.raises(StoreUnavailable, match="has locked postgres_labels of") as refused,
    ):
        await store.fetch("labels", [numbered_id(1)])
    assert f"session {session} " in refused.value.message
    assert "postgres_tasks" not in refused.value.message


SLOW = (
    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE {language} AS $$BEGIN PERFORM pg_sleep(9); RETURN NEW; END$$;"
    "CREATE TRIGGER slow {when} ON postgres_labels FOR EACH ROW EXECUTE FUNCTION slow()"
)


@pytest.mark.parametrize("when", ["BEFORE INSERT", "AFTER INSERT"])
async def test_a_trigger_that_takes_too_long_is_named_and_nothing_is_saved(
    database: PreparedDatabase, when: str
) -> None:
    store = PostgresRecordStore(database.url, statement_timeout_ms=600)
    await store.open()
    _alter(database.url, SLOW.format(language="plpgsql", when=when))
    try:
        for changes in (_creation(2), change_set(put("labels", label(2)), put("tasks", task(2)))):
            with pytest.raises(StoreUnavailable) as refused:
                await store.commit(changes)
            assert refused.value.is_of_the_store
            assert "too much time in the function slow()" in refused.value.message
            assert "the trigger slow of the table postgres_labels" in refused.value.message
        assert await store.scan("labels", after=None, limit=5) == []
    finally:
        _alter(database.url, "DROP FUNCTION slow CASCADE")
    await store.commit(_creation(2))
    await store.close()
    database.empty()


@asynccontextmanager
async def _started(url: str, directory: Path) -> AsyncIterator[StoreStack]:
    variables = {"APP_ENV": "test", "STORE": "postgres", "DATA_DIR": str(directory), "POSTGRES_URL": url}
    container = build_container(read_settings(variables))
    await start(container, within_seconds=OPENED_SECONDS_MAX)
    yield container.stack()
    await container.stack().close()


async def _write(stack: StoreStack, number: int) -> None:
    with pytest.raises(StoreUnavailable):
        await stack.observed.commit(_creation(number))


async def _health_until(stack: StoreStack, *, is_up: bool) -> ComponentHealth:
    async with asyncio.timeout(SHOWN_SECONDS_MAX):
        while True:
            health = (await stack.components())["db"]
            if health.up is is_up:
                return health
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("table", ["postgres_labels", "tandem_lanes"])
async def test_the_health_of_the_source_names_a_locked_table_while_it_is_locked(
    prepared_postgres_url: str, tmp_path: Path, table: str
) -> None:
    async with _started(prepared_postgres_url, tmp_path / "data") as stack:
        with _session(prepared_postgres_url, f"LOCK TABLE {table} IN SHARE MODE") as session:
            writing = [asyncio.create_task(_write(stack, number)) for number in range(20)]
            health = await _health_until(stack, is_up=False)
            await asyncio.gather(*writing)
            for words in (f"has locked {table} of PostgreSQL", f"pg_terminate_backend({session})"):
                assert words in (health.detail or "")
            await asyncio.sleep(RECENT_SECONDS)
            assert not (await stack.components())["db"].up
        await _health_until(stack, is_up=True)
        await stack.observed.commit(_creation(99))
