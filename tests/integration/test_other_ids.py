"""Documents whose ids no record can have: quarantined by a backfill, counted by a verification, named everywhere."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from adapters.migration.census import Census
from adapters.migration.quarantine import Decision
from adapters.migration.second_try import SecondTry
from adapters.migration.skipped import skip, without_skipped
from adapters.migration.verification import Verifier
from adapters.mongo.record_store import MongoRecordStore
from adapters.monty.record_store import MontyRecordStore
from adapters.records.criteria import EVERYTHING, Order, Question
from adapters.records.revisions import flaws_of
from adapters.system.clock import SystemClock
from application.ports.migration import DifferenceKind
from application.ports.schema import FlawEffect
from domain.errors import Conflict
from entrypoints.composition.schema import bring_up
from tests.servers.mongo import MongoDatabase
from tests.unit.adapters.migration.backfill_world import backfill, fill, ignore
from tests.unit.contracts.builders import fetched, numbered_id
from tests.unit.contracts.lanes import admitted

Raw = Database[dict[str, Any]]
TASKS = 20
OTHERS: dict[str, Any] = {
    "(5)": 5,
    "(7)": Int64(7),
    "(2.5)": 2.5,
    '({"$numberDecimal": "1.5"})': Decimal128("1.5"),
    '({"a": 1, "b": "x"})': {"a": 1, "b": "x"},
    "(true)": True,
    '({"$date": "2020-01-01T00:00:00Z"})': datetime(2020, 1, 1, tzinfo=UTC),
    '({"$binary": {"base64": "\\u002f\\u002f\\u002f\\u002f", "subType": "00"}})': Binary(b"\xff\xff\xff"),
}
"""Ids by the names that they get."""


@pytest.fixture
async def source(mongo_database: MongoDatabase) -> AsyncIterator[MongoRecordStore]:
    store = MongoRecordStore(mongo_database.uri, mongo_database.name)
    await store.open()
    await bring_up(store)
    await admitted(store)
    await fill(store, tasks=TASKS)
    yield store
    await store.close()


@pytest.fixture
async def target() -> AsyncIterator[MontyRecordStore]:
    store = MontyRecordStore(None)
    await store.open()
    await admitted(store)
    yield store
    await store.close()


@pytest.fixture
def raw(mongo_database: MongoDatabase, source: MongoRecordStore) -> Iterator[Raw]:
    """The database as a program sees it that writes past the validators."""
    with MongoClient[dict[str, Any]](mongo_database.uri) as client:
        database = client[mongo_database.name]
        for name in ("tasks", "labels", "audit_logs"):
            database.command("collMod", name, validator={})
        yield database


async def test_they_go_to_quarantine_with_their_bytes_and_stop_no_backfill(
    source: MongoRecordStore, target: MontyRecordStore, raw: Raw
) -> None:
    for value in OTHERS.values():
        raw.tasks.insert_one({"_id": value, "title": "From elsewhere"})
    raw.audit_logs.insert_one({"_id": 1})

    run = backfill(source, target, workers=2, ranges=2, range_records_min=5, page_max=7)
    await run.run(ignore)

    assert len(await target.scan("tasks", after=None, limit=100)) == TASKS
    kept = {(one.collection, one.record_id): one for one in await run.quarantine.all()}
    assert kept.keys() == {("audit_logs", "(1)"), *(("tasks", name) for name in OTHERS)}
    for name, value in OTHERS.items():
        data = base64.b64decode(json.loads(kept["tasks", name].raw)["bytes"]["$binary"])
        assert data == bson.encode({"_id": value, "title": "From elsewhere"})
        assert "The id is of a kind that no record has" in kept["tasks", name].reason


async def test_preflight_schema_and_verification_name_and_count_each(
    source: MongoRecordStore, target: MontyRecordStore, raw: Raw
) -> None:
    await backfill(source, target).run(ignore)
    verifier = Verifier(source, target, clock=SystemClock(), page=4)
    before = await verifier.verify(ignore, incarnation=1, epoch=1)
    assert (before.difference_count, before.coverage) == (0, 1.0)
    for value in OTHERS.values():
        raw.tasks.insert_one({"_id": value, "title": "From elsewhere"})

    preflight = await Census(source).take(ignore)
    (found,) = [one for one in preflight.findings if one.code == "unreadable"]
    assert (found.collection, found.count, found.blocks) == ("tasks", len(OTHERS), True)
    assert set(found.samples) <= OTHERS.keys()
    (flaw,) = [one for one in await flaws_of(source) if one.effect is FlawEffect.UNREADABLE]
    assert sum(f"tasks {name}" in flaw.cause for name in OTHERS) == 5
    after = await verifier.verify(ignore, incarnation=1, epoch=1)
    unreadable = {one.id for one in after.differences if one.kind is DifferenceKind.UNREADABLE}
    assert (unreadable, after.is_clean) == (set(OTHERS), False)


async def test_one_that_stays_behind_by_decision_is_listed_apart_until_it_changes(
    source: MongoRecordStore, target: MontyRecordStore, raw: Raw
) -> None:
    raw.tasks.insert_one({"_id": 5, "title": "From elsewhere"})
    run = backfill(source, target)
    await run.run(ignore)
    second_try = SecondTry(source, target)
    (kept,) = await run.quarantine.all()
    with pytest.raises(Conflict, match=r"tasks \(5\) still cannot be carried over"):
        await second_try.fix(kept.id, reason="Corrected")

    await skip(run.quarantine, source, kept.id, because="It is of another program.")
    verifier = Verifier(source, target, clock=SystemClock())
    quarantined = await run.quarantine.all()
    found = await without_skipped(
        await verifier.verify(ignore, incarnation=1, epoch=1), source, target, quarantined
    )
    assert (found.difference_count, [one.id for one in found.skipped], found.coverage) == (0, ["(5)"], 1.0)

    raw.tasks.update_one({"_id": 5}, {"$set": {"title": "Changed"}})
    found = await without_skipped(
        await verifier.verify(ignore, incarnation=1, epoch=1), source, target, quarantined
    )
    assert (found.difference_count, list(found.skipped)) == (1, [])

    raw.tasks.delete_one({"_id": 5})
    assert (await second_try.fix(kept.id, reason="Removed")).decision == Decision.FIX


async def test_they_are_in_no_answer_of_the_store(source: MongoRecordStore, raw: Raw) -> None:
    intact = raw.tasks.find_one({"_id": numbered_id(1)})
    assert intact is not None
    del intact["displayId"]
    for value in OTHERS.values():
        raw.tasks.insert_one({**intact, "_id": value})
    ids = [numbered_id(number) for number in range(1, TASKS + 1)]
    for order in (Order("id"), Order("createdAt"), Order("createdAt", descending=True)):
        found = await source.find(Question(collection="tasks", where=EVERYTHING, order=order, limit=TASKS))
        assert (order, sorted(one["id"] for one in found)) == (order, ids)
    assert [one["id"] for one in await source.scan("tasks", after=None, limit=100)] == ids


async def test_a_document_under_an_object_id_of_others_is_carried_over_as_well(
    source: MongoRecordStore, target: MontyRecordStore, raw: Raw
) -> None:
    intact = raw.tasks.find_one({"_id": numbered_id(1)})
    assert intact is not None
    del intact["displayId"], intact["externalKey"]
    raw.tasks.insert_one({**intact, "_id": ObjectId(numbered_id(77))})
    raw.tasks.insert_one({"_id": ObjectId(numbered_id(78)), "version": "seven"})

    run = backfill(source, target)
    await run.run(ignore)

    carried = await fetched(target, "tasks", 77)
    assert carried is not None
    assert carried["title"] == intact["title"]
    assert [one.record_id for one in await run.quarantine.all()] == [numbered_id(78)]
