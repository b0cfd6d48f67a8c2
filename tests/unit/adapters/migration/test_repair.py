"""What a repair does with each kind of difference, and what it leaves to a person."""

from collections.abc import AsyncIterator, Sequence

import pytest

from adapters.migration.repair import Repair, Repaired
from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import ApplyOutcome, ChangeSet, LaneStamp, Put
from adapters.records.criteria import AllOf, Equals, Question
from adapters.records.record import Record, is_tombstone, tombstone
from adapters.records.wrapped_store import WrappedStore
from adapters.system.identifiers import SortableIdentifiers
from tests.unit.adapters.migration.pair import Pair, facts, new_pair, next_version
from tests.unit.contracts.builders import (
    change_set,
    entry,
    entry_id,
    erasure,
    fetched,
    numbered_id,
    put,
    task,
)

OPERATOR = numbered_id(0xBB)


class _Mirroring(WrappedStore):
    """Mirrors each commit at once."""

    def __init__(self, inner: MontyRecordStore, target: MontyRecordStore) -> None:
        super().__init__(inner)
        self._target = target

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        stamp = await self._inner.commit(change_set)
        await self._target.apply([change_set])
        return stamp


class _Swallowing(WrappedStore):
    """Reports every change set as stored, and stores none."""

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        return [None for _ in change_sets]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with new_pair() as stores:
        yield stores


async def _repair(pair: Pair, applier: WrappedStore | None = None) -> Repaired:
    repair = Repair(
        pair.source,
        pair.target,
        writer=_Mirroring(pair.source, pair.target),
        applier=applier or pair.target,
        clock=pair.clock,
        identifiers=SortableIdentifiers(),
    )
    return await repair.repair((await pair.verify()).differences, by=OPERATOR)


async def _entries_of(pair: Pair, number: int) -> list[Record]:
    where = AllOf((Equals("collection", "tasks"), Equals("entityId", numbered_id(number))))
    return await pair.target.find(Question(collection="audit_logs", where=where, limit=10))


async def test_missing_and_older_records_are_applied_as_they_are(pair: Pair) -> None:
    await pair.mirror(put("tasks", task(1)))
    await pair.commit(put("tasks", next_version(task(1), title="Second")))
    await pair.commit(put("tasks", task(2)))

    done = await _repair(pair)

    assert (done.applied, done.rewritten, done.unrepaired) == (4, 0, [])  # two of them entries
    assert (await pair.verify()).is_clean
    repaired = await fetched(pair.target, "tasks", 1)
    assert repaired is not None
    assert (repaired["version"], repaired["title"]) == (2, "Second")


async def test_a_changed_record_becomes_a_new_version_with_the_source_content(pair: Pair) -> None:
    await pair.mirror(put("tasks", task(1)))
    await pair.edit("tasks", task(1, title="By hand"), over=1)

    done = await _repair(pair)

    assert (done.applied, done.rewritten) == (0, 1)
    assert (await pair.verify()).is_clean
    record = await fetched(pair.target, "tasks", 1)
    assert record is not None
    assert (record["version"], record["title"], record["updatedBy"]) == (2, "Task 1", OPERATOR)
    newest = max(await _entries_of(pair, 1), key=lambda one: one["version"])
    assert (newest["action"], newest["actorId"], newest["version"]) == ("REPAIRED", OPERATOR, 2)


async def test_a_target_that_is_ahead_is_overtaken(pair: Pair) -> None:
    await pair.mirror(put("tasks", task(1)))
    await pair.edit("tasks", task(1, version=7, title="By hand"), over=1)

    await _repair(pair)

    assert (await pair.verify()).is_clean
    record = await fetched(pair.target, "tasks", 1)
    assert record is not None
    assert (record["version"], record["title"]) == (8, "Task 1")


async def test_an_extra_record_becomes_a_tombstone_with_an_entry(pair: Pair) -> None:
    await pair.edit("tasks", task(1, version=3), over=0)

    await _repair(pair)

    assert (await pair.verify()).is_clean
    record = await fetched(pair.target, "tasks", 1)
    assert record is not None
    assert is_tombstone(record)
    assert record["version"] == 4
    (kept,) = await _entries_of(pair, 1)
    assert (kept["action"], kept["version"]) == ("REPAIRED", 4)
    assert kept["changes"]["title"] == {"before": "Task 1", "after": None}


async def test_a_record_that_the_source_has_lost_comes_back_from_the_target(pair: Pair) -> None:
    await pair.mirror(put("tasks", task(1)), put("tasks", task(2)))
    await pair.mirror(put("tasks", next_version(task(1), title="Second")))
    for number in (1, 2):
        pair.lose("tasks", numbered_id(number))

    done = await _repair(pair)

    assert (done.rewritten, done.unrepaired) == (2, [])
    assert (await pair.verify()).is_clean
    back = [await fetched(pair.source, "tasks", number) for number in (1, 2)]
    assert [(one["title"], one["version"]) for one in back if one] == [("Second", 3), ("Task 2", 2)]
    newest = max(await _entries_of(pair, 1), key=lambda one: one["version"])
    assert (newest["action"], newest["version"], newest["changes"]) == ("REPAIRED", 3, {})


async def test_a_lost_record_is_left_where_the_target_is_behind(pair: Pair) -> None:
    await pair.mirror(put("tasks", task(1)))
    await pair.commit(put("tasks", next_version(task(1), title="Second")))
    pair.lose("tasks", numbered_id(1))

    done = await _repair(pair)

    reasons = [one.reason for one in done.unrepaired if one.difference.collection == "tasks"]
    assert len(reasons) == 1
    assert "goes up to version 2, and the target only holds version 1" in reasons[0]
    held = await fetched(pair.target, "tasks", 1)
    assert held is not None
    assert held["title"] == "Task 1"


async def test_a_record_that_was_lost_with_its_history_is_left_to_a_person(pair: Pair) -> None:
    await pair.mirror(put("tasks", task(1)))
    pair.lose("tasks", numbered_id(1))
    pair.lose_history()

    done = await _repair(pair)

    assert done.rewritten == 0
    assert all("tandem recover" in one.reason for one in done.unrepaired)
    assert await fetched(pair.target, "tasks", 1) == task(1)


async def test_what_a_repair_has_removed_does_not_come_back(pair: Pair) -> None:
    await pair.edit("tasks", task(1, version=3), over=0)
    await _repair(pair)
    pair.lose("tasks", numbered_id(1))
    await pair.edit("tasks", task(1, version=9), over=4)

    await _repair(pair)

    record = await fetched(pair.target, "tasks", 1)
    assert record is not None
    assert is_tombstone(record)


async def test_what_the_source_has_purged_does_not_come_back(pair: Pair) -> None:
    await pair.mirror(put("tasks", task(1)))
    purge = erasure("tasks", 1, version=2)
    await pair.source.commit(change_set(purge, entries=[entry(purge, action="PURGED", changes={})]))
    pair.lose("tasks", numbered_id(1))

    await _repair(pair)

    record = await fetched(pair.target, "tasks", 1)
    assert record is not None
    assert is_tombstone(record)
    assert record["version"] == 3


async def test_tombstones_win_in_both_directions(pair: Pair) -> None:
    await pair.mirror(put("tasks", task(1)), put("tasks", task(2)), put("tasks", task(3)))
    await pair.commit(erasure("tasks", 1, version=2))
    await pair.mirror(erasure("tasks", 2, version=2))
    await pair.edit("tasks", task(2, version=2), over=2)
    await pair.edit("tasks", tombstone(numbered_id(3), 2), over=1)

    await _repair(pair)

    assert (await pair.verify()).is_clean
    states = [await fetched(pair.target, "tasks", number) for number in (1, 2, 3)]
    assert [is_tombstone(one or {}) for one in states] == [True, True, False]


async def test_a_repair_can_be_repeated(pair: Pair) -> None:
    await pair.mirror(put("tasks", task(1)))
    await pair.edit("tasks", task(1, title="By hand"), over=1)
    await pair.edit("tasks", task(2), over=0)
    stale = (await pair.verify()).differences
    await _repair(pair)
    before = await pair.source.scan("tasks", after=None, limit=10)

    repair = Repair(
        pair.source,
        pair.target,
        writer=_Mirroring(pair.source, pair.target),
        applier=pair.target,
        clock=pair.clock,
        identifiers=SortableIdentifiers(),
    )
    done = await repair.repair(stale, by=OPERATOR)

    assert (done.equal, done.applied, done.rewritten) == (2, 0, 0)
    assert await pair.source.scan("tasks", after=None, limit=10) == before


async def test_a_missing_entry_arrives_and_is_delivered_again_by_the_relay(pair: Pair) -> None:
    change = put("tasks", task(1))
    await pair.commit(change)
    await pair.target.apply([ChangeSet((change,))])

    done = await _repair(pair)

    id_ = entry_id("tasks", numbered_id(1), 1)
    assert done.applied == 1
    assert (await pair.verify()).is_clean
    assert (await pair.source.fetch("audit_logs", [id_]))[id_]["syncStatus"] == "PENDING"
    assert (await pair.target.fetch("audit_logs", [id_]))[id_]["syncStatus"] == "SYNCED"


async def test_changed_and_extra_entries_are_left_with_a_reason(pair: Pair) -> None:
    await pair.mirror(put("tasks", task(1)))
    altered = entry(put("tasks", task(1)), actorId=OPERATOR)
    await pair.target.commit(ChangeSet((Put("audit_logs", altered, 1),)))
    await pair.target.apply([ChangeSet((), (entry(put("tasks", task(9))),))])

    done = await _repair(pair)

    assert (done.applied, done.rewritten) == (0, 0)
    reasons = sorted(one.reason for one in done.unrepaired)
    assert "entries are never replaced" in reasons[1]
    assert "tandem recover" in reasons[0]
    assert sorted(fact[0] for fact in facts(await pair.verify())) == ["CHANGED", "EXTRA"]


async def test_what_the_target_swallows_is_not_called_repaired(pair: Pair) -> None:
    await pair.commit(put("tasks", task(1)))

    done = await _repair(pair, _Swallowing(pair.target))

    assert done.applied == 0
    assert {one.difference.collection for one in done.unrepaired} == {"tasks", "audit_logs"}
    assert "still holds what it held before" in done.unrepaired[0].reason


async def test_what_the_target_rejects_is_left_with_its_words(pair: Pair) -> None:
    await pair.edit("tasks", task(5, displayId=17), over=0)
    await pair.commit(put("tasks", task(1, displayId=17)))
    differences = [one for one in (await pair.verify()).differences if one.kind.value == "MISSING"]

    repair = Repair(
        pair.source,
        pair.target,
        writer=pair.source,
        applier=pair.target,
        clock=pair.clock,
        identifiers=SortableIdentifiers(),
    )
    done = await repair.repair(differences, by=OPERATOR)

    assert [one.reason for one in done.unrepaired] == [
        "The target rejects it: Another record holds the same value of displayId."
    ]


async def test_an_undecodable_record_of_the_source_is_left_to_a_person(pair: Pair) -> None:
    await pair.mirror(put("tasks", task(1)))
    writer = pair.source._file.writer
    writer.execute("UPDATE tasks SET doc = x'0102'")
    writer.commit()

    done = await _repair(pair)

    assert [one.reason for one in done.unrepaired] == [
        "The source cannot decode it. Restore it there from a copy."
    ]
