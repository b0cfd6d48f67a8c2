"""A PostgreSQL whose commits wait for a standby that does not answer: few sessions are left there, and it is named."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest

from adapters.dual_write.settings import MirrorMode
from adapters.postgres.migrate import upgrade
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import ChangeSet
from domain.errors import StoreUnavailable
from tests.integration.failing_mirror import failing_mirror
from tests.servers.directories import open_directory
from tests.servers.postgres import OwnPostgresServer
from tests.unit.contracts.builders import change_set, label, put, task

CAUSE = "waits at each commit for a standby"
SECONDS = 8.0
"""How long changes are written although no commit ends; each session that is left behind stays."""
SESSIONS_MAX = 12
POOL_MAX = 4


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgresServer]:
    with open_directory() as directory:
        server = OwnPostgresServer(directory / "postgres", settings={"fsync": "off", "max_connections": "40"})
        upgrade(server.url)
        yield server
        server.close()


@pytest.fixture(autouse=True)
def standby(server: OwnPostgresServer) -> Iterator[None]:
    yield
    name_standby(server, "")


def name_standby(server: OwnPostgresServer, name: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        connection.execute("SELECT pg_reload_conf()")


def waiting_sessions(server: OwnPostgresServer) -> int:
    with psycopg.connect(server.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        ).fetchone()
    return 0 if row is None else int(row[0])


def new_label(number: int) -> ChangeSet:
    return change_set(put("labels", label(number)))


async def test_a_target_without_its_standby_gets_few_sessions_and_shows_the_cause(
    server: OwnPostgresServer,
) -> None:
    async with failing_mirror(server.url, MirrorMode.MIRROR, timeout_ms=300) as mirror:
        await mirror.write(new_label(1))
        await asyncio.to_thread(name_standby, server, "nosuch")
        changes = [new_label(number) for number in range(20, 20 + int(SECONDS * 4))]
        for one in changes:
            await mirror.write(one)
            await asyncio.sleep(0.25)
        assert 0 < await asyncio.to_thread(waiting_sessions, server) <= SESSIONS_MAX
        await mirror.breaker_with(CAUSE, seconds_max=3.0)
        health = await mirror.health()
        assert (health["target"].status, health["db"].status) == ("DOWN", "UP")
        assert {entry["syncAttempts"] for entry in await mirror.entries(changes)} == {0}
        await asyncio.to_thread(name_standby, server, "")
        await mirror.seconds_until(changes, lambda entry: entry["syncStatus"] == "SYNCED", seconds_max=10.0)
        assert await asyncio.to_thread(waiting_sessions, server) == 0


async def test_a_source_without_its_standby_gets_few_sessions_and_refuses_with_the_cause(
    server: OwnPostgresServer,
) -> None:
    store = PostgresRecordStore(server.url, pool_max=POOL_MAX, statement_timeout_ms=1_000)
    await store.open()
    try:
        await store.commit(change_set(put("tasks", task(1))))
        await asyncio.to_thread(name_standby, server, "nosuch")
        for number in range(2, 2 + 4 * POOL_MAX):
            with pytest.raises(StoreUnavailable):
                await store.commit(change_set(put("tasks", task(number))))
            await asyncio.sleep(0.2)
        assert 0 < await asyncio.to_thread(waiting_sessions, server) <= POOL_MAX
        with pytest.raises(StoreUnavailable, match=CAUSE):
            await store.commit(change_set(put("tasks", task(100))))
        with pytest.raises(StoreUnavailable, match=CAUSE):
            await store.ping()
        assert await store.fetch("tasks", [task(1)["id"]])
        await asyncio.to_thread(name_standby, server, "")
        async with asyncio.timeout(10):
            while True:
                with suppress(StoreUnavailable):
                    await store.commit(change_set(put("tasks", task(101))))
                    break
                await asyncio.sleep(0.1)
        await store.ping()
    finally:
        await store.close()
