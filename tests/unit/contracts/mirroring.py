"""The promises of `apply` and `mark`: the mirror ends at the highest version, whatever arrives how often."""

import random
from itertools import permutations

import pytest

from adapters.records.change_set import ChangeSet, DeliveryMark, Put, Rejection
from adapters.records.isolation import apply_each, bisected
from adapters.records.record import Record, tombstone
from adapters.records.record_store import RecordStore
from domain.audit import SyncStatus
from tests.unit.contracts.builders import (
    arrived,
    change_set,
    commit_all,
    entry,
    entry_id,
    erasure,
    everything,
    fetched,
    fetched_entry,
    found_numbers,
    label,
    minutes,
    numbered_id,
    put,
    same,
    superseded_by,
    task,
    timeline,
    without_nulls,
)

BOTH = ("tasks", "audit_logs")


def history(number: int, versions: int) -> list[ChangeSet]:
    """One change set for each version of a task."""
    return [
        change_set(put("tasks", task(number, version=version, title=f"Version {version}")))
        for version in range(1, versions + 1)
    ]


def synced(record: Record) -> Record:
    """The entry as a mirror keeps it."""
    return {**record, "syncStatus": SyncStatus.SYNCED}


class ApplyContract:
    """Mirroring resulting states."""

    async def test_nothing_to_apply_answers_nothing(self, store: RecordStore) -> None:
        assert await store.apply([]) == []

    async def test_applied_records_and_entries_are_read_back(self, store: RecordStore) -> None:
        changes = change_set(put("tasks", task(1, extra={"kept": [1]})), put("timelines", timeline(2)))
        assert await store.apply([changes]) == [None]
        assert same(await fetched(store, "tasks", 1), task(1, extra={"kept": [1]}))
        assert same(await fetched(store, "timelines", 2), timeline(2))
        stored = await store.fetch("audit_logs", changes.entry_ids)
        assert same(stored, {entry["id"]: synced(entry) for entry in changes.entries})

    async def test_a_late_version_is_stored_without_its_predecessors(self, store: RecordStore) -> None:
        late = put("tasks", task(1, version=7), expected=6)
        assert await store.apply([change_set(late)]) == [None]
        assert same(await fetched(store, "tasks", 1), task(1, version=7))

    async def test_a_second_apply_changes_nothing(self, store: RecordStore) -> None:
        changes = history(1, 3)
        assert arrived(await store.apply(changes))
        before = await everything(store, *BOTH)
        assert await store.apply(changes) == [superseded_by(3, "tasks", 1)] * 2 + [None]
        assert await everything(store, *BOTH) == before

    async def test_duplicates_in_one_call_count_once(self, store: RecordStore) -> None:
        first, second = history(1, 2)
        assert arrived(await store.apply([first, second, first, second, second]))
        assert same(await fetched(store, "tasks", 1), second.puts[0].record)
        assert len(await store.scan("audit_logs", after=None, limit=9)) == 2

    @pytest.mark.parametrize("order", list(permutations(range(3))))
    @pytest.mark.parametrize("at_once", [True, False], ids=["one call", "a call each"])
    async def test_any_order_ends_at_the_highest_version(
        self, store: RecordStore, order: tuple[int, ...], at_once: bool
    ) -> None:
        changes = history(1, 3)
        arriving = [changes[index] for index in order]
        outcomes = (
            await store.apply(arriving) if at_once else [(await store.apply([one]))[0] for one in arriving]
        )
        assert arrived(outcomes)
        assert outcomes[order.index(2)] is None
        assert same(await fetched(store, "tasks", 1), changes[2].puts[0].record)
        assert len(await store.scan("audit_logs", after=None, limit=9)) == 3

    async def test_an_equal_version_is_superseded(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, version=2, title="First"))
        assert await store.apply([ChangeSet((put("tasks", task(1, version=2, title="Other")),))]) == [None]
        assert same(await fetched(store, "tasks", 1), task(1, version=2, title="First"))

    async def test_a_row_that_is_ahead_is_reported_with_its_version(self, store: RecordStore) -> None:
        await store.apply([ChangeSet((put("tasks", task(1, version=1000)),))])
        for edit in (
            change_set(put("tasks", task(1, version=4))),
            ChangeSet((put("tasks", task(1, version=3)),)),
        ):
            assert await store.apply([edit]) == [superseded_by(1000, "tasks", 1)]
        assert same(await fetched(store, "tasks", 1), task(1, version=1000))

    async def test_only_the_change_set_of_a_row_that_is_ahead_is_superseded(self, store: RecordStore) -> None:
        await store.apply([ChangeSet((put("tasks", task(2, version=1000)),))])
        changes = [change_set(put("tasks", task(number, version=3))) for number in (1, 2, 3)]
        assert await store.apply(changes) == [None, superseded_by(1000, "tasks", 2), None]

    async def test_a_superseded_put_does_not_hold_back_its_change_set(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, version=5))
        old, new = put("tasks", task(1, version=4)), put("tasks", task(2, version=4))
        assert await store.apply([change_set(old, new)]) == [superseded_by(5, "tasks", 1)]
        assert same(await fetched(store, "tasks", 1), task(1, version=5))
        assert same(await fetched(store, "tasks", 2), task(2, version=4))
        assert await fetched_entry(store, old) is not None
        assert await fetched_entry(store, new) is not None

    async def test_the_stores_own_entry_is_left_as_it_is(self, store: RecordStore) -> None:
        changes = change_set(put("tasks", task(1)))
        await store.commit(changes)
        before = await everything(store, *BOTH)
        assert await store.apply([changes]) == [None]
        assert await everything(store, *BOTH) == before

    async def test_records_are_applied_without_entries(self, store: RecordStore) -> None:
        copies = [ChangeSet((put("tasks", task(number)),)) for number in range(1, 101)]
        assert await store.apply(copies) == [None] * 100
        assert await found_numbers(store, "tasks") == list(range(1, 101))

    async def test_a_rejected_change_set_leaves_nothing_and_holds_up_no_other(
        self, store: RecordStore
    ) -> None:
        await commit_all(store, "labels", label(1, name="bug"))
        good, later = change_set(put("tasks", task(1))), change_set(put("labels", label(3, name="idea")))
        bad = change_set(put("tasks", task(2)), put("labels", label(2, name="bug")), put("tasks", task(4)))
        first, rejected, last = await apply_each(store.apply, [good, bad, later])
        assert (first, last) == (None, None)
        assert isinstance(rejected, Rejection)
        assert rejected.reason
        assert await found_numbers(store, "tasks") == [1]
        assert await found_numbers(store, "labels") == [1, 3]
        assert set(await store.fetch("audit_logs", bad.entry_ids)) == set()

    async def test_a_rejection_keeps_the_stored_version(self, store: RecordStore) -> None:
        await commit_all(store, "labels", label(1, name="bug"), label(2, name="idea"))
        before = await everything(store, "labels", "audit_logs")
        (rejected,) = await store.apply([change_set(put("labels", label(2, version=2, name="bug")))])
        assert isinstance(rejected, Rejection)
        assert await everything(store, "labels", "audit_logs") == before

    async def test_a_second_entry_for_one_version_is_rejected_not_dropped(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1))
        other = entry(put("tasks", task(1)), id=numbered_id(77))
        (rejected,) = await store.apply([ChangeSet((put("tasks", task(2)),), (other,))])
        assert isinstance(rejected, Rejection)
        assert "another entry" in rejected.reason.lower()
        assert await fetched(store, "tasks", 2) is None

    async def test_a_rejection_caused_by_order_passes_when_it_is_repeated(self, store: RecordStore) -> None:
        await commit_all(store, "labels", label(1, name="bug"), label(2, name="idea"))
        frees = change_set(put("labels", label(1, version=2, name="defect")))
        takes = change_set(put("labels", label(2, version=2, name="bug")))
        await bisected(store.apply, [takes, frees])
        assert await bisected(store.apply, [takes, frees]) == [None, None]
        assert same(await fetched(store, "labels", 1), label(1, version=2, name="defect"))
        assert same(await fetched(store, "labels", 2), label(2, version=2, name="bug"))

    async def test_a_value_given_up_earlier_is_free(self, store: RecordStore) -> None:
        await commit_all(store, "labels", label(1, name="bug"))
        together = change_set(
            put("labels", label(1, version=2, name="defect")), put("labels", label(2, name="bug"))
        )
        apart = (
            change_set(put("labels", label(3, name="Label 3"))),
            change_set(
                put("labels", label(3, version=2, name="third")), put("labels", label(4, name="Label 3"))
            ),
        )
        assert await store.apply([together, *apart]) == [None] * 3
        assert await found_numbers(store, "labels") == [1, 2, 3, 4]

    async def test_many_versions_in_random_order_end_at_the_highest(self, store: RecordStore) -> None:
        shuffle = random.Random(20250301)
        changes = [one for number in (1, 2, 3) for one in history(number, 8)]
        arriving = [*changes, *changes]
        shuffle.shuffle(arriving)
        for start in range(0, len(arriving), 7):
            assert arrived(await store.apply(arriving[start : start + 7]))
        for number in (1, 2, 3):
            assert same(await fetched(store, "tasks", number), task(number, version=8, title="Version 8"))
        assert len(await store.scan("audit_logs", after=None, limit=99)) == 24


class LateReplayContract:
    """Nothing that was removed for good comes back by itself."""

    async def test_a_tombstone_outlives_late_replays(self, store: RecordStore) -> None:
        changes = history(1, 3)
        await store.apply([*changes, change_set(erasure("tasks", 1, version=4))])
        for late in (changes, list(reversed(changes)), [changes[1]]):
            assert set(await store.apply(late)) == {superseded_by(4, "tasks", 1)}
            assert without_nulls(await fetched(store, "tasks", 1)) == tombstone(numbered_id(1), 4)
        assert await found_numbers(store, "tasks") == []

    async def test_a_tombstone_may_arrive_first(self, store: RecordStore) -> None:
        assert await store.apply([change_set(erasure("tasks", 1, version=4))]) == [None]
        assert set(await store.apply(history(1, 3))) == {superseded_by(4, "tasks", 1)}
        assert without_nulls(await fetched(store, "tasks", 1)) == tombstone(numbered_id(1), 4)

    async def test_a_recreated_record_survives_the_replay_of_its_removal(self, store: RecordStore) -> None:
        removal, again = (
            change_set(erasure("tasks", 1, version=2)),
            change_set(put("tasks", task(1, version=3))),
        )
        for arriving in ([removal, again], [removal], [again, removal], history(1, 1)):
            assert arrived(await store.apply(arriving))
        assert same(await fetched(store, "tasks", 1), task(1, version=3))
        assert await found_numbers(store, "tasks") == [1]


class MarkContract:
    """Marks on entries."""

    @pytest.mark.parametrize("status", [SyncStatus.PENDING, SyncStatus.FAILED, SyncStatus.PARKED])
    async def test_a_failure_is_noted_with_its_reason(self, store: RecordStore, status: SyncStatus) -> None:
        change = await _committed(store)
        await store.mark([_mark_of(change, status, attempts=3, next_at=minutes(5), error="full")])
        noted = {"syncStatus": status, "syncAttempts": 3, "syncNextAt": minutes(5), "syncError": "full"}
        assert same(await fetched_entry(store, change), {**entry(change), **noted})

    async def test_success_is_noted_with_its_time(self, store: RecordStore) -> None:
        change = await _committed(store)
        await store.mark([_mark_of(change, SyncStatus.FAILED, attempts=1, next_at=minutes(5), error="full")])
        await store.mark([_mark_of(change, SyncStatus.SYNCED, attempts=2)])
        noted = {"syncStatus": "SYNCED", "syncAttempts": 2, "syncedAt": minutes(1)}
        assert same(await fetched_entry(store, change), {**entry(change), **noted})

    async def test_success_is_final(self, store: RecordStore) -> None:
        change = await _committed(store)
        await store.mark([_mark_of(change, SyncStatus.SYNCED, attempts=1)])
        before = await everything(store, *BOTH)
        for status in SyncStatus:
            later = DeliveryMark(
                entry_id=_id_of(change), status=status, at=minutes(99), attempts=9, error="late"
            )
            await store.mark([later])
            assert await everything(store, *BOTH) == before

    async def test_success_is_final_within_one_call(self, store: RecordStore) -> None:
        change = await _committed(store)
        await store.mark(
            [
                _mark_of(change, SyncStatus.FAILED, attempts=1, error="full"),
                _mark_of(change, SyncStatus.SYNCED, attempts=2),
                _mark_of(change, SyncStatus.PARKED, attempts=3, error="late"),
            ]
        )
        stored = await fetched_entry(store, change)
        assert stored is not None
        assert (stored["syncStatus"], stored["syncAttempts"], stored["syncError"]) == ("SYNCED", 2, None)

    async def test_a_parked_entry_may_be_tried_again(self, store: RecordStore) -> None:
        change = await _committed(store)
        await store.mark([_mark_of(change, SyncStatus.PARKED, attempts=8, error="full")])
        await store.mark([_mark_of(change, SyncStatus.PENDING)])
        assert same(await fetched_entry(store, change), entry(change))

    async def test_an_entry_from_before_the_mirror_can_be_marked(self, store: RecordStore) -> None:
        change = put("tasks", task(1))
        await store.commit(change_set(change, entries=[entry(change, syncStatus=None)]))
        await store.mark([_mark_of(change, SyncStatus.SYNCED)])
        stored = await fetched_entry(store, change)
        assert stored is not None
        assert stored["syncStatus"] == "SYNCED"

    async def test_unknown_entries_are_ignored(self, store: RecordStore) -> None:
        change = await _committed(store)
        unknown = DeliveryMark(entry_id=numbered_id(404), status=SyncStatus.SYNCED, at=minutes(1))
        await store.mark([])
        await store.mark([unknown, _mark_of(change, SyncStatus.SYNCED)])
        assert await store.fetch("audit_logs", [numbered_id(404)]) == {}
        stored = await fetched_entry(store, change)
        assert stored is not None
        assert stored["syncStatus"] == "SYNCED"

    async def test_many_entries_are_marked_in_one_call(self, store: RecordStore) -> None:
        changes = [put("tasks", task(number)) for number in range(1, 101)]
        await store.commit(change_set(*changes))
        await store.mark([_mark_of(change, SyncStatus.SYNCED) for change in changes[:50]])
        entries = await store.fetch("audit_logs", [_id_of(change) for change in changes])
        statuses = [entries[_id_of(change)]["syncStatus"] for change in changes]
        assert statuses == ["SYNCED"] * 50 + ["PENDING"] * 50


async def _committed(store: RecordStore) -> Put:
    change = put("tasks", task(1))
    await store.commit(change_set(change))
    return change


def _id_of(change: Put) -> str:
    return entry_id(change.collection, change.record_id, change.version)


def _mark_of(change: Put, status: SyncStatus, **fields: object) -> DeliveryMark:
    return DeliveryMark(entry_id=_id_of(change), status=status, at=minutes(1), **fields)  # type: ignore[arg-type]
