"""A record that the operator skipped is a known difference as long as it is the one that was skipped."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from adapters.migration.carried import carried_puts
from adapters.migration.evidence import keep_evidence, load_evidence
from adapters.migration.quarantine import Quarantine, quarantine_id, raw_text
from adapters.migration.recheck import Point
from adapters.migration.skipped import skip, without_skipped
from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import Record
from application.ports.migration import Verification
from tests.unit.adapters.migration.pair import Pair, new_pair, next_version
from tests.unit.builders import NOON
from tests.unit.contracts.builders import numbered_id, put, task


class _Target(MontyRecordStore):
    """A store with another name than the source."""

    name = "postgres"


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with new_pair() as stores:
        await stores.target.close()
        stores.target = _Target(None)
        await stores.target.open()
        yield stores


async def left_behind(pair: Pair, record: Record) -> None:
    """A record without entries, which only the source holds, and which the operator skipped."""
    await pair.source.commit(ChangeSet((Put("tasks", record, 0),)))
    quarantine = Quarantine(pair.source)
    await quarantine.add("tasks", record["id"], reason="It does not fit.", raw=raw_text(record))
    await skip(quarantine, pair.source, quarantine_id("tasks", record["id"]), because="A draft.")


async def verified(pair: Pair) -> Verification:
    found = await pair.verify()
    return await without_skipped(found, pair.source, pair.target, await Quarantine(pair.source).all())


async def test_a_skipped_record_is_listed_with_its_reason_and_leaves_the_verification_clean(
    pair: Pair,
) -> None:
    await pair.mirror(put("tasks", task(1)))
    await left_behind(pair, task(7))
    found = await verified(pair)
    assert [(one.collection, one.id, one.reason) for one in found.skipped] == [
        ("tasks", numbered_id(7), "A draft.")
    ]
    assert (found.is_clean, found.difference_count, found.differences) == (True, 0, ())
    row = next(one for one in found.collections if one.collection == "tasks")
    assert (row.source, row.target, row.compared, row.differences) == (2, 1, 2, 0)
    await keep_evidence(pair.source, found, Point(at=NOON, applied={}, foreign={}))
    assert await load_evidence(pair.source) == found


async def test_another_version_of_a_skipped_record_is_a_difference_until_it_is_skipped_again(
    pair: Pair,
) -> None:
    await left_behind(pair, task(7))
    changed = next_version(task(7), title="Newer")
    await pair.source.commit(ChangeSet((Put("tasks", changed, 1),)))
    found = await verified(pair)
    assert (found.is_clean, found.difference_count, found.skipped) == (False, 1, ())
    id = quarantine_id("tasks", numbered_id(7))
    await skip(Quarantine(pair.source), pair.source, id, because="Still a draft.")
    assert (await verified(pair)).is_clean


async def test_a_new_content_that_is_rejected_waits_for_a_decision_again(pair: Pair) -> None:
    await left_behind(pair, task(7))
    quarantine = Quarantine(pair.source)
    await quarantine.add("tasks", numbered_id(7), reason="No.", raw=raw_text(task(7)))
    assert [one.decision for one in await quarantine.all()] == ["skip"]
    await quarantine.add("tasks", numbered_id(7), reason="No.", raw=raw_text(task(7, title="Newer")))
    assert [one.decision for one in await quarantine.all()] == [None]


async def test_a_record_that_the_target_holds_in_another_version_is_not_left_behind(pair: Pair) -> None:
    await left_behind(pair, next_version(task(7)))
    await pair.edit("tasks", task(7), over=0)
    found = await verified(pair)
    assert (found.is_clean, found.difference_count, found.skipped) == (False, 1, ())


async def test_a_record_that_nobody_decided_about_is_a_difference(pair: Pair) -> None:
    await pair.source.commit(ChangeSet((put("tasks", task(7)),)))
    await Quarantine(pair.source).add("tasks", numbered_id(7), reason="No.", raw="{}")
    assert (await verified(pair)).difference_count == 1


async def test_a_skipped_record_that_cannot_be_decoded_is_known_as_long_as_its_bytes_stay(
    tmp_path: Path,
) -> None:
    target = _Target(None)
    await target.open()
    pair = Pair(MontyRecordStore(tmp_path), target)
    await pair.source.open()
    await left_behind(pair, task(7))
    await _cut_short(pair, tmp_path, 9)
    assert (await verified(pair)).difference_count == 1
    id = quarantine_id("tasks", numbered_id(7))
    await skip(Quarantine(pair.source), pair.source, id, because="Nobody can read it.")
    found = await verified(pair)
    assert (found.is_clean, found.coverage, len(found.skipped)) == (True, 1.0, 1)
    await _cut_short(pair, tmp_path, 3)
    assert not (await verified(pair)).is_clean
    await pair.source.close()
    await target.close()


async def test_what_was_skipped_stays_known_after_the_ownership_has_moved(pair: Pair) -> None:
    await left_behind(pair, task(7))
    puts = await carried_puts(pair.source, pair.target)
    await pair.target.commit(ChangeSet(tuple(puts)))
    turned = Pair(pair.target, pair.source, clock=pair.clock)
    found = await verified(turned)
    assert (found.is_clean, len(found.skipped)) == (True, 1)


async def _cut_short(pair: Pair, directory: Path, bytes_: int) -> None:
    """Removes the end of the document of task 7."""
    await pair.source.close()
    with closing(sqlite3.connect(directory / "tandem.sqlite")) as file, file:
        ((document,),) = file.execute("SELECT doc FROM tasks WHERE id = ?", [numbered_id(7)]).fetchall()
        file.execute("UPDATE tasks SET doc = ? WHERE id = ?", [document[:-bytes_], numbered_id(7)])
    await pair.source.open()
