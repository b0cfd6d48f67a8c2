"""What a verification finds, and what it does not take for a difference."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.migration.comparing import COMPARED
from adapters.migration.evidence import keep_evidence, load_evidence, still_holds
from adapters.migration.in_flight import Patience
from adapters.migration.recheck import Point
from adapters.monty.record_store import MontyRecordStore
from adapters.ownership.control import Ownership, Peer
from adapters.records.change_set import ChangeSet, Put
from application.ports.migration import DIFFERENCES_MAX
from tests.unit.adapters.migration.pair import Pair, facts, new_pair, next_version
from tests.unit.builders import NOON
from tests.unit.contracts.builders import (
    change_set,
    control,
    entry,
    entry_id,
    erasure,
    label,
    numbered_id,
    put,
    task,
    timeline,
)

NOWHERE = Point(at=NOON, applied={}, foreign={})


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with new_pair() as stores:
        yield stores


class _Miscounting(MontyRecordStore):
    """A store whose index leaves out a record, as a damaged one does."""

    @classmethod
    async def with_records_of(cls, other: MontyRecordStore) -> "_Miscounting":
        store = cls(None)
        await store.open()
        for collection in COMPARED:
            puts = [Put(collection, one, 0) for one in await other.scan(collection, after=None, limit=100)]
            await store.commit(ChangeSet(tuple(puts)))
        await other.close()
        return store

    async def raw_count(self, collection: str, *, after: str | None = None, upto: str | None = None) -> int:
        return await super().raw_count(collection, after=after, upto=upto) + 1


async def _fill(pair: Pair, count: int = 10) -> None:
    for number in range(1, count + 1):
        await pair.mirror(put("tasks", task(number)))
    await pair.mirror(put("labels", label(1)), put("timelines", timeline(2)))


async def test_equal_stores_are_clean_with_everything_counted(pair: Pair) -> None:
    await _fill(pair)
    await pair.mirror(erasure("tasks", 10, version=2))

    verification = await pair.verify()

    rows = {row.collection: row for row in verification.collections}
    assert verification.is_clean
    assert set(rows) == set(COMPARED)
    assert (rows["tasks"].source, rows["tasks"].target, rows["tasks"].compared) == (10, 10, 10)
    assert rows["audit_logs"].compared == 13
    assert pair.progress[-1].done == pair.progress[-1].total == 25


async def test_each_kind_of_difference_is_named_with_its_fields(pair: Pair) -> None:
    await _fill(pair)
    await pair.commit(put("tasks", task(20)))
    await pair.edit("tasks", task(30), over=0)
    await pair.edit("tasks", task(3, title="By hand"), over=1)
    await pair.edit("tasks", task(4, version=9), over=1)
    await pair.commit(put("tasks", next_version(task(5), title="Later")))

    verification = await pair.verify()

    found = facts(verification)
    assert found[:5] == [
        ("CHANGED", "3", ("title",)),
        ("AHEAD", "4", ("version",)),
        ("BEHIND", "5", ("title", "version")),
        ("MISSING", "14", ()),
        ("EXTRA", "1e", ()),
    ]
    assert sorted(fact[0] for fact in found[5:]) == ["MISSING", "MISSING"]  # the entries
    assert verification.difference_count == 7
    assert not verification.is_clean


async def test_swallowed_tombstones_and_changed_entries_are_differences(pair: Pair) -> None:
    await _fill(pair, 4)
    await pair.commit(erasure("tasks", 2, version=2))
    altered = entry(put("tasks", task(3)), actorId=numbered_id(99), syncStatus="SYNCED")
    await pair.target.commit(ChangeSet((Put("audit_logs", altered, 1),)))

    found = (await pair.verify()).differences

    assert ("BEHIND", numbered_id(2)) in {(one.kind.value, one.id) for one in found}
    changed = [one for one in found if one.kind.value == "CHANGED"]
    assert [(one.collection, one.id, one.fields) for one in changed] == [
        ("audit_logs", entry_id("tasks", numbered_id(3), 1), ("actorId",))
    ]


async def test_sync_fields_and_control_records_are_not_compared(pair: Pair) -> None:
    change = put("tasks", task(1))
    await pair.source.commit(
        change_set(change, entries=[entry(change, syncStatus="PENDING", syncAttempts=3)])
    )
    await pair.target.apply([change_set(change)])
    await pair.source.commit(ChangeSet((put("control", control("lease", {"a": 1})),)))

    assert (await pair.verify()).is_clean


async def test_null_and_absent_fields_and_kinds_of_numbers_are_equal_but_not_truth_values(pair: Pair) -> None:
    numbers = {"a": 1, "b": 0.0, "c": [1, {"d": 2.0}]}
    await pair.mirror(put("tasks", task(1, extra=numbers)), put("tasks", task(2, flag=True)))
    record = {name: value for name, value in task(1).items() if value is not None}
    await pair.edit("tasks", {**record, "extra": {"c": [1.0, {"d": 2}], "b": -0.0, "a": 1.0}}, over=1)
    await pair.edit("tasks", task(2, flag=1), over=1)

    assert facts(await pair.verify()) == [("CHANGED", "2", ("flag",))]


async def test_a_record_on_its_way_is_read_again_until_it_arrives(pair: Pair) -> None:
    await _fill(pair)
    changes = [
        await pair.commit(put("tasks", task(40)), is_marked=False),
        await pair.commit(put("tasks", next_version(task(2), title="New")), is_marked=False),
    ]

    async def deliver() -> None:
        await asyncio.sleep(0.1)
        await pair.target.apply(changes)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(deliver())
        verification = await pair.verify(patience=Patience())

    assert verification.is_clean


async def test_what_never_arrives_is_a_difference_after_a_bounded_wait(pair: Pair) -> None:
    await pair.commit(put("tasks", task(1)), is_marked=False)

    async with asyncio.timeout(2):
        verification = await pair.verify()

    assert next(fact[:2] for fact in facts(verification)) == ("MISSING", "1")


async def test_writes_meanwhile_are_no_differences(pair: Pair) -> None:
    await _fill(pair, 60)
    is_done = False

    async def write() -> None:
        number = 1_000
        versions = dict.fromkeys(range(1, 6), 1)
        while not is_done:
            number += 1
            hot = number % 5 + 1
            record = task(hot, version=versions[hot] + 1, title=f"Round {number}")
            versions[hot] += 1
            changes = [
                await pair.commit(put("tasks", task(number)), is_marked=False),
                await pair.commit(put("tasks", record), is_marked=False),
            ]
            await asyncio.sleep(0.002)
            await pair.target.apply(changes)
            await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        found = [await pair.verify(patience=Patience()) for _ in range(5)]
        is_done = True

    assert [facts(one) for one in found] == [[]] * 5
    assert all(one.is_clean for one in found)


async def test_an_unreadable_record_lowers_the_coverage(pair: Pair) -> None:
    await _fill(pair, 4)
    writer = pair.target._file.writer
    writer.execute("UPDATE tasks SET doc = x'0102' WHERE id = ?", (numbered_id(3),))
    writer.commit()

    verification = await pair.verify()

    row = next(row for row in verification.collections if row.collection == "tasks")
    assert facts(verification) == [("UNREADABLE", "3", ())]
    assert row.compared == 3
    assert row.coverage < 1
    assert not verification.is_clean


async def test_records_that_the_walk_does_not_meet_lower_the_coverage(pair: Pair) -> None:
    await _fill(pair, 4)
    pair.target = await _Miscounting.with_records_of(pair.target)

    assert (await pair.verify()).coverage < 1


async def test_only_so_many_differences_are_kept_but_all_are_counted(pair: Pair) -> None:
    numbers = range(1, DIFFERENCES_MAX + 51)
    await pair.source.commit(ChangeSet(tuple(put("labels", label(number)) for number in numbers)))

    verification = await pair.verify(page=400)

    assert verification.difference_count == DIFFERENCES_MAX + 50
    assert len(verification.differences) == DIFFERENCES_MAX


async def test_evidence_is_kept_and_holds_only_for_its_incarnation_and_owner(pair: Pair) -> None:
    await _fill(pair, 3)
    await pair.commit(put("tasks", task(9)))
    assert await load_evidence(pair.source) is None

    await keep_evidence(pair.source, await pair.verify(), NOWHERE)
    verification = await pair.verify()
    await keep_evidence(pair.source, verification, NOWHERE)

    loaded = await load_evidence(pair.source)
    assert loaded == verification
    owner = Ownership.of_owner("source")
    assert owner.epoch == 1
    with_peer = [
        replace(owner, peer=Peer("target", incarnation), since=since, epoch=epoch)
        for incarnation, since, epoch in ((1, 1, 1), (1, 1, 3), (2, 1, 1), (1, 2, 2))
    ]
    # A move that was undone leaves the owner as it was, so the third epoch changes nothing.
    assert [still_holds(loaded, one) for one in (owner, *with_peer)] == [False, True, True, False, False]
