"""What the log says of a PostgreSQL that cannot be reached: one line, without the names in its address."""

import asyncio
import io
from collections.abc import Iterator

import psycopg
import pytest
from loguru import logger

from adapters.observability.logging import configure_logging
from adapters.postgres.causes import NO_LOGIN
from adapters.postgres.driver_log import DRIVER_LOGGERS
from adapters.postgres.record_store import PostgresRecordStore
from domain.errors import StoreUnavailable
from tests.servers.tables import PreparedDatabase

ROLE = "secretive_account"


@pytest.fixture
def role(database: PreparedDatabase) -> Iterator[str]:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}")
        yield ROLE
        connection.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logging("INFO", "text", stream=stream)
    yield stream
    logger.remove()


async def test_an_outage_is_logged_once_and_without_names(
    database: PreparedDatabase, role: str, log: io.StringIO
) -> None:
    store = PostgresRecordStore(f"{database.url}&user={role}")
    await store.open()
    try:
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {role} NOLOGIN")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role]
            )
        for _ in range(20):
            with pytest.raises(StoreUnavailable):
                await store.fetch("labels", ["0" * 24])
            await asyncio.sleep(0.1)
    finally:
        await store.close()
    text = log.getvalue()
    assert text.count(NO_LOGIN) == 1
    assert role not in text
    assert not any(f" {name}: " in text for name in DRIVER_LOGGERS)


async def test_other_warnings_of_the_driver_remain_without_names(
    database: PreparedDatabase, role: str, log: io.StringIO
) -> None:
    store = PostgresRecordStore(f"{database.url}&user={role}")
    await store.open()
    try:
        pool = store._connections._pool
        assert pool is not None
        connection = await pool.getconn()
        await connection.execute("BEGIN")
        await pool.putconn(connection)
    finally:
        await store.close()
    assert "rolling back returned connection: FailFastConnection" in log.getvalue()
    assert role not in log.getvalue()
