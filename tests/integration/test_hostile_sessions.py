"""Roles, databases, the environment and poolers that set sessions otherwise: what is stored and read stays the same."""

import asyncio
import json
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.postgres.migrate import upgrade
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import Blocked, ChangeSet, Rejection
from adapters.records.criteria import HasWords
from adapters.records.record import Record
from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable
from tests.servers.hostile_sessions import (
    HOSTILE,
    friendly,
    hostile_environment,
    make_database_hostile,
    make_role_hostile,
)
from tests.servers.postgres import OwnPostgresServer, PostgresServer
from tests.servers.postgres_pooler import Habits, PostgresPooler
from tests.unit.contracts.builders import (
    START,
    change_set,
    commit_all,
    fetched,
    found_numbers,
    label,
    numbered_id,
    put,
    same,
    task,
    timeline,
    user,
)

TREE = {
    "é": ["naïve", "日本語", "🎉", "a\\b", "it's", "$$", "%s", "{}", "NULL"],
    "numbers": [0.1, -1.5e300, 5e-324, 123_456_789_012_345_678, -(2**62), 1.0e15],
    "bytes": "3q2+7w==\\xdeadbeef\\336",
    "interval": "P1DT2H-3M 1 day -02:03:04",
    "nothing": None,
    "nested": {"deep": [{"deeper": [True, False, {}]}]},
}
AT = START + timedelta(microseconds=123_456)


def _records() -> list[tuple[str, Record]]:
    """Every kind of value, in columns and in unknown fields."""
    texts: dict[str, Any] = {
        "title": "Größe é 🎉 back\\slash it's 1/2/2025 'x' \\x41",
        "description": "C:\\new\\table\n\t\"quoted\" E'\\n' NULL",
    }
    return [
        ("tasks", task(1, **texts, dueAt=AT, displayId=2**62, extra=TREE, seenAt=AT, ratio=0.1)),
        (
            "tasks",
            task(2, title="second", labelIds=["NULL", "é", "\\"], startedAt=AT - timedelta(days=40_000)),
        ),
        ("users", user(3, name="Zoë \\ O'Hara")),
        ("labels", label(4, name="ünïque\\")),
        ("timelines", timeline(5, message="\\N é")),
    ]


def _change_sets() -> list[ChangeSet]:
    """Creations and changes, of one record and of several at once."""
    records = _records()
    (collection, first), *_ = records
    created = [change_set(put(*each)) for each in records[:2]]
    together = change_set(*(put(*each) for each in records[2:]))
    return [*created, together, change_set(put(collection, {**first, "version": 2, "title": "née \\ 🎉"}))]


async def _write_all(url: str, *, as_target: bool) -> None:
    store = PostgresRecordStore(url)
    await store.open()
    if as_target:
        changes = _change_sets()
        assert await store.apply(changes[:1]) == [None]
        outcomes = await store.apply(changes)
        assert not [one for one in outcomes if isinstance(one, Rejection | Blocked)]
    else:
        for each in _change_sets():
            await store.commit(each)
    await store.close()


async def _read_all(url: str) -> dict[str, Any]:
    """What a store answers."""
    store = PostgresRecordStore(url)
    await store.open()
    records = {name: await store.scan(name, after=None, limit=50) for name in _TABLES}
    found = await found_numbers(store, "tasks", HasWords("née"))
    await store.close()
    return {**records, "found": found}


_TABLES = ("tasks", "users", "labels", "timelines", "audit_logs")


def _rows(url: str) -> dict[str, list[str]]:
    """What is stored, as PostgreSQL itself writes it in an untouched session."""
    with psycopg.connect(friendly(url)) as connection:
        return {name: [_comparable(row) for (row,) in connection.execute(_content(name))] for name in _TABLES}


def _content(collection: str) -> sql.Composed:
    table = sql.Identifier("public", f"postgres_{collection}")
    return sql.SQL("SELECT to_jsonb(t) - 'synced_at' FROM {} t ORDER BY mongo_id").format(table)


def _comparable(row: object) -> str:
    return json.dumps(row, sort_keys=True, ensure_ascii=False)


@pytest.fixture(params=["source", "target"])
def as_target(request: pytest.FixtureRequest) -> bool:
    """Whether the store is written to as a target."""
    return bool(request.param == "target")


@pytest.fixture
async def untouched(postgres_server: PostgresServer, as_target: bool) -> AsyncIterator[str]:
    """A database that was written to in sessions with PostgreSQL's own settings."""
    url = postgres_server.create_prepared_database()
    await _write_all(url, as_target=as_target)
    yield url
    postgres_server.drop_database(url)


def _as_role(postgres_server: PostgresServer, url: str) -> Iterator[str]:
    """The database through a role of its own, whose sessions are hostile."""
    role, password = f"hostile_{secrets.token_hex(4)}", secrets.token_hex(8)
    with psycopg.connect(url, autocommit=True) as connection:
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        connection.execute(create.format(sql.Identifier(role), sql.Literal(password)))
        database = sql.Identifier(str(conninfo_to_dict(url)["dbname"]))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, sql.Identifier(role)))
    make_role_hostile(url, role)
    yield make_conninfo(url, user=role, password=password)
    postgres_server.drop_database(url)
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def _as_database(postgres_server: PostgresServer, url: str) -> Iterator[str]:
    make_database_hostile(url)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["role", "database", "environment"])
def hostile_url(
    request: pytest.FixtureRequest, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """An empty database, every session of which has hostile settings."""
    url = postgres_server.create_database()
    if request.param == "role":
        yield from _as_role(postgres_server, url)
        return
    if request.param == "database":
        yield from _as_database(postgres_server, url)
        return
    with monkeypatch.context() as variables:
        for name, value in hostile_environment().items():
            variables.setenv(name, value)
        yield url
    postgres_server.drop_database(url)


async def test_hostile_sessions_store_and_read_what_others_do(
    untouched: str, hostile_url: str, as_target: bool
) -> None:
    upgrade(hostile_url)
    await _write_all(hostile_url, as_target=as_target)
    assert _rows(hostile_url) == _rows(untouched)
    expected = await _read_all(untouched)
    assert len(expected["tasks"]) == 2
    assert expected["found"] == [1]
    assert same(await _read_all(hostile_url), expected)


SEEN = """
    CREATE TABLE public.seen (name text, value text);
    CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.seen
        SELECT name, current_setting(name, true) FROM unnest({names}::text[]) AS name;
        RETURN NEW;
    END $$;
    CREATE TRIGGER see BEFORE INSERT ON public.postgres_tasks FOR EACH ROW EXECUTE FUNCTION public.see();
"""
"""Notes the settings of the transactions that write tasks."""
IN_FORCE = {
    "client_encoding": "UTF8",
    "synchronous_commit": "on",
    "transaction_isolation": "read committed",
    "transaction_read_only": "off",
    "TimeZone": "UTC",
    "search_path": "public, pg_temp",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "iso_8601",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "row_security": "off",
    "gin_fuzzy_search_limit": "0",
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
    "idle_session_timeout": "0",
}


LOCK_TIMEOUTS = {"2s", "100ms"}
"""As a source, and as a target."""


def _see_settings(url: str) -> None:
    with psycopg.connect(friendly(url)) as connection:
        connection.execute(sql.SQL(SEEN).format(names=sql.Literal([*IN_FORCE, "lock_timeout"])))


def _seen(url: str) -> dict[str, set[str]]:
    """The values of each setting that writes ran with."""
    seen: dict[str, set[str]] = defaultdict(set)
    with psycopg.connect(friendly(url)) as connection:
        for name, value in connection.execute("SELECT name, value FROM seen"):
            seen[name].add(value)
    return seen


def _require_settings(url: str) -> None:
    """Every write so far ran with the settings that it needs."""
    seen = _seen(url)
    assert seen.pop("lock_timeout") <= LOCK_TIMEOUTS
    assert seen == {name: {value} for name, value in IN_FORCE.items()}


async def _write_in_every_way(store: PostgresRecordStore) -> None:
    """One statement and several in a transaction, as source and as target, more than once each."""
    for number in range(10, 50, 10):
        await store.commit(change_set(put("tasks", task(number))))
        await store.commit(change_set(put("tasks", task(number + 1)), put("tasks", task(number + 2))))
        assert await store.apply([change_set(put("tasks", task(number + 3)))]) == [None]
        applied = await store.apply([change_set(put("tasks", task(number + each))) for each in (4, 5)])
        assert applied == [None, None]


async def test_every_write_runs_with_the_settings_it_needs(hostile_url: str) -> None:
    upgrade(hostile_url)
    _see_settings(hostile_url)
    store = PostgresRecordStore(hostile_url)
    await store.open()
    await _write_in_every_way(store)
    await store.close()
    _require_settings(hostile_url)


POOLERS = {
    "other processes": Habits(server_count=3),
    "other processes, unnoticed": Habits(server_count=3, names_process=True),
    "other processes, reset": Habits(server_count=2, resets=True, names_process=True),
    "reset": Habits(resets=True),
    "reset, unnoticed": Habits(resets=True, names_process=True),
    "forgotten within a transaction": Habits(forgets_within=True, names_process=True),
}


@pytest.fixture(params=list(POOLERS.values()), ids=list(POOLERS))
def habits(request: pytest.FixtureRequest) -> Habits:
    """The habits of a pooler."""
    habits: Habits = request.param
    return habits


@pytest.fixture
def prepared_url(prepared_postgres_url: str) -> str:
    """A database with tables that notes the settings of writes, and whose own settings are hostile."""
    _see_settings(prepared_postgres_url)
    make_database_hostile(prepared_postgres_url)
    return prepared_postgres_url


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[PostgresRecordStore]:
    store = PostgresRecordStore(url, pool_max=2)
    await store.open()
    yield store
    await store.close()


async def test_every_write_through_a_pooler_runs_with_the_settings_it_needs(
    prepared_url: str, habits: Habits
) -> None:
    async with PostgresPooler(prepared_url, habits).serving() as pooler, _opened(pooler.url) as store:
        await _write_in_every_way(store)
        assert len(await store.scan("tasks", after=None, limit=100)) == 24
        assert len(await store.scan("audit_logs", after=None, limit=100)) == 24
    _require_settings(prepared_url)


async def test_instants_stay_in_utc_whatever_zone_a_pooler_reports(prepared_url: str, habits: Habits) -> None:
    async with PostgresPooler(prepared_url, habits).serving() as pooler, _opened(pooler.url) as store:
        await store.commit(change_set(put("tasks", task(1)), put("labels", label(1))))
        for collection in ("tasks", "labels"):
            found = await fetched(store, collection, 1)
            assert found is not None
            assert found["createdAt"].tzinfo is UTC


async def test_a_pooler_is_migrated_through(postgres_url: str, habits: Habits) -> None:
    make_database_hostile(postgres_url)
    async with PostgresPooler(postgres_url, habits).serving() as pooler, _opened(pooler.url) as store:
        await store.prepare()
        await commit_all(store, "tasks", task(1, title="é"))
        assert same(await fetched(store, "tasks", 1), task(1, title="é"))


async def _read(store: PostgresRecordStore) -> None:
    assert same(await fetched(store, "tasks", 1), task(1))


async def _commit_one(store: PostgresRecordStore) -> None:
    current = await fetched(store, "tasks", 2)
    assert current is not None
    await store.commit(change_set(put("tasks", task(2, version=current["version"] + 1))))


async def _commit_many(store: PostgresRecordStore) -> None:
    current = await fetched(store, "tasks", 3)
    assert current is not None
    version = current["version"] + 1
    await store.commit(
        change_set(put("tasks", task(3, version=version)), put("tasks", task(4, version=version)))
    )


async def _apply(store: PostgresRecordStore) -> None:
    assert await store.apply([change_set(put("tasks", task(5, version=9), expected=8))]) == [None]


@pytest.mark.parametrize("call", [_read, _commit_one, _commit_many, _apply])
@pytest.mark.parametrize("forgetting", [b"DISCARD ALL", b"DEALLOCATE ALL"])
async def test_statements_forgotten_at_any_time_are_sent_again(
    prepared_url: str, call: Callable[[PostgresRecordStore], Any], forgetting: bytes
) -> None:
    pooler = PostgresPooler(prepared_url, Habits(names_process=True))
    async with pooler.serving(), _opened(pooler.url) as store:
        await commit_all(store, "tasks", *(task(number) for number in range(1, 6)))
        await call(store)
        await call(store)
        await pooler.everywhere(forgetting)
        await call(store)
        await pooler.everywhere(forgetting)
        await call(store)
        entries = await store.scan("audit_logs", after=None, limit=100)
    versions = {"_read": 5, "_commit_one": 5 + 4, "_commit_many": 5 + 8, "_apply": 5 + 1}
    assert len(entries) == versions[call.__name__]
    _require_settings(prepared_url)


async def _commit_at_once(store: PostgresRecordStore, numbers: range) -> None:
    """Writes of one statement and of several, on all connections at the same time."""
    alone = (change_set(put("tasks", task(number))) for number in numbers[::3])
    together = (
        change_set(put("tasks", task(number)), put("tasks", task(number + 1))) for number in numbers[1::3]
    )
    await asyncio.gather(*(store.commit(changes) for changes in (*alone, *together)))


@pytest.mark.parametrize("forgetting", [b"DISCARD ALL", b"DEALLOCATE ALL"])
async def test_statements_forgotten_under_several_connections_are_sent_again(
    prepared_url: str, forgetting: bytes
) -> None:
    """The first connection that notices it does not keep the others from noticing."""
    pooler = PostgresPooler(prepared_url, Habits(names_process=True))
    async with pooler.serving(), _opened(pooler.url) as store:
        for first in (0, 30):
            await _commit_at_once(store, range(first, first + 30))
        await pooler.everywhere(forgetting)
        await _commit_at_once(store, range(60, 90))
        assert len(await store.scan("tasks", after=None, limit=100)) == 90
    _require_settings(prepared_url)


async def test_a_direct_connection_prepares_its_statements(prepared_url: str) -> None:
    """Only what stands behind a pooler sends its settings with each transaction."""
    pooler = PostgresPooler(prepared_url, Habits(names_process=True))
    async with pooler.serving(), _opened(pooler.url) as store:
        for number in range(1, 4):
            await commit_all(store, "tasks", task(number))
            assert same(await fetched(store, "tasks", number), task(number))
        counts = []
        for number in range(4, 9):
            before = pooler.messages
            await commit_all(store, "tasks", task(number))
            counts.append(pooler.messages - before)
        # A statement that takes long lets the store look for its cause.
        assert min(counts) == 4, "bind, describe, execute and sync"


async def test_connections_never_share_the_name_of_a_statement(prepared_postgres_url: str) -> None:
    pooler = PostgresPooler(prepared_postgres_url, Habits(server_count=1, names_process=True))
    async with pooler.serving(), _opened(pooler.url) as first, _opened(pooler.url) as second:
        await commit_all(first, "tasks", task(1))
        await commit_all(first, "labels", label(1))
        # Each asks another question first, so that the driver's own names for the two would be equal.
        assert same(await fetched(first, "tasks", 1), task(1))
        assert same(await fetched(second, "labels", 1), label(1))
        assert same(await fetched(first, "tasks", 1), task(1))
        assert same(await fetched(second, "labels", 1), label(1))


async def test_a_stronger_durability_stays(prepared_postgres_url: str) -> None:
    _see_settings(prepared_postgres_url)
    database = sql.Identifier(str(conninfo_to_dict(prepared_postgres_url)["dbname"]))
    with psycopg.connect(prepared_postgres_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET synchronous_commit = remote_apply").format(database)
        )
    async with _opened(prepared_postgres_url) as store:
        await _write_in_every_way(store)
    assert _seen(prepared_postgres_url)["synchronous_commit"] == {"remote_apply"}


@pytest.mark.parametrize("options", ["-c search_path=tandem", "-csearch_path=tandem", "--search-path=tandem"])
async def test_the_address_names_the_schema_of_the_tables(postgres_url: str, options: str) -> None:
    make_database_hostile(postgres_url)
    with psycopg.connect(friendly(postgres_url), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA tandem")
    url = make_conninfo(postgres_url, options=options)
    upgrade(url)
    async with _opened(url) as store:
        await _write_in_every_way(store)
    with psycopg.connect(friendly(postgres_url)) as connection:
        assert connection.execute("SELECT count(*) FROM tandem.postgres_tasks").fetchone() == (24,)


async def test_a_missing_schema_is_refused_with_what_to_do(postgres_url: str) -> None:
    with pytest.raises(StoreRefused, match="options=-csearch_path%3DSCHEMA"):
        upgrade(make_conninfo(postgres_url, options="-csearch_path=absent"))


@pytest.fixture
async def own_store(own_postgres_server: OwnPostgresServer) -> AsyncIterator[PostgresRecordStore]:
    """A store on a server whose configuration a test may change."""
    upgrade(own_postgres_server.url)
    async with _opened(own_postgres_server.url) as store:
        yield store


def _configure(server: OwnPostgresServer, command: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM {command}")
        connection.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("is_new", [False, True], ids=["while connected", "before connecting"])
async def test_a_server_that_takes_no_writes_is_named_and_not_overridden(
    own_store: PostgresRecordStore, own_postgres_server: OwnPostgresServer, is_new: bool
) -> None:
    await commit_all(own_store, "tasks", task(1))
    _configure(own_postgres_server, "SET default_transaction_read_only = on")
    if is_new:
        await own_store.close()
        await own_store.open()
    await _await_read_only(own_store)
    with pytest.raises(StoreUnavailable, match="read-only"):
        await own_store.commit(change_set(put("tasks", task(3))))
    with pytest.raises(StoreUnavailable, match="read-only"):
        await own_store.apply([change_set(put("tasks", task(3)))])
    assert same(await fetched(own_store, "tasks", 1), task(1))
    with psycopg.connect(own_postgres_server.url) as connection:
        assert (
            connection.execute(
                "SELECT mongo_id FROM postgres_tasks WHERE mongo_id = %s", [numbered_id(3)]
            ).fetchall()
            == []
        )


async def _await_read_only(store: PostgresRecordStore) -> None:
    """A server reads its configuration again a moment after it was told to."""
    for number in range(100, 1_000):
        try:
            await store.commit(change_set(put("tasks", task(number))))
        except StoreUnavailable:
            return
    pytest.fail("the server still takes writes")


def test_hostile_settings_are_settings_that_this_server_knows(postgres_url: str) -> None:
    make_database_hostile(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        in_force = {
            name: connection.execute("SELECT current_setting(%s)", [name]).fetchone() for name in HOSTILE
        }
    assert in_force["client_encoding"] == ("LATIN1",)
    assert in_force["synchronous_commit"] == ("off",)
