"""Writers and readers at the same time, and values that belong to their owner alone."""

import asyncio
import copy
import random
from dataclasses import replace
from typing import Any

import pytest

from adapters.records.change_set import ApplyOutcome, Blocked, ChangeSet, ReadCheck
from adapters.records.criteria import Question
from adapters.records.record import VERSION, Record
from adapters.records.record_store import RecordStore
from domain.errors import AlreadyExists, Conflict, VersionConflict
from tests.unit.contracts.builders import (
    arrived,
    change_set,
    commit_all,
    entry,
    everything,
    fetched,
    found_numbers,
    label,
    numbered_id,
    project,
    put,
    same,
    task,
)

WRITERS = 20
APPLIES_MAX = 10


async def _attempt(store: RecordStore, changes: ChangeSet) -> Conflict | None:
    try:
        await store.commit(changes)
    except Conflict as refusal:
        return refusal
    return None


async def _applied(store: RecordStore, one: ChangeSet) -> ApplyOutcome:
    """The outcome once no other writer holds the record: a store may report that, and a mirror tries again."""
    outcome: ApplyOutcome = None
    for _ in range(APPLIES_MAX):
        (outcome,) = await store.apply([one])
        if not isinstance(outcome, Blocked):
            break
    return outcome


class ConcurrencyContract:
    """What is promised to those who come at once."""

    @pytest.mark.parametrize("version", [1, 2], ids=["create", "update"])
    async def test_exactly_one_of_many_writers_wins(self, store: RecordStore, version: int) -> None:
        if version == 2:
            await commit_all(store, "tasks", task(1))
        rivals = [_rival(number, version) for number in range(WRITERS)]
        outcomes = await asyncio.gather(*(_attempt(store, rival) for rival in rivals))
        winners = [rival for rival, outcome in zip(rivals, outcomes, strict=True) if outcome is None]
        assert len(winners) == 1
        losses = [outcome for outcome in outcomes if outcome is not None]
        assert {type(loss) for loss in losses} <= {VersionConflict, AlreadyExists}
        assert {loss.current_version for loss in losses if isinstance(loss, VersionConflict)} <= {version}
        assert same(await fetched(store, "tasks", 1), winners[0].puts[0].record)
        entries = await store.scan("audit_logs", after=None, limit=99)
        assert [one["id"] for one in entries if one[VERSION] == version] == list(winners[0].entry_ids)

    async def test_exactly_one_of_many_takes_a_unique_value(self, store: RecordStore) -> None:
        rivals = [change_set(put("labels", label(number, name="bug"))) for number in range(WRITERS)]
        outcomes = await asyncio.gather(*(_attempt(store, rival) for rival in rivals))
        assert [type(outcome) for outcome in outcomes].count(AlreadyExists) == WRITERS - 1
        assert await found_numbers(store, "labels") == [outcomes.index(None)]
        assert len(await store.scan("audit_logs", after=None, limit=99)) == 1

    async def test_writers_of_different_records_all_succeed(self, store: RecordStore) -> None:
        changes = [change_set(put("tasks", task(number))) for number in range(WRITERS)]
        assert await asyncio.gather(*(_attempt(store, one) for one in changes)) == [None] * WRITERS
        assert await found_numbers(store, "tasks") == list(range(WRITERS))
        assert len(await store.scan("audit_logs", after=None, limit=99)) == WRITERS

    async def test_crossing_change_sets_never_mix(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1), task(2))
        forwards = [_pair(2, writer, (1, 2)) for writer in range(6)]
        backwards = [_pair(2, writer, (2, 1)) for writer in range(6, 12)]
        outcomes = await asyncio.gather(*(_attempt(store, one) for one in (*forwards, *backwards)))
        assert outcomes.count(None) == 1
        titles = {(await fetched(store, "tasks", number) or {})["title"] for number in (1, 2)}
        assert titles == {f"Writer {outcomes.index(None)}"}

    async def test_nothing_that_relies_on_a_record_appears_after_its_change(self, store: RecordStore) -> None:
        """Both may succeed, but then the guarded change set was first, and whoever changed the record finds it."""
        for round_ in range(5):
            name, first = f"Project {round_}", round_ * 100
            await commit_all(store, "projects", project(round_, name=name))
            check = ReadCheck("projects", numbered_id(round_), 1)
            joining = [
                replace(change_set(put("tasks", task(first + number))), read_checks=(check,))
                for number in range(WRITERS)
            ]
            closing = change_set(put("projects", project(round_, version=2, name=name)))

            async def close(closing: ChangeSet = closing, first: int = first) -> set[str]:
                for _ in range(first // 100):
                    await asyncio.sleep(0)
                await store.commit(closing)
                return set(await store.fetch("tasks", [numbered_id(first + n) for n in range(WRITERS)]))

            outcomes, found = await asyncio.gather(
                asyncio.gather(*(_attempt(store, one) for one in joining)), close()
            )
            joined = {
                one.puts[0].record_id for one, refusal in zip(joining, outcomes, strict=True) if not refusal
            }
            assert joined == found
            losses = [refusal for refusal in outcomes if refusal is not None]
            assert all(
                isinstance(loss, VersionConflict) and loss.concerns("projects", numbered_id(round_))
                for loss in losses
            )

    async def test_many_that_rely_on_one_record_all_get_through(self, store: RecordStore) -> None:
        await commit_all(store, "projects", project(1))
        check = ReadCheck("projects", numbered_id(1), 1)
        joining = [
            replace(change_set(put("tasks", task(number))), read_checks=(check,))
            for number in range(4 * WRITERS)
        ]

        outcomes = await asyncio.gather(*(_attempt(store, one) for one in joining))

        assert outcomes == [None] * len(joining)
        assert await found_numbers(store, "tasks") == list(range(4 * WRITERS))

    async def test_a_reader_never_sees_half_a_change_set(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1), task(2))
        done = asyncio.Event()
        seen: list[tuple[int, int]] = []

        async def read() -> None:
            while not done.is_set():
                both = await store.fetch("tasks", [numbered_id(1), numbered_id(2)])
                seen.append((both[numbered_id(1)][VERSION], both[numbered_id(2)][VERSION]))
                await asyncio.sleep(0)

        readers = [asyncio.create_task(read()) for _ in range(2)]
        try:
            for version in range(2, 12):
                await store.commit(_pair(version, 0, (1, 2)))
                await asyncio.sleep(0)
        finally:
            done.set()
            await asyncio.gather(*readers)
        assert seen
        assert [pair for pair in seen if pair[0] != pair[1]] == []

    async def test_closing_finishes_what_runs(self, store: RecordStore) -> None:
        running = [
            asyncio.create_task(store.commit(change_set(put("tasks", task(number))))) for number in range(3)
        ]
        await asyncio.sleep(0)
        await store.close()
        assert await asyncio.gather(*running) == [None] * 3

    async def test_racing_mirrors_end_at_the_highest_version(self, store: RecordStore) -> None:
        shuffle = random.Random(7)
        versions = [
            put("tasks", task(1, version=version, title=f"V{version}")) for version in range(1, WRITERS + 1)
        ]
        arriving = [change_set(one) for one in versions]
        shuffle.shuffle(arriving)
        assert arrived(await asyncio.gather(*(_applied(store, one) for one in arriving)))
        assert same(await fetched(store, "tasks", 1), versions[-1].record)
        assert len(await store.scan("audit_logs", after=None, limit=99)) == WRITERS

    async def test_racing_batches_of_the_same_mirror_agree(self, store: RecordStore) -> None:
        histories = [change_set(put("tasks", task(n, version=v))) for n in (1, 2, 3) for v in (1, 2, 3)]
        orders = [histories, histories[::-1], histories[4:] + histories[:4]]
        outcomes = await asyncio.gather(*(store.apply(order) for order in orders))
        assert all(map(arrived, outcomes))
        stored = await everything(store, "tasks", "audit_logs")
        assert [record[VERSION] for record in stored["tasks"]] == [3, 3, 3]
        assert len(stored["audit_logs"]) == 9


class OwnershipContract:
    """Nothing is shared between the store and those who call it."""

    async def test_what_was_put_may_change_afterwards(self, store: RecordStore) -> None:
        record = task(1, labelIds=["a"], extra={"list": [1]})
        changes = change_set(put("tasks", record))
        await store.commit(changes)
        await store.apply([change_set(put("labels", given := label(2, extra={"list": [1]})))])
        _spoil(record)
        _spoil(given)
        changes.entries[0]["changes"]["title"]["after"] = "spoiled"
        assert same(await fetched(store, "tasks", 1), task(1, labelIds=["a"], extra={"list": [1]}))
        assert same(await fetched(store, "labels", 2), label(2, extra={"list": [1]}))
        stored = await store.fetch("audit_logs", changes.entry_ids)
        assert stored[changes.entry_ids[0]]["changes"] == {"title": {"before": None, "after": "Task"}}

    async def test_what_was_read_may_change_afterwards(self, store: RecordStore) -> None:
        kept = task(1, labelIds=["a"], extra={"list": [1]})
        await commit_all(store, "tasks", kept)
        _spoil((await store.fetch("tasks", [numbered_id(1)]))[numbered_id(1)])
        _spoil((await store.find(Question(collection="tasks", limit=1)))[0])
        _spoil((await store.scan("tasks", after=None, limit=1))[0])
        assert same(await fetched(store, "tasks", 1), kept)
        assert same(await store.find(Question(collection="tasks", limit=1)), [kept])

    async def test_what_is_given_stays_as_it_was(self, store: RecordStore) -> None:
        change = put("tasks", task(1, extra={"a.b": [1], "$c": {}}))
        changes = change_set(change, entries=[entry(change)])
        before: Any = copy.deepcopy(changes)
        await store.commit(changes)
        await store.apply([changes])
        assert changes == before


def _rival(number: int, version: int) -> ChangeSet:
    change = put("tasks", task(1, version=version, title=f"Writer {number}"))
    return change_set(change, entries=[entry(change, id=numbered_id(0xE000 + number))])


def _pair(version: int, writer: int, numbers: tuple[int, int]) -> ChangeSet:
    puts = [put("tasks", task(number, version=version, title=f"Writer {writer}")) for number in numbers]
    return change_set(
        *puts,
        entries=[
            entry(one, id=numbered_id(0xE000 + version * 1_000 + writer * 10 + index))
            for index, one in enumerate(puts)
        ],
    )


def _spoil(record: Record) -> None:
    record["version"] = 99
    record["extra"]["list"].append("spoiled")
    record["extra"]["new"] = "spoiled"
    record["isDeleted"] = True
