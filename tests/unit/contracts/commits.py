"""What `commit` promises: all or nothing, against the versions that were seen."""

from dataclasses import replace

import pytest

from adapters.records.change_set import ChangeSet, Put, ReadCheck
from adapters.records.criteria import Question
from adapters.records.record import VERSION, tombstone
from adapters.records.record_store import RecordStore
from domain.errors import AlreadyExists, Conflict, VersionConflict
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    control,
    entry,
    erasure,
    everything,
    fetched,
    fetched_entry,
    found_numbers,
    label,
    numbered_id,
    project,
    put,
    same,
    task,
    timeline,
    user,
    without_nulls,
)

BOTH = ("tasks", "audit_logs")


class CommitContract:
    """Versions, atomicity and tombstones of `commit`."""

    async def test_a_committed_change_set_is_read_back_whole(self, store: RecordStore) -> None:
        records = {
            "users": user(1),
            "projects": project(2),
            "timelines": timeline(2),
            "tasks": task(3),
            "labels": label(4),
        }
        changes = change_set(*(put(collection, record) for collection, record in records.items()))
        await store.commit(changes)
        for collection, record in records.items():
            assert same(await store.fetch(collection, [record["id"]]), {record["id"]: record})
        stored = await store.fetch("audit_logs", changes.entry_ids)
        assert same(stored, {entry["id"]: entry for entry in changes.entries})

    async def test_a_control_record_is_committed_without_an_entry(self, store: RecordStore) -> None:
        record = control("lease", {"holder": "worker-1", "fence": 7})
        await store.commit(ChangeSet((put("control", record),)))
        assert same(await store.fetch("control", ["lease"]), {"lease": record})
        assert await store.scan("audit_logs", after=None, limit=10) == []

    async def test_an_entry_gives_its_version_up_to_another_one(self, store: RecordStore) -> None:
        first, second = put("tasks", task(1)), put("tasks", task(1, version=2))
        own = entry(second)
        await store.commit(change_set(first))
        await store.commit(change_set(second, entries=[own]))
        rebased = Put("audit_logs", {**own, VERSION: 3}, 2)
        other = {**own, "id": numbered_id(0xF0)}
        third = put("tasks", task(1, version=3))
        await store.commit(ChangeSet((third, rebased), (other,)))
        stored = await store.fetch("audit_logs", [own["id"], other["id"]])
        assert {id_: one[VERSION] for id_, one in stored.items()} == {own["id"]: 3, other["id"]: 2}

    async def test_an_entry_is_committed_without_a_record(self, store: RecordStore) -> None:
        lone = entry(put("tasks", task(1)))
        await store.commit(ChangeSet((), (lone,)))
        assert same(await store.scan("audit_logs", after=None, limit=10), [lone])
        assert await fetched(store, "tasks", 1) is None

    async def test_a_put_is_the_whole_record(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, description="old", imported="yes"))
        await store.commit(change_set(put("tasks", task(1, version=2))))
        stored = await fetched(store, "tasks", 1)
        assert same(stored, task(1, version=2))

    async def test_versions_may_skip_numbers(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, version=5))
        await store.commit(change_set(put("tasks", task(1, version=9), expected=5)))
        assert same(await fetched(store, "tasks", 1), task(1, version=9))

    async def test_a_second_create_is_refused_with_the_current_version(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, version=3))
        before = await everything(store, *BOTH)
        with pytest.raises(VersionConflict) as refused:
            await store.commit(change_set(put("tasks", task(1, title="Second"), expected=0)))
        assert refused.value.current_version == 3
        assert await everything(store, *BOTH) == before

    @pytest.mark.parametrize("expected", [1, 3, 7])
    async def test_a_stale_write_changes_nothing(self, store: RecordStore, expected: int) -> None:
        await commit_all(store, "tasks", task(1, version=2))
        before = await everything(store, *BOTH)
        with pytest.raises(VersionConflict) as refused:
            await store.commit(change_set(put("tasks", task(1, version=8, title="Stale"), expected=expected)))
        assert refused.value.current_version == 2
        assert await everything(store, *BOTH) == before

    async def test_an_update_of_nothing_is_refused(self, store: RecordStore) -> None:
        with pytest.raises(VersionConflict) as refused:
            await store.commit(change_set(put("tasks", task(1, version=2))))
        assert not refused.value.current_version
        assert await everything(store, *BOTH) == {"tasks": [], "audit_logs": []}

    async def test_a_stale_second_put_leaves_nothing_of_the_first(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1), task(2, version=4))
        before = await everything(store, *BOTH, "labels")
        first, stale = put("tasks", task(1, version=2)), put("tasks", task(2, version=4), expected=3)
        with pytest.raises(VersionConflict) as refused:
            await store.commit(change_set(first, put("labels", label(1)), stale, put("tasks", task(5))))
        assert refused.value.current_version == 4
        assert await everything(store, *BOTH, "labels") == before

    async def test_the_same_put_twice_in_one_change_set_leaves_nothing(self, store: RecordStore) -> None:
        one = put("tasks", task(1))
        with pytest.raises(Conflict):
            await store.commit(change_set(one, one, entries=[entry(one)]))
        assert await everything(store, *BOTH) == {"tasks": [], "audit_logs": []}

    async def test_a_duplicate_entry_leaves_nothing(self, store: RecordStore) -> None:
        first = put("tasks", task(1))
        await store.commit(change_set(first))
        before = await everything(store, *BOTH)
        taken = entry(put("tasks", task(2)), id=entry(first)["id"])
        with pytest.raises(AlreadyExists) as refused:
            await store.commit(change_set(put("tasks", task(2)), entries=[taken]))
        assert refused.value.fields == ("id",)
        assert await everything(store, *BOTH) == before

    async def test_a_second_entry_for_one_version_leaves_nothing(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1))
        before = await everything(store, *BOTH)
        second = put("tasks", task(2))
        again = entry(put("tasks", task(1)), id=numbered_id(99))
        with pytest.raises(AlreadyExists) as refused:
            await store.commit(change_set(second, entries=[entry(second), again]))
        assert set(refused.value.fields) == {"collection", "entityId", "version"}
        assert await everything(store, *BOTH) == before

    async def test_an_idempotency_key_serves_once(self, store: RecordStore) -> None:
        first, second = put("tasks", task(1)), put("tasks", task(2))
        await store.commit(change_set(first, entries=[entry(first, idempotencyKey="key-1")]))
        before = await everything(store, *BOTH)
        with pytest.raises(AlreadyExists) as refused:
            await store.commit(change_set(second, entries=[entry(second, idempotencyKey="key-1")]))
        assert refused.value.fields == ("idempotencyKey",)
        assert await everything(store, *BOTH) == before

    async def test_the_same_change_set_twice_is_refused_and_changes_nothing(self, store: RecordStore) -> None:
        changes = change_set(put("tasks", task(1)), put("labels", label(2)))
        await store.commit(changes)
        before = await everything(store, *BOTH, "labels")
        with pytest.raises(Conflict):
            await store.commit(changes)
        assert await everything(store, *BOTH, "labels") == before

    async def test_a_refused_change_set_can_be_committed_once_it_is_mended(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, version=2))
        with pytest.raises(VersionConflict):
            await store.commit(
                change_set(put("tasks", task(9)), put("tasks", task(1, version=2), expected=1))
            )
        mended = put("tasks", task(1, version=3))
        await store.commit(change_set(put("tasks", task(9)), mended))
        assert await found_numbers(store, "tasks") == [1, 9]
        assert await fetched_entry(store, mended) is not None

    async def test_a_change_set_of_many_records_is_all_or_nothing(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(200))
        many = [put("tasks", task(number), expected=0) for number in range(1, 201)]
        with pytest.raises(VersionConflict) as refused:
            await store.commit(change_set(*many))
        assert refused.value.current_version == 1
        assert await found_numbers(store, "tasks") == [200]
        await store.commit(change_set(*many[:-1]))
        assert await found_numbers(store, "tasks") == list(range(1, 201))
        assert len(await store.scan("audit_logs", after=None, limit=1_000)) == 200


class GuardContract:
    """Records that a change set relies on without changing them."""

    async def test_a_guard_that_holds_changes_nothing_itself(self, store: RecordStore) -> None:
        await commit_all(store, "projects", project(1, version=3))
        for number in (2, 3):
            await store.commit(guarded(put("tasks", task(number)), version=3))
        assert same(await fetched(store, "projects", 1), project(1, version=3))
        assert same(await store.find(Question(collection="projects", limit=9)), [project(1, version=3)])
        assert same(await store.scan("projects", after=None, limit=9), [project(1, version=3)])
        assert await found_numbers(store, "tasks") == [2, 3]
        await store.commit(change_set(put("projects", project(1, version=4))))
        assert same(await fetched(store, "projects", 1), project(1, version=4))

    @pytest.mark.parametrize(("stored", "wanted"), [(2, 1), (2, 3), (0, 1)])
    async def test_a_guard_that_fails_leaves_nothing_and_names_the_record(
        self, store: RecordStore, stored: int, wanted: int
    ) -> None:
        if stored:
            await commit_all(store, "projects", project(1, version=stored))
        before = await everything(store, *BOTH, "projects")
        with pytest.raises(VersionConflict) as refused:
            await store.commit(guarded(put("tasks", task(2)), version=wanted))
        assert (refused.value.current_version or 0) == stored
        assert (refused.value.collection, refused.value.entity_id) == ("projects", numbered_id(1))
        assert await everything(store, *BOTH, "projects") == before

    async def test_a_stale_put_is_named(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, version=2), task(2))
        stale = put("tasks", task(1, version=2), expected=1)
        for changes in (change_set(stale), change_set(put("tasks", task(2, version=2)), stale)):
            with pytest.raises(VersionConflict) as refused:
                await store.commit(changes)
            assert (refused.value.collection, refused.value.entity_id) == ("tasks", numbered_id(1))

    async def test_a_mirrored_change_set_asks_no_guards(self, store: RecordStore) -> None:
        assert await store.apply([guarded(put("tasks", task(2)), version=7)]) == [None]
        assert same(await fetched(store, "tasks", 2), task(2))
        assert await fetched(store, "projects", 1) is None


def guarded(*puts: Put, version: int) -> ChangeSet:
    """The puts, relying on project 1 at this version."""
    return replace(change_set(*puts), read_checks=(ReadCheck("projects", numbered_id(1), version),))


class TombstoneContract:
    """Removal for good: a tombstone that `commit` puts like any other version."""

    async def test_a_tombstone_keeps_nothing_but_its_version(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, description="private", imported="yes"))
        await store.commit(change_set(erasure("tasks", 1, version=2)))
        left = tombstone(numbered_id(1), 2)
        assert without_nulls(await fetched(store, "tasks", 1)) == left
        assert [without_nulls(record) for record in await store.scan("tasks", after=None, limit=9)] == [left]

    async def test_a_tombstone_is_never_found_or_counted(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1), task(2), task(3, isDeleted=True))
        await store.commit(change_set(erasure("tasks", 1, version=2)))
        assert await found_numbers(store, "tasks") == [2, 3]

    async def test_every_collection_takes_tombstones(self, store: RecordStore) -> None:
        records = {"users": user(1), "projects": project(1), "timelines": timeline(1), "labels": label(1)}
        await store.commit(change_set(*(put(name, record) for name, record in records.items())))
        await store.commit(change_set(*(erasure(name, 1, version=2) for name in records)))
        for name in records:
            assert without_nulls(await fetched(store, name, 1)) == tombstone(numbered_id(1), 2)

    async def test_a_tombstone_refuses_creation_with_its_version(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1))
        await store.commit(change_set(erasure("tasks", 1, version=2)))
        before = await everything(store, *BOTH)
        with pytest.raises(VersionConflict) as refused:
            await store.commit(change_set(put("tasks", task(1, version=4), expected=0)))
        assert refused.value.current_version == 2
        assert await everything(store, *BOTH) == before

    async def test_a_record_may_come_back_above_its_tombstone(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1))
        await store.commit(change_set(erasure("tasks", 1, version=2)))
        await store.commit(change_set(put("tasks", task(1, version=3))))
        stored = await fetched(store, "tasks", 1)
        assert same(stored, task(1, version=3))
        assert stored is not None
        assert stored[VERSION] == 3
        assert await found_numbers(store, "tasks") == [1]
