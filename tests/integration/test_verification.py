"""Verification and repair from MontyDB and MongoDB to PostgreSQL, with edits past the mirror by SQL."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from bson.objectid import ObjectId
from pymongo import MongoClient

from adapters.migration.census import Census
from adapters.migration.ranges import Ranges
from adapters.migration.repair import Repair
from adapters.migration.verification import Verifier
from adapters.mongo.record_store import MongoRecordStore
from adapters.monty.record_store import MontyRecordStore
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import ChangeSet, LaneStamp
from adapters.records.record import ID, VERSION
from adapters.records.specs import AUDIT_LOGS, CONTROL, SPECS
from adapters.records.wrapped_store import WrappedStore
from adapters.system.clock import SystemClock
from adapters.system.identifiers import SortableIdentifiers
from application.ports.migration import Verification
from tests.servers.mongo import MongoDatabase
from tests.servers.postgres import PostgresServer
from tests.servers.tables import PreparedDatabase, prepared_database, run_statements
from tests.unit.contracts.builders import (
    OWNER,
    change_set,
    entry,
    erasure,
    label,
    minutes,
    numbered_id,
    project,
    put,
    task,
    timeline,
    user,
)

Store = MontyRecordStore | MongoRecordStore
RESTLESS_MAX = 2
UNKNOWN: dict[str, Any] = {
    "points": 3,
    "ratio": 2.5,
    "nested": {"b": [1, None], "a": "é"},
    "seenAt": minutes(3),
}


class _Mirroring(WrappedStore):
    """Mirrors each commit at once."""

    def __init__(self, inner: Store, target: PostgresRecordStore) -> None:
        super().__init__(inner)
        self._target = target

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        stamp = await self._inner.commit(change_set)
        await self._target.apply([change_set])
        return stamp


@pytest.fixture(scope="module")
def target_database(postgres_server: PostgresServer) -> Iterator[PreparedDatabase]:
    """A database with tables, which each test finds empty."""
    with prepared_database(postgres_server) as database:
        yield database


@pytest.fixture
def target_url(target_database: PreparedDatabase) -> str:
    return target_database.url


@pytest.fixture
async def target(target_database: PreparedDatabase) -> AsyncIterator[PostgresRecordStore]:
    target_database.empty()
    store = PostgresRecordStore(target_database.url)
    await store.open()
    yield store
    await store.close()


@pytest.fixture(params=["monty", "mongo"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    store: Store = MontyRecordStore(None)
    if request.param == "mongo":
        database: MongoDatabase = request.getfixturevalue("mongo_database")
        store = MongoRecordStore(database.uri, database.name, timeout_ms=30_000)
    await store.open()
    await store.prepare()
    yield store
    await store.close()


async def _mirrored(source: Store, target: PostgresRecordStore) -> _Mirroring:
    """One change set of each kind of record, in both stores."""
    store = _Mirroring(source, target)
    puts = [put("tasks", task(number, displayId=number)) for number in range(1, 9)]
    puts += [
        put("labels", label(1)),
        put("projects", project(2)),
        put("users", user(3)),
        put("timelines", timeline(4)),
    ]
    puts += [put("tasks", task(9, due_on=None, dueOn="2026-02-28", **UNKNOWN))]
    for each in puts:
        await store.commit(change_set(each, entries=[entry(each, syncStatus="SYNCED")]))
    gone = erasure("tasks", 8, version=2)
    await store.commit(change_set(gone, entries=[entry(gone, syncStatus="SYNCED")]))
    return store


async def _verify(source: Store, target: PostgresRecordStore) -> Verification:
    verifier = Verifier(source, target, clock=SystemClock(), page=4)
    return await verifier.verify(lambda _: None, incarnation=1, epoch=1)


async def _verify_again(
    source: Store, target: PostgresRecordStore, known: Ranges | None
) -> tuple[Verification, Ranges]:
    """An incremental verification, and its ranges."""
    verifier = Verifier(source, target, clock=SystemClock(), page=4)
    found = await verifier.verify(lambda _: None, incarnation=1, epoch=1, known=known)
    assert verifier.ranges is not None
    return found, verifier.ranges


async def test_digests_of_both_stores_are_those_of_what_was_read(
    source: Store, target: PostgresRecordStore
) -> None:
    await _mirrored(source, target)
    _, ranges = await _verify_again(source, target, None)
    for collection, of in ranges.by_collection.items():
        bounds = [one.upto for one in of]
        read = [one.digest for one in of]
        for place, store in enumerate((source, target)):
            digests = await store.raw_digests(collection, after=None, bounds=bounds)
            assert digests == [one and one[place] for one in read]
    assert sum(len(of) for of in ranges.by_collection.values()) >= 8


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE postgres_tasks SET priority = 3 WHERE mongo_id = '{}'",
        "UPDATE postgres_tasks SET extra = jsonb_set(extra, '{{values,points}}', '4') WHERE mongo_id = '{}'",
        "UPDATE postgres_tasks SET created_at = created_at + interval '1 microsecond' WHERE mongo_id = '{}'",
        "UPDATE postgres_tasks SET description = 'Other' WHERE mongo_id = '{}'",
        "DELETE FROM postgres_tasks WHERE mongo_id = '{}'",
    ],
)
async def test_an_incremental_verification_finds_an_edit(
    source: Store, target: PostgresRecordStore, target_url: str, statement: str
) -> None:
    await _mirrored(source, target)
    full, ranges = await _verify_again(source, target, None)
    again, _ = await _verify_again(source, target, ranges)
    assert (full.is_clean, again.is_clean, again.collections) == (True, True, full.collections)
    _edit(target_url, statement.format(numbered_id(9)))
    found, _ = await _verify_again(source, target, ranges)
    assert [(one.collection, one.id) for one in found.differences] == [("tasks", numbered_id(9))]


async def test_a_digest_changes_with_the_form_of_a_number(
    target: PostgresRecordStore, target_url: str
) -> None:
    await target.apply([change_set(put("tasks", task(1, **UNKNOWN)))])
    before = await target.raw_digests("tasks", after=None, bounds=[numbered_id(1)])
    read = (await target.raw_scan("tasks", after=None, limit=1)).prints
    _edit(target_url, "UPDATE postgres_tasks SET extra = jsonb_set(extra, '{values,points}', '3.0')")
    assert await target.raw_digests("tasks", after=None, bounds=[numbered_id(1)]) != before
    assert (await target.raw_scan("tasks", after=None, limit=1)).prints != read


async def _repair(store: _Mirroring, found: Verification) -> None:
    inner = store._inner
    assert isinstance(inner, MontyRecordStore | MongoRecordStore)
    repair = Repair(
        inner,
        store._target,
        writer=store,
        applier=store._target,
        clock=SystemClock(),
        identifiers=SortableIdentifiers(),
    )
    done = await repair.repair(found.differences, by=OWNER)
    assert done.unrepaired == []


def _edit(url: str, statement: str) -> None:
    assert run_statements(url, f"{statement} RETURNING 1") != []


async def test_mirrored_stores_are_equal_by_the_raw_path(source: Store, target: PostgresRecordStore) -> None:
    await _mirrored(source, target)

    verification = await _verify(source, target)

    assert verification.differences == ()
    assert verification.is_clean
    rows = {row.collection: row for row in verification.collections}
    assert (rows["tasks"].source, rows["tasks"].target, rows["tasks"].compared) == (9, 9, 9)


async def test_edits_by_sql_are_found_named_and_repaired(
    source: Store, target: PostgresRecordStore, target_url: str
) -> None:
    store = await _mirrored(source, target)
    two, three, four, five = (numbered_id(number) for number in (2, 3, 4, 5))
    _edit(target_url, f"UPDATE postgres_tasks SET title = 'By hand' WHERE mongo_id = '{two}'")
    _edit(target_url, f"DELETE FROM postgres_tasks WHERE mongo_id = '{three}'")
    _edit(target_url, f"UPDATE postgres_tasks SET version = 9 WHERE mongo_id = '{four}'")
    _edit(
        target_url,
        "INSERT INTO postgres_labels SELECT (jsonb_populate_record(l, jsonb_build_object('mongo_id', "
        f"'{five}', 'name_key', 'other', 'name', 'Other'))).* FROM postgres_labels l",
    )
    _edit(target_url, f"UPDATE postgres_tasks SET extra = NULL WHERE mongo_id = '{numbered_id(9)}'")
    _edit(
        target_url,
        f"UPDATE postgres_tasks SET created_at = created_at + interval '1 microsecond' WHERE mongo_id = '{five}'",
    )
    _edit(target_url, "UPDATE postgres_timelines SET items = jsonb_set(items, '{0,duration}', '4')")

    found = await _verify(source, target)

    assert {(one.kind.value, one.collection, int(one.id, 16), one.fields) for one in found.differences} == {
        ("CHANGED", "tasks", 2, ("title",)),
        ("MISSING", "tasks", 3, ()),
        ("AHEAD", "tasks", 4, ("version",)),
        ("CHANGED", "tasks", 5, ("createdAt",)),
        ("CHANGED", "tasks", 9, ("nested", "points", "ratio", "seenAt")),
        ("EXTRA", "labels", 5, ()),
        ("CHANGED", "timelines", 4, ("items",)),
    }

    await _repair(store, found)

    assert (await _verify(source, target)).is_clean


async def test_an_instant_that_python_cannot_hold_is_a_difference_and_repaired(
    source: Store, target: PostgresRecordStore, target_url: str
) -> None:
    store = await _mirrored(source, target)
    _edit(target_url, f"UPDATE postgres_tasks SET due_at = 'infinity' WHERE mongo_id = '{numbered_id(2)}'")

    found = await _verify(source, target)

    named = {(one.kind.value, int(one.id, 16)) for one in found.differences}
    assert ("CHANGED", 2) in named
    await _repair(store, found)
    assert (await _verify(source, target)).is_clean


async def test_an_apply_that_a_trigger_swallows_is_found(
    source: Store, target: PostgresRecordStore, target_url: str
) -> None:
    store = await _mirrored(source, target)
    run_statements(
        target_url,
        "CREATE OR REPLACE FUNCTION keep_old() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF TG_OP = 'UPDATE' THEN NEW.title := OLD.title; END IF; RETURN NEW; END $$",
    )
    run_statements(
        target_url,
        "CREATE TRIGGER keep_old BEFORE UPDATE ON postgres_tasks FOR EACH ROW EXECUTE FUNCTION keep_old()",
    )
    changed = put("tasks", {**task(2, version=2, displayId=2), "title": "New"})
    await store.commit(change_set(changed, entries=[entry(changed, syncStatus="SYNCED")]))

    found = await _verify(source, target)
    run_statements(target_url, "DROP TRIGGER keep_old ON postgres_tasks")

    assert [(one.kind.value, one.fields) for one in found.differences] == [("CHANGED", ("title",))]
    await _repair(store, found)
    assert (await _verify(source, target)).is_clean


async def test_writes_meanwhile_give_no_false_difference(source: Store, target: PostgresRecordStore) -> None:
    await _mirrored(source, target)
    is_done = False

    async def write() -> None:
        number, version = 1_000, 1
        while not is_done:
            number, version = number + 1, version + 1
            puts = [put("tasks", task(number)), put("tasks", task(1, version=version, displayId=1))]
            changes = [change_set(each, entries=[entry(each)]) for each in puts]
            for change in changes:
                await source.commit(change)
            await asyncio.sleep(0.01)
            await target.apply(changes)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        await asyncio.sleep(0.05)
        found = [await _verify(source, target) for _ in range(3)]
        is_done = True

    assert [one.differences for one in found] == [()] * 3
    # The record that is written all the time, and its newest entry, may not come to rest while it is looked at.
    left = [sum(max(row.source, row.target) - row.compared for row in one.collections) for one in found]
    assert max(left) <= RESTLESS_MAX


async def test_the_raw_path_of_postgres_names_every_field_of_the_specs(target: PostgresRecordStore) -> None:
    record = task(1)
    await target.apply([change_set(put("tasks", record))])

    (raw,) = (await target.raw_scan("tasks", after=None, limit=10)).records

    assert raw.keys() - {"isErased"} == record.keys()
    assert (raw[ID], raw[VERSION]) == (numbered_id(1), 1)
    for spec in SPECS.values():
        if spec not in (AUDIT_LOGS, CONTROL):
            assert (await target.raw_fetch(spec.collection, [numbered_id(1)])).is_last


async def test_old_documents_equal_what_they_read_as_and_foreign_ids_lower_the_coverage(
    mongo_database: MongoDatabase, target: PostgresRecordStore
) -> None:
    old = [
        {
            "_id": ObjectId(numbered_id(number)),
            "title": f"Old {number}",
            "priority": "HIGH",
            "createdBy": OWNER,
        }
        for number in (2, 5, 9)
    ]
    with MongoClient[dict[str, Any]](mongo_database.uri) as client:
        client[mongo_database.name]["tasks"].insert_many([*old, {**old[0], "_id": 7}])
    store = MongoRecordStore(mongo_database.uri, mongo_database.name, timeout_ms=30_000)
    await store.open()
    try:
        for number in (1, 3, 4, 8):
            await store.commit(ChangeSet((put("tasks", task(number)),)))
        for record in await store.scan("tasks", after="0", limit=100):
            await target.apply([ChangeSet((put("tasks", record),))])

        verification = await Verifier(store, target, clock=SystemClock(), page=2).verify(
            lambda _: None, incarnation=1, epoch=1
        )
        preflight = await Census(store).take(lambda _: None)
    finally:
        await store.close()

    row = next(row for row in verification.collections if row.collection == "tasks")
    assert [(one.kind.value, one.id) for one in verification.differences] == [("UNREADABLE", "(7)")]
    assert (row.source, row.target, row.compared) == (8, 7, 7)
    assert not verification.is_clean
    found = {one.code: one for one in preflight.findings}
    assert (found["unreadable"].samples, found["unreadable"].blocks) == (("(7)",), True)
    assert found["old_form"].count == 3
