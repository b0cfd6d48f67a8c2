"""An account that may have no further connection: one that works shows that the server does."""

import asyncio
import contextlib

import psycopg
import pytest

from adapters.postgres.causes import NO_SLOTS
from adapters.postgres.record_store import PostgresRecordStore
from domain.errors import StoreUnavailable
from tests.servers.tables import PreparedDatabase
from tests.unit.contracts.builders import change_set, fetched, put, same, task

BUSY = "SELECT pg_sleep(0.3)"


@pytest.fixture(autouse=True)
def single(database: PreparedDatabase, role: str) -> None:
    """The account may have one connection."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {role} CONNECTION LIMIT 1")


async def test_a_busy_connection_is_enough_where_no_other_is_allowed(
    database: PreparedDatabase, role: str
) -> None:
    store = PostgresRecordStore(f"{database.url}&user={role}", pool_max=1)
    await store.open()
    try:
        for _ in range(3):
            busy = asyncio.create_task(store._connections.run(BUSY))
            await asyncio.sleep(0.05)
            await store.ping()
            await busy
    finally:
        await store.close()


async def test_without_any_connection_the_limit_is_named(database: PreparedDatabase, role: str) -> None:
    store = PostgresRecordStore(f"{database.url}&user={role}", pool_max=1)
    await store.open()
    try:
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role]
            )
        for _ in range(2):
            with pytest.raises(StoreUnavailable) as refused:
                await store.ping()
            assert refused.value.message == NO_SLOTS
    finally:
        await store.close()


async def test_a_write_after_a_cancelled_statement_waits_for_a_busy_connection(
    database: PreparedDatabase, role: str
) -> None:
    store = PostgresRecordStore(f"{database.url}&user={role}", pool_max=1)
    await store.open()
    try:
        cancelled = asyncio.create_task(store._connections.run("SELECT pg_sleep(0.4)"))
        await asyncio.sleep(0.1)
        cancelled.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await cancelled
        await asyncio.sleep(0.5)
        busy = asyncio.create_task(store._connections.run("SELECT pg_sleep(1.2)"))
        await asyncio.sleep(0.1)
        await store.commit(change_set(put("tasks", task(1))))
        await busy
        assert same(await fetched(store, "tasks", 1), task(1))
    finally:
        await store.close()
        database.empty()
