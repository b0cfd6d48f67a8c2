"""The tables that migrations make are the tables that the specs ask for."""

import asyncio
import secrets
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg.conninfo import make_conninfo

from adapters.ownership import control
from adapters.postgres.installed_schema import HEAD, OWN_COLUMNS
from adapters.postgres.migrate import MIGRATION_LOCK, downgrade, upgrade
from adapters.postgres.record_store import PostgresRecordStore
from adapters.postgres.tables import metadata
from adapters.records.change_set import Blocked
from adapters.records.record_store import StoreRefused
from adapters.records.revisions import Revision
from domain.errors import StoreUnavailable
from tests.servers.postgres import PostgresServer
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import change_set, put, task

COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, l.collname,
           pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'alembic_version'
    ORDER BY c.relname, a.attname
"""
"""By name: no statement depends on the order of columns."""
INDEXES = """
    SELECT tablename, indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1, 2
"""
CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version' ORDER BY 1, 2
"""
GONE = "postgres_tasks is missing: somebody renamed or dropped it. Rename it back"
TABLES_LEFT = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"


def _engine(url: str) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=sqlalchemy.NullPool
    )


def _facts(url: str) -> dict[str, list[tuple[object, ...]]]:
    """What PostgreSQL itself says of the tables."""
    questions = {"columns": COLUMNS, "indexes": INDEXES, "constraints": CONSTRAINTS}
    with psycopg.connect(url) as connection:
        return {name: connection.execute(question).fetchall() for name, question in questions.items()}


def _current(url: str) -> str:
    with psycopg.connect(url) as connection:
        ((revision,),) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return str(revision)


def _tables_left(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(TABLES_LEFT).fetchall()


@pytest.fixture
def derived_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with the tables the specs ask for, made without migrations."""
    url = postgres_server.create_database()
    metadata.create_all(_engine(url))
    yield url
    postgres_server.drop_database(url)


def test_migrated_tables_equal_derived_tables(postgres_url: str, derived_url: str) -> None:
    upgrade(postgres_url)
    migrated, derived = _facts(postgres_url), _facts(derived_url)
    assert len(migrated["columns"]) > 100
    assert migrated == derived


def test_alembic_finds_nothing_left_to_migrate(postgres_url: str) -> None:
    upgrade(postgres_url)
    with _engine(postgres_url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_up_down_and_up_again_ends_with_the_same_tables(postgres_url: str) -> None:
    upgrade(postgres_url)
    first = _facts(postgres_url)
    downgrade(postgres_url, "base")
    assert _tables_left(postgres_url) == [("alembic_version",)]
    upgrade(postgres_url)
    assert _facts(postgres_url) == first


def test_a_second_upgrade_changes_nothing(postgres_url: str) -> None:
    upgrade(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("INSERT INTO tandem_control (mongo_id, version, value) VALUES ('kept', 1, '{}')")
    upgrade(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT mongo_id FROM tandem_control").fetchall() == [("kept",)]


async def test_asking_for_the_revision_changes_nothing(postgres_url: str) -> None:
    store = PostgresRecordStore(postgres_url)
    await store.open()
    assert await store.revision() == Revision(None, HEAD)
    assert await asyncio.to_thread(_tables_left, postgres_url) == []
    await store.prepare()
    assert await store.revision() == Revision(HEAD, HEAD)
    assert not await store.flaws()
    await store.close()


def test_the_columns_of_the_tables_that_hold_no_records_are_known() -> None:
    known = {name: list(columns) for name, columns in OWN_COLUMNS.items() if name != "alembic_version"}
    assert known == {name: list(metadata.tables[name].columns.keys()) for name in known}


def test_the_program_expects_the_newest_migration(postgres_url: str) -> None:
    upgrade(postgres_url)
    assert _current(postgres_url) == HEAD


def test_tables_of_another_version_are_refused_and_stay(postgres_url: str) -> None:
    upgrade(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = _facts(postgres_url)
    for attempt in (upgrade, partial(downgrade, revision="base")):
        with pytest.raises(StoreRefused, match="Another version of Tandem"):
            attempt(postgres_url)
    assert _current(postgres_url) == "9999"
    assert _facts(postgres_url) == before


def test_processes_that_migrate_at_once_take_turns(postgres_url: str) -> None:
    finished: list[str] = []

    def migrate() -> None:
        upgrade(postgres_url)
        finished.append("done")

    upgrades = [threading.Thread(target=migrate) for _ in range(4)]
    with psycopg.connect(postgres_url, autocommit=True) as first:
        first.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        for thread in upgrades:
            thread.start()
        upgrades[0].join(0.3)
        assert finished == []
        assert _tables_left(postgres_url) == []
    for thread in upgrades:
        thread.join(20)
    assert finished == ["done"] * 4
    assert _current(postgres_url) == HEAD


def test_a_table_in_use_makes_the_migration_give_way(postgres_url: str) -> None:
    upgrade(postgres_url, "0001")
    before = _facts(postgres_url)
    with psycopg.connect(postgres_url) as reader:
        reader.execute("SELECT 1 FROM tandem_control")
        with pytest.raises(StoreUnavailable):
            downgrade(postgres_url, "base", lock_timeout_ms=200)
    assert _current(postgres_url) == "0001"
    assert _facts(postgres_url) == before


def test_an_unreachable_server_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        upgrade(f"postgresql://nobody@/none?host={tmp_path}")


async def _causes(store: PostgresRecordStore) -> set[str]:
    """Why a read, a commit and the look at the revision fail; the same sentence for all."""
    calls = (
        store.fetch("tasks", [numbered_id(1)]),
        store.commit(change_set(put("tasks", task(1)))),
        store.scan("control", after=None, limit=1),
    )
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    return {str(one) for one in outcomes if isinstance(one, Exception)}


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (
            "ALTER TABLE postgres_tasks RENAME title TO heading",
            f"The column title of the table {GONE} (ALTER TABLE postgres_tasks RENAME COLUMN heading TO title)",
        ),
        (
            "ALTER TABLE postgres_tasks DROP COLUMN title",
            f"The column title of the table {GONE} (ALTER TABLE postgres_tasks RENAME COLUMN … TO title)",
        ),
        (
            "ALTER TABLE postgres_tasks RENAME TO chores",
            f"The table {GONE} (ALTER TABLE … RENAME TO postgres_tasks)",
        ),
    ],
    ids=["renamed column", "dropped column", "renamed table"],
)
async def test_what_somebody_renamed_or_dropped_is_named_with_its_table(
    postgres_server: PostgresServer, change: str, remedy: str
) -> None:
    cause = f"{remedy}, or restore the database from a copy."
    url = postgres_server.create_prepared_database()
    store = PostgresRecordStore(url)
    await store.open()
    with psycopg.connect(url, autocommit=True) as beside:
        beside.execute(change.encode())
    assert await _causes(store) == {cause}
    assert [f"{flaw.cause} {flaw.remedy}" for flaw in await store.flaws()] == [cause]
    (outcome,) = await store.apply([change_set(put("tasks", task(2)))])
    assert isinstance(outcome, Blocked)
    assert (outcome.place, cause in outcome.cause) == ("postgres_tasks", True)
    await store.close()
    postgres_server.drop_database(url)


async def test_tables_in_a_schema_that_is_closed_to_the_account_are_not_taken_for_missing(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.create_prepared_database()
    role = f"mirror_{secrets.token_hex(4)}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            f"CREATE ROLE {role} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};"
            " REVOKE USAGE ON SCHEMA public FROM PUBLIC".encode()
        )
        store = PostgresRecordStore(make_conninfo(url, user=role))
        await store.open()
        for call in (store.revision, store.prepare, partial(control.read, store)):
            with pytest.raises(StoreUnavailable, match="permission denied for schema public") as closed:
                await call()
            assert "GRANT USAGE ON SCHEMA public" in closed.value.message
        with pytest.raises(StoreUnavailable, match="permission denied for schema public"):
            await store.apply([change_set(put("tasks", task(1)))])
        admin.execute(f"GRANT USAGE ON SCHEMA public TO {role}".encode())
        assert await store.apply([change_set(put("tasks", task(1)))]) == [None]
        await store.close()
    postgres_server.drop_database(url)
    with psycopg.connect(postgres_server.url, autocommit=True) as admin:
        admin.execute(f"DROP ROLE {role}".encode())
