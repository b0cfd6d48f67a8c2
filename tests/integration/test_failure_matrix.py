"""Every failure of docs/reference/failures.md in every mode, on a real server: what stops, and what people see."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from adapters.dual_write.settings import MirrorMode
from adapters.postgres.migrate import upgrade
from adapters.records.change_set import ChangeSet
from adapters.records.record import Record
from application.ports.synchronisation import BreakerState
from tests.integration.failing_mirror import FailingMirror, failing_mirror, others
from tests.integration.failures import (
    FAILURES,
    KNOWN,
    OF_SERVERS,
    POISON,
    Failure,
    Place,
    Row,
    brought_about,
    documented_rows,
)
from tests.servers.directories import open_directory
from tests.servers.postgres import OwnPostgresServer
from tests.servers.report import note_figures
from tests.unit.contracts.builders import change_set, label, put, task

ARRIVE_SECONDS_MAX = 2.0
RECOVER_SECONDS_MAX = 10.0
NOTICE_SECONDS_MAX = 6.0
OUTAGE_SECONDS_MAX = 10.0
"""Until the relay alone finds out that a server is frozen: its statements may take 5 s."""
AT_ONCE_MAX = 6
"""Failures that are tried at the same time, each in its own database."""

ROWS = documented_rows()


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgresServer]:
    """A server of this module, which a test may freeze and kill; its first database has the tables."""
    with open_directory() as directory:
        server = OwnPostgresServer(
            directory / "postgres", settings={"fsync": "off", "max_connections": "150"}
        )
        upgrade(server.url)
        yield server
        server.close()


def test_every_documented_failure_is_brought_about() -> None:
    assert {row.failure for row in ROWS} == {*FAILURES, *OF_SERVERS}


@pytest.mark.parametrize("mode", list(MirrorMode))
async def test_a_failure_stops_only_what_it_concerns(mode: MirrorMode, server: OwnPostgresServer) -> None:
    slots = asyncio.Semaphore(AT_ONCE_MAX)

    async def tried(row: Row) -> None:
        async with slots, _own_database(server) as place:
            await _try(row, FAILURES[row.failure], mode, place)

    rows = [row for row in ROWS if row.failure in FAILURES]
    outcomes = await asyncio.gather(*(tried(row) for row in rows), return_exceptions=True)
    wrong = [f"{row.failure}: {one!r}" for row, one in zip(rows, outcomes, strict=True) if one is not None]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("mode", list(MirrorMode))
@pytest.mark.parametrize("failure", OF_SERVERS)
async def test_a_server_that_takes_no_writes_counts_and_parks_nothing(
    failure: str, mode: MirrorMode, server: OwnPostgresServer
) -> None:
    (row,) = (row for row in ROWS if row.failure == failure)
    stop, go_on = OF_SERVERS[failure]
    async with _own_database(server) as place, failing_mirror(place.url, mode) as mirror:
        await _settle_known(mirror)
        await asyncio.to_thread(stop, server)
        try:
            changes = await _write_all(mirror, label(2))
            await _check_outage(mirror, row, changes)
        finally:
            await asyncio.to_thread(go_on, server)
        await mirror.seconds_until(changes, _is_synced, seconds_max=RECOVER_SECONDS_MAX)


async def test_one_poison_among_a_thousand_is_parked_and_the_others_arrive(server: OwnPostgresServer) -> None:
    failure = FAILURES["a CHECK made by hand"]
    poison = change_set(put("labels", failure.record()))
    good = [change_set(put("tasks", task(1_000 + number))) for number in range(999)]
    async with (
        _own_database(server) as place,
        failing_mirror(place.url, MirrorMode.RELAY) as mirror,
        _brought_about(failure, place),
    ):
        await mirror.write(*good[:500], poison, *good[500:])
        seconds = await mirror.seconds_until(good, _is_synced, seconds_max=ARRIVE_SECONDS_MAX)
        note_figures("one poison among 1,000", others_arrived_after_seconds=round(seconds, 2))
        await mirror.seconds_until(
            [poison], lambda entry: entry["syncStatus"] == "PARKED", seconds_max=NOTICE_SECONDS_MAX
        )
        (entry,) = await mirror.entries([poison])
        assert entry["syncAttempts"] == 3
        assert "constraint short_names" in entry["syncError"]


async def _try(row: Row, failure: Failure, mode: MirrorMode, place: Place) -> None:
    version = failure.record()["version"]
    concerned = change_set(put(failure.collection, failure.record(), expected=version - 1))
    labels, tasks = others(100)
    changes = [concerned, *labels, *tasks]
    free = {"record": [*labels, *tasks], "row": [*labels, *tasks], "table": tasks}.get(row.concerns, [])
    async with failing_mirror(place.url, mode) as mirror:
        await _settle_known(mirror)
        async with _brought_about(failure, place):
            writing = asyncio.create_task(mirror.write(*changes))
            await mirror.seconds_until(free, _is_synced, seconds_max=ARRIVE_SECONDS_MAX)
            await writing
            await _check_shown(mirror, row, [concerned], held=changes)
            if mode is MirrorMode.STRICT:
                assert set(concerned.entry_ids) <= mirror.pending
                assert not mirror.pending & {id_ for one in free for id_ in one.entry_ids}
        if row.concerns == "record":
            await mirror.sync.retry(failure.collection, concerned.puts[0].record_id)
        await mirror.seconds_until(changes, _is_synced, seconds_max=RECOVER_SECONDS_MAX)
        assert await mirror.blocked_tables(1.5) == []


@asynccontextmanager
async def _brought_about(failure: Failure, place: Place) -> AsyncIterator[None]:
    """In a thread, because the other failures are timed on this loop."""
    made = brought_about(failure, place)
    put_right = await asyncio.to_thread(made.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(put_right)
        made.__exit__(None, None, None)


async def _check_shown(
    mirror: FailingMirror, row: Row, concerned: list[ChangeSet], *, held: list[ChangeSet]
) -> None:
    if row.concerns == "server":
        await _check_outage(mirror, row, held)
        return
    await mirror.seconds_until(
        concerned,
        lambda entry: entry["syncStatus"] == row.shown_as and row.reason in (entry["syncError"] or ""),
        seconds_max=NOTICE_SECONDS_MAX,
    )
    (entry,) = await mirror.entries(concerned)
    assert entry["syncAttempts"] == (3 if row.concerns == "record" else 0)
    assert POISON not in entry["syncError"]
    assert not (await mirror.sync.metrics()).breaker.reason
    if row.concerns in ("table", "entries"):
        (blocked,) = await mirror.blocked_tables(1.5)
        assert blocked.table == ("postgres_labels" if row.concerns == "table" else "postgres_audit_logs")
        assert row.reason in f"{blocked.table} is blocked: {blocked.cause}"
        assert blocked.waiting >= 1


async def _check_outage(mirror: FailingMirror, row: Row, changes: list[ChangeSet]) -> None:
    breaker = await mirror.breaker_with(row.reason, seconds_max=OUTAGE_SECONDS_MAX)
    assert breaker.state is BreakerState.OPEN
    entries = await mirror.entries(changes)
    assert {(entry["syncStatus"], entry["syncAttempts"]) for entry in entries} == {(row.shown_as, 0)}


async def _settle_known(mirror: FailingMirror) -> None:
    known = [
        change_set(put("labels", label(KNOWN))),
        change_set(put("tasks", task(KNOWN, description="Some"))),
    ]
    await mirror.write(*known)
    await mirror.seconds_until(known, _is_synced, seconds_max=RECOVER_SECONDS_MAX)


async def _write_all(mirror: FailingMirror, concerned: Record) -> list[ChangeSet]:
    labels, tasks = others(100)
    changes = [change_set(put("labels", concerned)), *labels, *tasks]
    await mirror.write(*changes)
    return changes


def _is_synced(entry: Record) -> bool:
    return bool(entry["syncStatus"] == "SYNCED")


@asynccontextmanager
async def _own_database(server: OwnPostgresServer) -> AsyncIterator[Place]:
    place = await asyncio.to_thread(_new_database, server)
    yield place
    await asyncio.to_thread(server.drop_database, place.superuser_url)


def _new_database(server: OwnPostgresServer) -> Place:
    """A copy of the migrated database, and a role for it that is no superuser."""
    name = f"matrix_{secrets.token_hex(4)}"
    migrated = urlsplit(server.url).path.removeprefix("/")
    elsewhere = _at(server.url, "template1")
    with psycopg.connect(elsewhere, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {migrated}")
        connection.execute(f"CREATE ROLE {name} LOGIN")
    place = Place(_at(server.url, name), elsewhere, name)
    with psycopg.connect(place.superuser_url, autocommit=True) as connection:
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
    return place


def _at(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()
