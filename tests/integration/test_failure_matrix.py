"""Every failure of docs/reference/failures.md on a real server, in a mode by turns: what stops, and what people see.

The long form tries every failure in every mode.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from urllib.parse import urlsplit
from zlib import crc32

import psycopg
import pytest
from loguru import logger

from adapters.dual_write.settings import MirrorMode
from adapters.dual_write.synchronisation import METRICS_AGE_SECONDS_MAX
from adapters.postgres.migrate import upgrade
from adapters.records.change_set import ChangeSet
from adapters.records.record import Record
from adapters.system.identifiers import SortableIdentifiers
from application.actor import system_actor
from application.operations import OperateSync
from application.ports.synchronisation import BreakerState
from entrypoints.cli.check_result import one_for_each
from entrypoints.cli.mirror_client import LocalMirrorClient
from entrypoints.cli.store_checks import checks_of_components
from tests.integration.failing_mirror import Deadline, FailingMirror, failing_mirror, others
from tests.integration.failures import (
    CONCERNED,
    FAILURES,
    KNOWN,
    OF_COPIES,
    OF_SERVERS,
    POISON,
    Failure,
    Place,
    Row,
    brought_about,
    copy_database,
    documented_rows,
    put_in_place,
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
AT_ONCE_MAX = 9
"""Failures that are tried at the same time, each in its own database."""

ROWS = documented_rows()
TRIED = [row for row in ROWS if row.failure in FAILURES]
"""Those that concern one database."""
MODES = tuple(MirrorMode)
BY_TURNS = [(row, MODES[crc32(f"{row.failure} {row.concerns}".encode()) % len(MODES)]) for row in TRIED]
"""Each in one mode, which is always the same, whatever other failures there are."""
IN_ALL_MODES = [
    pytest.param([(row, mode) for row in TRIED], marks=pytest.mark.torture) for mode in MirrorMode
]


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
    assert {row.failure for row in ROWS} == {*FAILURES, *OF_SERVERS, *OF_COPIES}


def test_failures_of_each_kind_take_turns_in_all_modes() -> None:
    modes: dict[str, list[MirrorMode]] = defaultdict(list)
    for row, mode in BY_TURNS:
        modes[row.concerns].append(mode)
    assert [kind for kind, tried in modes.items() if len(set(tried)) < min(len(tried), len(MODES))] == []


@pytest.mark.parametrize(
    "tries",
    [BY_TURNS, *IN_ALL_MODES],
    ids=["by turns", *MirrorMode],
)
async def test_a_failure_stops_only_what_it_concerns(
    tries: Sequence[tuple[Row, MirrorMode]], server: OwnPostgresServer
) -> None:
    slots = asyncio.Semaphore(AT_ONCE_MAX)

    async def tried(row: Row, mode: MirrorMode) -> None:
        async with slots, _own_database(server) as place:
            await _try(row, FAILURES[row.failure], mode, place)

    outcomes = await asyncio.gather(*(tried(*one) for one in tries), return_exceptions=True)
    wrong = [
        f"{row.failure} in mode {mode}: {one!r}"
        for (row, mode), one in zip(tries, outcomes, strict=True)
        if one is not None
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("failure", OF_SERVERS)
async def test_a_server_that_stops_answering_counts_and_parks_nothing(
    failure: str, server: OwnPostgresServer
) -> None:
    (row,) = (row for row in ROWS if row.failure == failure)
    making: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "a read-only server": (partial(_set_read_only, server, "on"), partial(_set_read_only, server, "off")),
        "a frozen server": (server.freeze, server.thaw),
        "an absent standby": (partial(_name_standby, server, "nosuch"), partial(_name_standby, server, "")),
        "a stopped server": (server.kill, server.restart),
    }
    stop, go_on = making[failure]
    async with AsyncExitStack() as opened:
        mirrors = []
        for mode in MirrorMode:
            place = await opened.enter_async_context(_own_database(server))
            mirrors.append(await opened.enter_async_context(failing_mirror(place.url, mode)))
        await asyncio.gather(*map(_write_known, mirrors))
        await asyncio.to_thread(stop)
        try:
            written = await asyncio.gather(*(_write_all(mirror, label(CONCERNED)) for mirror in mirrors))
            await asyncio.gather(*(_check_outage(*one, row) for one in zip(mirrors, written, strict=True)))
        finally:
            await asyncio.to_thread(go_on)
        for mirror, changes in zip(mirrors, written, strict=True):
            await mirror.seconds_until(changes, _is_synced, seconds_max=RECOVER_SECONDS_MAX)


@pytest.mark.parametrize("failure", OF_COPIES)
async def test_an_older_copy_gets_what_it_lacks_and_counts_nothing(
    failure: str, server: OwnPostgresServer
) -> None:
    (row,) = (row for row in ROWS if row.failure == failure)
    logged: list[str] = []
    sink = logger.add(lambda message: logged.append(str(message)), level="WARNING", format="{message}")
    try:
        await asyncio.gather(*(_complete_older_copy(row, mode, server) for mode in MirrorMode))
    finally:
        logger.remove(sink)
    # A comparison that is cut off by its time limit finds it again.
    assert sum(row.reason in line for line in logged) >= len(MirrorMode)


async def _complete_older_copy(row: Row, mode: MirrorMode, server: OwnPostgresServer) -> None:
    async with _own_database(server) as place, failing_mirror(place.url, mode) as mirror:
        await _write_known(mirror)
        older = f"{place.name}_older"
        await asyncio.to_thread(copy_database, place, older)
        lacking = await _write_all(mirror, label(CONCERNED))
        await mirror.seconds_until(lacking, _is_synced, seconds_max=RECOVER_SECONDS_MAX)
        await asyncio.to_thread(put_in_place, place, older)
        later = [change_set(put("labels", label(3)))]
        await mirror.write(*later)
        held = await _seconds_until_held(place, [*lacking, *later], seconds_max=RECOVER_SECONDS_MAX)
        note_figures("an older copy of the target", completed_after_seconds=round(held, 2))
        await mirror.seconds_until([*lacking, *later], _is_synced, seconds_max=NOTICE_SECONDS_MAX)
        entries = await mirror.entries([*lacking, *later])
        assert {(one["syncStatus"], one["syncAttempts"]) for one in entries} == {(row.shown_as, 0)}
        await mirror.until_up(seconds_max=RECOVER_SECONDS_MAX)


async def _seconds_until_held(place: Place, change_sets: Sequence[ChangeSet], *, seconds_max: float) -> float:
    """How long it takes until the target holds every entry."""
    ids = [id_ for one in change_sets for id_ in one.entry_ids]
    deadline = Deadline(seconds_max)
    while (held := await asyncio.to_thread(_held_of, place, ids)) < len(ids):
        await deadline.wait(f"{held} of {len(ids)} entries are there")
    return deadline.elapsed_seconds


def _held_of(place: Place, ids: list[str]) -> int:
    with psycopg.connect(place.superuser_url) as connection:
        counted = connection.execute(
            "SELECT count(*) FROM postgres_audit_logs WHERE mongo_id = ANY(%s)", (ids,)
        ).fetchone()
    return 0 if counted is None else int(counted[0])


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
        await _write_known(mirror)
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
        await mirror.until_up(seconds_max=NOTICE_SECONDS_MAX)


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
        await _check_outage(mirror, held, row)
        return
    await mirror.seconds_until(
        concerned,
        lambda entry: entry["syncStatus"] == row.shown_as and row.reason in (entry["syncError"] or ""),
        seconds_max=NOTICE_SECONDS_MAX,
    )
    (entry,) = await mirror.entries(concerned)
    assert entry["syncAttempts"] == (3 if row.concerns == "record" else 0)
    assert POISON not in entry["syncError"]
    await asyncio.sleep(METRICS_AGE_SECONDS_MAX)
    metrics, health = await mirror.sync.metrics(), await mirror.health()
    assert not metrics.breaker.reason
    assert health["db"].status == "UP"
    assert health["mirror"].status == "DEGRADED"
    assert "tandem sync failures" in (health["mirror"].detail or "")
    if row.concerns == "record":
        assert metrics.totals.parked == 1
        assert row.reason in (health["mirror"].cause or "")
    await _check_doctor(mirror, row)
    if row.concerns in ("record", "row"):
        assert health["target"].status == ("DEGRADED" if FAILURES[row.failure].alters_column else "UP")
    else:
        assert metrics.totals.failed >= 1
        assert (health["target"].status, row.reason in (health["target"].detail or "")) == ("DEGRADED", True)
        (blocked,) = metrics.blocked_tables
        assert blocked.table == ("postgres_labels" if row.concerns == "table" else "postgres_audit_logs")
        assert row.reason in f"{blocked.table} is blocked: {blocked.cause}"
        assert blocked.waiting >= 1


async def _check_doctor(mirror: FailingMirror, row: Row) -> None:
    """What `tandem doctor` prints of the running service: one line for each check, with the cause and a command."""
    components = {
        name: {"status": one.status, "detail": one.detail} for name, one in (await mirror.health()).items()
    }
    client = LocalMirrorClient(OperateSync(mirror.sync, SortableIdentifiers()), system_actor("doctor"))
    results = one_for_each([result async for result in checks_of_components(components, client)])
    failed = {one.subject: one for one in results if not one.is_fine}
    assert len({one.subject for one in results}) == len(results)
    is_of_target = row.concerns not in ("record", "row") or FAILURES[row.failure].alters_column
    assert set(failed) == ({"target", "mirror"} if is_of_target else {"mirror"})
    assert all(row.reason in one.message for one in failed.values()), failed
    command = "tandem sync failures" if row.concerns in ("record", "row") else "tandem sync status"
    assert command in (failed["mirror"].remedy or "")


async def _check_outage(mirror: FailingMirror, changes: list[ChangeSet], row: Row) -> None:
    breaker = await mirror.breaker_with(row.reason, seconds_max=OUTAGE_SECONDS_MAX)
    assert breaker.state is BreakerState.OPEN
    health = await mirror.health()
    assert health["db"].status == "UP"
    assert (health["target"].status, row.reason in (health["target"].detail or "")) == ("DOWN", True)
    totals = (await mirror.sync.metrics()).totals
    assert totals.failed + totals.parked == 0
    await _check_doctor(mirror, row)
    entries = await mirror.entries(changes)
    assert {(entry["syncStatus"], entry["syncAttempts"]) for entry in entries} == {(row.shown_as, 0)}


async def _write_known(mirror: FailingMirror) -> None:
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


def _set_read_only(server: OwnPostgresServer, value: str) -> None:
    """Every session becomes read-only, as where a provider sees that a disk is full."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        connection.execute("SELECT pg_reload_conf()")


def _name_standby(server: OwnPostgresServer, name: str) -> None:
    """Each commit waits for this standby from now on."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        connection.execute("SELECT pg_reload_conf()")


def _at(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()
