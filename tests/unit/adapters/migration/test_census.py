"""What a census says about the records of a source."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import bson
import pytest

from adapters.migration.census import Census
from adapters.migration.guards import processes_of
from adapters.ownership.control import Ownership, write
from adapters.records.change_set import ChangeSet, Put
from adapters.records.lanes import Admission, ProcessIdentity
from application.ports.migration import Finding, Preflight
from tests.unit.adapters.migration.pair import Pair, new_pair
from tests.unit.contracts.builders import OWNER, label, numbered_id, project, put, task, user


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with new_pair() as stores:
        yield stores


async def _take(pair: Pair) -> Preflight:
    return await Census(pair.source).take(pair.progress.append)


def _store_raw(pair: Pair, collection: str, *documents: Mapping[str, Any]) -> None:
    """Puts documents into the source as another program left them."""
    writer = pair.source._file.writer
    for document in documents:
        row = (str(document["_id"]), 1, bson.encode(document))
        writer.execute(f"INSERT INTO {collection}(id, version, gone, doc) VALUES (?, ?, 0, ?)", row)
    writer.commit()


def _document(number: int, **fields: Any) -> dict[str, Any]:
    record = task(number, ownerId=OWNER, **fields)
    return {"_id": record.pop("id"), **record}


def _by_code(preflight: Preflight) -> dict[str, Finding]:
    return {one.code: one for one in preflight.findings}


async def test_a_sound_source_is_clear(pair: Pair) -> None:
    owner = {**user(1), "id": OWNER}
    await pair.mirror(
        put("users", owner), put("projects", project(2)), put("tasks", task(3, projectId=numbered_id(2)))
    )

    preflight = await _take(pair)

    assert preflight.findings == ()
    assert preflight.is_clear
    assert preflight.records["tasks"] == 1
    assert preflight.records["audit_logs"] == 3
    assert preflight.estimate_seconds == (1, 1)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"title": "a\0b"}, "nul_character"),
        ({"links": [{"a": "\0"}]}, "nul_character"),
        ({"points": float("nan")}, "number_out_of_range"),
        ({"points": [float("inf")]}, "number_out_of_range"),
        ({"title": 5}, "does_not_fit"),
        ({"status": "LATER"}, "does_not_fit"),
        ({"title": None}, "does_not_fit"),
        ({"labelIds": "x"}, "does_not_fit"),
        ({"points": bson.Decimal128("1.5")}, "foreign_type"),
        ({"points": {"deep": [bson.Binary(b"1", 5)]}}, "foreign_type"),
        ({"points": bson.Regex("a")}, "foreign_type"),
        ({"points": {"at": datetime(2026, 1, 1)}}, "nested_instant"),  # noqa: DTZ001 - as BSON has it
        ({"dueAt": bson.datetime_ms.DatetimeMS(2**60)}, "instant_out_of_range"),
        ({"externalKey": "x" * 3_000}, "too_long_for_index"),
        ({"externalKey": "é" * 1_500}, "too_long_for_index"),
    ],
)
async def test_values_that_the_target_rejects_or_changes_block(
    pair: Pair, fields: dict[str, Any], code: str
) -> None:
    _store_raw(pair, "tasks", _document(7, **fields), _document(8))

    preflight = await _take(pair)

    finding = _by_code(preflight)[code]
    assert (finding.collection, finding.count, finding.samples) == ("tasks", 1, (numbered_id(7),))
    assert finding.blocks
    assert not preflight.is_clear
    assert finding.consequence
    assert finding.remedy


async def test_invalid_text_and_damaged_documents_block(pair: Pair) -> None:
    _store_raw(pair, "tasks", _document(1), _document(2), _document(3))
    writer = pair.source._file.writer
    invalid = bson.encode(_document(1)).replace(b"Task 1", b"Task \xff")
    writer.execute("UPDATE tasks SET doc = ? WHERE id = ?", (invalid, numbered_id(1)))
    writer.execute("UPDATE tasks SET doc = x'00' WHERE id = ?", (numbered_id(2),))
    writer.commit()

    found = _by_code(await _take(pair))

    assert found["invalid_text"].samples == (numbered_id(1),)
    assert found["unreadable"].samples == (numbered_id(2),)
    assert found["unreadable"].blocks


async def test_ids_of_other_kinds_block(pair: Pair) -> None:
    _store_raw(pair, "tasks", {**_document(1), "_id": "task-1"}, {**_document(2), "_id": "A" * 24})

    finding = _by_code(await _take(pair))["foreign_id"]

    assert (finding.count, set(finding.samples)) == (2, {"task-1", "A" * 24})


async def test_duplicates_block_unless_the_trash_or_null_excuses_them(pair: Pair) -> None:
    labels = [label(number, name=name) for number, name in enumerate(("Garden", "Garden", "Wall", "Wall"), 1)]
    labels[3]["isDeleted"] = True
    _store_raw(pair, "labels", *({"_id": one.pop("id"), **one} for one in labels))
    _store_raw(
        pair, "tasks", *(_document(number, displayId=9 if number < 4 else None) for number in range(1, 7))
    )

    found = {one.collection: one for one in (await _take(pair)).findings if one.code == "duplicate_value"}

    assert (found["labels"].count, found["labels"].samples) == (1, (numbered_id(2),))
    assert (found["tasks"].count, found["tasks"].samples) == (2, (numbered_id(2), numbered_id(3)))
    assert "displayId" in found["tasks"].consequence


async def test_orphans_and_records_without_entries_do_not_block(pair: Pair) -> None:
    _store_raw(
        pair,
        "tasks",
        *(
            _document(number, parentId=numbered_id(number + 1), labelIds=[numbered_id(77)])
            for number in range(1, 9)
        ),
    )

    preflight = await _take(pair)

    orphans = [one for one in preflight.findings if one.code == "orphan"]
    named = {one.consequence.partition("(in ")[2].partition(")")[0]: one.count for one in orphans}
    assert (named["labels"], named["tasks"]) == (1, 1)
    without = _by_code(preflight)["no_entries"]
    assert (without.count, len(without.samples), without.blocks) == (8, 5, False)
    assert preflight.is_clear


async def test_old_documents_and_unknown_fields_are_told_and_do_not_block(pair: Pair) -> None:
    old = {
        "_id": bson.ObjectId(numbered_id(5)),
        "title": "Old",
        "priority": "HIGH",
        "createdBy": OWNER,
        "points": 3,
    }
    _store_raw(pair, "tasks", old)

    preflight = await _take(pair)

    found = _by_code(preflight)
    assert not found["old_form"].blocks
    assert not found["unknown_fields"].blocks
    assert preflight.is_clear


async def test_a_process_that_is_not_seen_at_the_target_blocks(pair: Pair) -> None:
    with_mirror = ProcessIdentity("one", "host", "boot", 11)
    without = ProcessIdentity("two", "host", "boot", 12)
    for store, processes in ((pair.target, [with_mirror]), (pair.source, [with_mirror, without])):
        held = await write(store, Ownership.of_owner("one"), over=None)
        for process in processes:
            store.admit(Admission(held.token, 1, "opening", process))
            await store.register()

    preflight = await Census(pair.source, lanes=[pair.source, pair.target]).take(pair.progress.append)

    finding = _by_code(preflight)["process_without_mirror"]
    assert (finding.samples, finding.blocks) == (("process 12 on host",), True)


async def test_a_process_whose_last_beat_lies_in_the_future_blocks_nothing(pair: Pair) -> None:
    held = await write(pair.source, Ownership.of_owner("one"), over=None)
    pair.source.admit(Admission(held.token, 1, "opening", ProcessIdentity("ahead", "host", "boot", 11)))
    await pair.source.register()
    census = Census(pair.source, lanes=[pair.source, pair.target])
    assert "process_without_mirror" in _by_code(await census.take(pair.progress.append))
    pair.source._file.writer.execute("UPDATE lanes SET beaten_at = beaten_at + 172800")

    positions = await pair.source.positions()
    preflight = await census.take(pair.progress.append)

    assert [one.is_alive for one in processes_of(positions, await pair.target.positions())] == [False]
    assert "process_without_mirror" not in _by_code(preflight)


async def test_a_census_changes_nothing(pair: Pair) -> None:
    await pair.source.commit(ChangeSet((Put("tasks", task(1), 0),)))
    _store_raw(pair, "tasks", _document(7, title="a\0b"))
    before = await pair.source.raw_scan("tasks", after=None, limit=10)

    await _take(pair)

    assert await pair.source.raw_scan("tasks", after=None, limit=10) == before
