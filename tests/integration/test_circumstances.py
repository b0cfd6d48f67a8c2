"""What preflight says about a target whose account, tables, clock or disk would stop a move."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from adapters.migration.circumstances import Circumstances
from adapters.mongo.record_store import MongoRecordStore
from adapters.monty.record_store import MontyRecordStore
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.described import Space
from application.ports.migration import Finding
from tests.servers.mongo import MongoDatabase
from tests.servers.tables import PreparedDatabase

TABLE = "postgres_tasks"


@dataclass
class ShiftedClock:
    """The clock of a machine that is so far ahead."""

    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[MontyRecordStore]:
    store = MontyRecordStore(tmp_path / "monty")
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def target(database: PreparedDatabase, role: str) -> AsyncIterator[PostgresRecordStore]:
    store = PostgresRecordStore(f"{database.url}&user={role}")
    await store.open()
    yield store
    await store.close()


async def _found(
    source: MontyRecordStore, target: PostgresRecordStore, clock: ShiftedClock | None = None
) -> dict[str, Finding]:
    findings = await Circumstances(source, target, clock=clock or ShiftedClock()).findings()
    return {one.code: one for one in findings}


async def test_a_usable_target_leaves_only_what_its_server_does_not_say(
    source: MontyRecordStore, target: PostgresRecordStore
) -> None:
    found = await _found(source, target)
    assert set(found) == {"disk_not_checked"}
    assert not found["disk_not_checked"].blocks


async def test_privileges_that_are_missing_are_named_with_the_command(
    source: MontyRecordStore, target: PostgresRecordStore, database: PreparedDatabase, role: str
) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"REVOKE INSERT, DELETE ON {TABLE} FROM {role}")
        found = (await _found(source, target))["no_privilege"]
        assert found.blocks
        command = found.consequence.partition("Grant it: ")[2]
        assert command == f"GRANT INSERT, DELETE ON {TABLE} TO {role}"
        connection.execute(command.encode())
    assert "no_privilege" not in await _found(source, target)


async def test_a_column_that_somebody_dropped_is_named(
    source: MontyRecordStore, target: PostgresRecordStore, database: PreparedDatabase
) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE {TABLE} RENAME title TO heading")
        found = (await _found(source, target))["schema_altered"]
        connection.execute(f"ALTER TABLE {TABLE} RENAME heading TO title")
    assert found.blocks
    assert f"The column title of the table {TABLE} is missing" in found.consequence


async def test_a_clock_that_is_off_is_a_note(source: MontyRecordStore, target: PostgresRecordStore) -> None:
    found = (await _found(source, target, ShiftedClock(timedelta(minutes=2))))["clock"]
    assert not found.blocks
    assert "differ by 120 s" in found.consequence


@pytest.mark.parametrize(
    ("held", "share", "blocks"),
    [(0.0, 0.5, True), (0.0, 2.0, False), (0.0, 10.0, None), (0.9, 0.5, False), (2.8, 0.5, None)],
)
async def test_a_disk_without_room_for_the_source_stops_the_move(
    source: MontyRecordStore, target: PostgresRecordStore, *, held: float, share: float, blocks: bool | None
) -> None:
    used = (await source.space()).used

    class Small(PostgresRecordStore):
        async def space(self) -> Space:
            return Space(round(held * used), round(share * used))

    small = Small(target.url)
    await small.open()
    found = await _found(source, small)
    await small.close()
    assert (found["disk"].blocks if "disk" in found else None) is blocks
    assert "disk_not_checked" not in found


async def test_each_store_says_what_it_occupies(
    source: MontyRecordStore, target: PostgresRecordStore, mongo_database: MongoDatabase
) -> None:
    mongo = MongoRecordStore(mongo_database.uri, mongo_database.name)
    await mongo.open()
    spaces = [await store.space() for store in (source, target, mongo)]
    await mongo.close()
    assert all(one.used >= 0 for one in spaces)
    assert spaces[0].free is not None
    assert spaces[0].free > 0
