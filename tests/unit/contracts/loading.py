"""What every store promises about pages: a bulk load ends where `apply` ends. Tests supply the fixture `store`."""

import random
from typing import Any, Protocol

import pytest

from adapters.records.change_set import Put
from adapters.records.isolation import apply_each
from adapters.records.lanes import LanedStore, LaneLost
from adapters.records.loading import LOAD_MAX, BulkLoader, carrier
from adapters.records.record import ID, VERSION, Record, tombstone
from adapters.records.specs import AUDIT_LOGS, SYNC_FIELDS
from domain.errors import VersionConflict
from tests.unit.contracts.builders import (
    commit_all,
    control,
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
    timeline,
    user,
)
from tests.unit.contracts.lanes import FOREIGN, admitted
from tests.unit.contracts.values import INSTANTS, TEXTS

SEEDS = range(4)
KINDS = {"tasks": task, "labels": label, "projects": project, "users": user, "timelines": timeline}


class LoadableStore(LanedStore, BulkLoader, Protocol):
    """A store with both ways to take records."""


def at(version: int, after: str = "") -> Put:
    """A checkpoint of a range, in place of the one before."""
    return Put("control", control("backfill:tasks:0", {"after": after}, version=version), version - 1)


def drawn(seed: int) -> tuple[str, list[Record], list[Record]]:
    """A collection, what a store holds of it, and a page: newer, equal and older versions, tombstones, unknown fields,
    and several versions of one record, in any order.
    """
    dice = random.Random(seed)
    collection = list(KINDS)[seed % len(KINDS)]
    kind = KINDS[collection]

    def one(number: int) -> Record:
        version = dice.randint(1, 5)
        if dice.random() < 0.2:
            return tombstone(numbered_id(number), version)
        extra: dict[str, Any] = {"kept": [1, {"deep": None}]} if dice.random() < 0.3 else {}
        return kind(number, version=version, **extra)

    held = [one(number) for number in range(1, 13)]
    page = [one(dice.randint(1, 25)) for _ in range(40)]
    return collection, held, page


def contents(records: dict[str, list[Record]]) -> dict[str, list[Record]]:
    """Records without what describes a store's own copy, and without nulls."""
    return {
        collection: [
            {name: value for name, value in each.items() if value is not None and name not in SYNC_FIELDS}
            for each in some
        ]
        for collection, some in records.items()
    }


class LoadContract:
    """Bulk loading."""

    @pytest.mark.parametrize("seed", SEEDS)
    async def test_a_load_and_an_apply_end_in_the_same_state(self, store: LoadableStore, seed: int) -> None:
        collection, held, page = drawn(seed)
        await store.apply([carrier(collection, record) for record in held])
        expected: dict[str, Record] = {}
        for record in [*held, *page]:
            known = expected.get(record[ID])
            if known is None or known[VERSION] < record[VERSION]:
                expected[record[ID]] = record
        loaded = await store.load(collection, page, checkpoint=None)
        by_load = await everything(store, collection)
        outcomes = await apply_each(store.apply, [carrier(collection, record) for record in page])
        assert len(outcomes) == len(page)
        assert await everything(store, collection) == by_load
        in_order = [expected[record_id] for record_id in sorted(expected)]
        assert same(contents(by_load), contents({collection: in_order}))
        changed = {one[ID]: one[VERSION] for one in held}
        assert loaded.written == sum(changed.get(one[ID]) != one[VERSION] for one in in_order)
        assert not loaded.rejected

    async def test_entries_arrive_once_and_delivered_whatever_their_marks_were(
        self, store: LoadableStore
    ) -> None:
        changes = [put("tasks", task(number)) for number in range(1, 5)]
        marks: list[dict[str, Any]] = [
            {"syncStatus": None},
            {"syncStatus": "SYNCED", "syncLane": 7, "syncNumber": 3},
            {"syncStatus": "FAILED", "syncAttempts": 3, "syncError": "It broke."},
            {"syncStatus": "PENDING"},
        ]
        entries = [entry(change, **mark) for change, mark in zip(changes, marks, strict=True)]
        await store.apply([carrier(AUDIT_LOGS.collection, entries[0])])
        assert (await store.load(AUDIT_LOGS.collection, entries, checkpoint=None)).written == 3
        assert (await store.load(AUDIT_LOGS.collection, entries, checkpoint=None)).written == 0
        stored = await everything(store, AUDIT_LOGS.collection)
        wanted = {AUDIT_LOGS.collection: sorted(entries, key=lambda each: str(each[ID]))}
        assert same(contents(stored), contents(wanted))
        assert {each["syncStatus"] for each in stored[AUDIT_LOGS.collection]} == {"SYNCED"}
        assert {each["syncLane"] for each in stored[AUDIT_LOGS.collection]} == {None}

    async def test_what_the_entries_say_of_their_lanes_is_seen(self, store: LoadableStore) -> None:
        changes = [put("tasks", task(number)) for number in (1, 2)]
        entries = [
            entry(change, lane=FOREIGN, laneNumber=number)
            for change, number in zip(changes, (9, 4), strict=True)
        ]
        await store.load(AUDIT_LOGS.collection, entries, checkpoint=None)
        assert (await store.positions()).seen[FOREIGN].number == 9

    async def test_values_arrive_exactly(self, store: LoadableStore) -> None:
        records = [
            task(number, title=text, extra={"text": text}) for number, text in enumerate(TEXTS.values(), 1)
        ]
        records += [task(number, dueAt=instant) for number, instant in enumerate(INSTANTS.values(), 100)]
        assert not (await store.load("tasks", records, checkpoint=None)).rejected
        stored = await everything(store, "tasks")
        assert same(contents(stored), contents({"tasks": records}))

    async def test_loaded_texts_are_found(self, store: LoadableStore) -> None:
        from adapters.records.criteria import HasWords  # noqa: PLC0415

        page = [task(1, title="Repair the Überdach"), task(2, title="Paint 'the' fence\\gate")]
        await store.load("tasks", page, checkpoint=None)
        assert await found_numbers(store, "tasks", HasWords("uberdach")) == [1]
        assert await found_numbers(store, "tasks", HasWords("gate")) == [2]
        await store.load("tasks", [task(1, version=2, title="Repair the shed")], checkpoint=None)
        assert await found_numbers(store, "tasks", HasWords("uberdach")) == []

    async def test_rejected_records_are_named_and_the_others_are_stored(self, store: LoadableStore) -> None:
        await commit_all(store, "labels", label(50, name="bug"))
        page = [label(number) for number in range(1, 21)]
        page[3] = label(4, name="bug")
        page[11] = label(12, color=5)
        page[17] = label(18, name="Label 2")
        loaded = await store.load("labels", page, checkpoint=at(1, numbered_id(20)))
        assert set(loaded.rejected) == {numbered_id(4), numbered_id(12), numbered_id(18)}
        assert "nameKey" in loaded.rejected[numbered_id(4)].reason
        assert "color" in loaded.rejected[numbered_id(12)].reason
        assert loaded.written == 17
        assert await found_numbers(store, "labels") == [*sorted({*range(1, 21)} - {4, 12, 18}), 50]
        stored = await store.fetch("control", ["backfill:tasks:0"])
        assert stored["backfill:tasks:0"]["value"] == {"after": numbered_id(20)}

    async def test_a_text_with_nul_is_rejected_alone(self, store: LoadableStore) -> None:
        loaded = await store.load("tasks", [task(1), task(2, title="a\x00b"), task(3)], checkpoint=None)
        kept = {int(one[ID], 16) for one in await store.scan("tasks", after=None, limit=9)}
        assert kept | {int(record_id, 16) for record_id in loaded.rejected} == {1, 2, 3}
        assert {1, 3} <= kept

    async def test_another_entry_for_the_same_version_is_rejected_as_a_fork(
        self, store: LoadableStore
    ) -> None:
        change = put("tasks", task(1))
        await store.load(AUDIT_LOGS.collection, [entry(change)], checkpoint=None)
        fork = entry(change, id="f" * 24)
        loaded = await store.load(AUDIT_LOGS.collection, [fork], checkpoint=None)
        assert "diverged" in loaded.rejected["f" * 24].reason

    async def test_the_checkpoint_is_a_compare_and_set(self, store: LoadableStore) -> None:
        await store.load("tasks", [task(1)], checkpoint=at(1))
        await store.load("tasks", [task(2)], checkpoint=at(2))
        with pytest.raises(VersionConflict):
            await store.load(
                "tasks", [task(3)], checkpoint=Put("control", control("backfill:tasks:0", {}, version=9), 1)
            )
        stored = await store.fetch("control", ["backfill:tasks:0"])
        assert stored["backfill:tasks:0"][VERSION] == 2

    async def test_a_page_and_its_checkpoint_can_be_repeated(self, store: LoadableStore) -> None:
        first = await store.load("tasks", [task(1)], checkpoint=at(1))
        again = await store.load("tasks", [task(1)], checkpoint=at(1))
        assert (first.written, again.written) == (1, 0)

    async def test_an_empty_page_stores_its_checkpoint(self, store: LoadableStore) -> None:
        assert (await store.load("tasks", [], checkpoint=at(1))).written == 0
        assert await store.fetch("control", ["backfill:tasks:0"])

    async def test_a_load_advances_a_lane_and_says_which(self, store: LoadableStore) -> None:
        await admitted(store)
        stamp = (await store.load("tasks", [task(1)], checkpoint=at(1))).stamp
        assert stamp is not None
        assert (await store.positions()).number_of(stamp.lane) == stamp.number

    async def test_a_closed_lane_loads_nothing(self, store: LoadableStore) -> None:
        await admitted(store)
        await store.load("tasks", [task(1)], checkpoint=at(1))
        for lane in (await store.positions()).lanes:
            await store.close_lane(lane)
        with pytest.raises(LaneLost):
            await store.load("tasks", [task(2)], checkpoint=at(2))
        assert await fetched(store, "tasks", 2) is None
        assert (await store.fetch("control", ["backfill:tasks:0"]))["backfill:tasks:0"][VERSION] == 1

    async def test_too_many_records_and_local_collections_are_refused(self, store: LoadableStore) -> None:
        with pytest.raises(ValueError, match="at most"):
            await store.load("tasks", [task(1)] * (LOAD_MAX + 1), checkpoint=None)
        with pytest.raises(ValueError, match="control"):
            await store.load("control", [control("a", {})], checkpoint=None)
