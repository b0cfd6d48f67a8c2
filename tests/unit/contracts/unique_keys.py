"""Values that only one record may hold, and those that never collide."""

from collections.abc import Callable

import pytest

from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from domain.errors import AlreadyExists
from tests.unit.contracts.builders import (
    OWNER,
    change_set,
    commit_all,
    erasure,
    everything,
    fetched,
    found_numbers,
    label,
    minutes,
    numbered_id,
    project,
    put,
    same,
    task,
    user,
)

LONG_NAME = "".join(chr(0x1F300 + number) for number in range(200))
"""As long as a name may be, in characters that take four bytes each and compress badly."""


def trashed(make: Callable[..., Record], number: int, **fields: object) -> Record:
    """The record's next version, in the trash."""
    stamps = {"isDeleted": True, "deletedAt": minutes(9), "deletedBy": OWNER}
    return make(number, version=2, **stamps, **fields)


class UniqueKeyContract:
    """Unique keys in `commit`."""

    @pytest.mark.parametrize(
        ("collection", "first", "second", "fields"),
        [
            ("labels", label(1, name="bug"), label(2, name="BUG"), {"nameKey"}),
            ("users", user(1, email="a@b.c"), user(2, email="a@b.c"), {"email"}),
            ("projects", project(1, name="Roof"), project(2, name="Roof"), {"ownerId", "name"}),
            ("tasks", task(1, externalKey="bd-1"), task(2, externalKey="bd-1"), {"externalKey"}),
            ("tasks", task(1, externalKey=""), task(2, externalKey=""), {"externalKey"}),
            ("projects", project(1, name=LONG_NAME), project(2, name=LONG_NAME), {"ownerId", "name"}),
        ],
        ids=["label", "user", "project", "task", "empty text", "long text"],
    )
    async def test_a_taken_value_is_refused_with_its_fields(
        self, store: RecordStore, collection: str, first: Record, second: Record, fields: set[str]
    ) -> None:
        await commit_all(store, collection, first)
        before = await everything(store, collection, "audit_logs")
        with pytest.raises(AlreadyExists) as refused:
            await commit_all(store, collection, second)
        assert set(refused.value.fields) == fields
        assert await everything(store, collection, "audit_logs") == before

    async def test_an_update_to_a_taken_value_changes_nothing(self, store: RecordStore) -> None:
        await commit_all(store, "labels", label(1, name="bug"), label(2, name="idea"))
        before = await everything(store, "labels", "audit_logs")
        with pytest.raises(AlreadyExists) as refused:
            await store.commit(change_set(put("labels", label(2, version=2, name="bug"))))
        assert refused.value.fields == ("nameKey",)
        assert await everything(store, "labels", "audit_logs") == before

    async def test_a_taken_value_in_the_second_put_leaves_nothing_of_the_first(
        self, store: RecordStore
    ) -> None:
        await commit_all(store, "labels", label(1, name="bug"))
        with pytest.raises(AlreadyExists):
            await store.commit(change_set(put("tasks", task(7)), put("labels", label(2, name="bug"))))
        assert await fetched(store, "tasks", 7) is None
        assert len(await store.scan("audit_logs", after=None, limit=9)) == 1

    async def test_two_equal_values_in_one_change_set_leave_nothing(self, store: RecordStore) -> None:
        with pytest.raises(AlreadyExists) as refused:
            await commit_all(store, "labels", label(1, name="bug"), label(2, name="bug"))
        assert refused.value.fields == ("nameKey",)
        assert await everything(store, "labels", "audit_logs") == {"labels": [], "audit_logs": []}

    async def test_a_record_keeps_its_own_value(self, store: RecordStore) -> None:
        await commit_all(store, "labels", label(1, name="bug"))
        await store.commit(change_set(put("labels", label(1, version=2, name="bug", color="#000000"))))
        assert same(await fetched(store, "labels", 1), label(1, version=2, name="bug", color="#000000"))

    async def test_a_value_given_up_earlier_in_the_change_set_is_free(self, store: RecordStore) -> None:
        await commit_all(store, "labels", label(1, name="bug"))
        renamed, successor = (
            put("labels", label(1, version=2, name="defect")),
            put("labels", label(2, name="bug")),
        )
        await store.commit(change_set(renamed, successor))
        assert same(await fetched(store, "labels", 2), label(2, name="bug"))

    async def test_nulls_never_collide(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, externalKey=None), task(2, externalKey=None))
        assert await found_numbers(store, "tasks") == [1, 2]

    async def test_missing_fields_never_collide(self, store: RecordStore) -> None:
        first, second = task(1), task(2)
        del first["externalKey"], second["externalKey"]
        await commit_all(store, "tasks", first, second, task(3, externalKey=None))
        assert await found_numbers(store, "tasks") == [1, 2, 3]

    async def test_the_parts_of_a_key_collide_only_together(self, store: RecordStore) -> None:
        other_owner = project(2, name="Roof", ownerId=numbered_id(0xBB))
        await commit_all(store, "projects", project(1, name="Roof"), other_owner, project(3, name="Wall"))
        assert await found_numbers(store, "projects") == [1, 2, 3]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("bug", "Bug"),
            ("bug", "bug "),
            ("bug", " bug"),
            ("caf\u00e9", "cafe\u0301"),
            ("cafe", "caf\u00e9"),
            ("straße", "strasse"),
            ("\ufb01x", "fix"),
            ("a\u200bb", "ab"),
            ("x" * 100, "x" * 99),
            (LONG_NAME[:100], LONG_NAME[:99] + "!"),
        ],
    )
    async def test_texts_that_differ_anywhere_never_collide(
        self, store: RecordStore, first: str, second: str
    ) -> None:
        await commit_all(store, "projects", project(1, name=first), project(2, name=second))
        stored = await store.fetch("projects", [numbered_id(1), numbered_id(2)])
        assert [stored[numbered_id(number)]["name"] for number in (1, 2)] == [first, second]

    async def test_a_live_only_value_is_free_while_its_holder_is_in_the_trash(
        self, store: RecordStore
    ) -> None:
        await commit_all(store, "labels", label(1, name="bug"))
        await store.commit(change_set(put("labels", trashed(label, 1, name="bug"))))
        await commit_all(store, "labels", label(2, name="bug"), trashed(label, 3, name="bug"))
        assert await found_numbers(store, "labels") == [1, 2, 3]

    async def test_coming_back_to_a_taken_value_is_refused(self, store: RecordStore) -> None:
        await commit_all(store, "labels", trashed(label, 1, name="bug"), label(2, name="bug"))
        with pytest.raises(AlreadyExists) as refused:
            await store.commit(change_set(put("labels", label(1, version=3, name="bug"))))
        assert refused.value.fields == ("nameKey",)
        assert same(await fetched(store, "labels", 1), trashed(label, 1, name="bug"))

    async def test_other_keys_stay_taken_in_the_trash(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", trashed(task, 1, externalKey="bd-1"))
        with pytest.raises(AlreadyExists) as refused:
            await commit_all(store, "tasks", task(2, externalKey="bd-1"))
        assert refused.value.fields == ("externalKey",)

    async def test_removal_for_good_frees_every_value(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, externalKey="bd-1"))
        await store.commit(change_set(erasure("tasks", 1, version=2)))
        await commit_all(store, "tasks", task(2, externalKey="bd-1"))
        assert await found_numbers(store, "tasks") == [2]
