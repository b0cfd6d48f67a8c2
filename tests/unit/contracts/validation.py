"""What does not fit its spec is refused by the store, by name, and never in part."""

from datetime import datetime
from typing import Any

import pytest

from adapters.records.change_set import ChangeSet
from adapters.records.isolation import apply_each
from adapters.records.record import IS_DELETED, IS_ERASED, Record
from adapters.records.record_store import RecordStore
from domain.errors import RuleBroken
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    control,
    entry,
    erasure,
    everything,
    fetched,
    label,
    numbered_id,
    project,
    put,
    reason_of,
    same,
    task,
    timeline,
    user,
)

SECRET = "correct horse battery staple"


def without(record: Record, name: str) -> Record:
    """The record lacking a field."""
    return {field: value for field, value in record.items() if field != name}


UNFIT: dict[str, tuple[str, Record, set[str]]] = {
    "missing text": ("tasks", without(task(1), "title"), {"title"}),
    "null text": ("projects", project(1, name=None), {"name"}),
    "missing owner": ("tasks", without(task(1), "ownerId"), {"ownerId"}),
    "missing list": ("tasks", without(task(1), "labelIds"), {"labelIds"}),
    "missing boolean": ("labels", without(label(1), IS_DELETED), {IS_DELETED}),
    "null instant": ("users", user(1, createdAt=None), {"createdAt"}),
    "no such status": ("tasks", task(1, status=SECRET), {"status"}),
    "status in lower case": ("tasks", task(1, status="todo"), {"status"}),
    "no such priority": ("tasks", task(1, priority=7), {"priority"}),
    "no such kind, where null is one": ("tasks", task(1, assigneeType="ROBOT"), {"assigneeType"}),
    "a number for text": ("tasks", task(1, title=5), {"title"}),
    "a list for text": ("tasks", task(1, title=[SECRET]), {"title"}),
    "text for an integer": ("tasks", task(1, priority=SECRET), {"priority"}),
    "a boolean for an integer": ("tasks", task(1, displayId=True), {"displayId"}),
    "a fraction for an integer": ("tasks", task(1, displayId=1.5), {"displayId"}),
    "text for an instant": ("tasks", task(1, dueAt="2025-01-01T00:00:00Z"), {"dueAt"}),
    "an instant without a zone": ("tasks", task(1, dueAt=datetime(2025, 1, 1)), {"dueAt"}),  # noqa: DTZ001
    "a day that never was": ("tasks", task(1, dueOn="2026-02-30"), {"dueOn"}),
    "an instant for a day": ("tasks", task(1, dueOn="2026-02-28T00:00:00Z"), {"dueOn"}),
    "text for a boolean": ("tasks", task(1, isAcknowledged=SECRET), {"isAcknowledged"}),
    "an integer for a boolean": ("tasks", task(1, isAcknowledged=1), {"isAcknowledged"}),
    "text for a list": ("tasks", task(1, labelIds=SECRET), {"labelIds"}),
    "an object for a list": ("users", user(1, grants={"a": SECRET}), {"grants"}),
    "a list for an object": ("timelines", timeline(1, calendar=[SECRET]), {"calendar"}),
    "several at once": (
        "tasks",
        task(1, title=None, status=SECRET, dueAt=SECRET),
        {"title", "status", "dueAt"},
    ),
}
CASES = [pytest.param(*case, id=name) for name, case in UNFIT.items()]


class ValidationContract:
    """Required fields, kinds, and the values that some fields are limited to."""

    @pytest.mark.parametrize(("collection", "record", "fields"), CASES)
    async def test_a_commit_names_the_faults_and_stores_nothing(
        self, store: RecordStore, collection: str, record: Record, fields: set[str]
    ) -> None:
        with pytest.raises(RuleBroken) as refused:
            await store.commit(change_set(put("labels", label(2)), put(collection, record)))
        assert {fault.pointer for fault in refused.value.violations} == {f"/{name}" for name in fields}
        told = refused.value.message + "".join(fault.message for fault in refused.value.violations)
        assert SECRET not in told
        nothing: dict[str, list[Record]] = {collection: [], "labels": [], "audit_logs": []}
        assert await everything(store, *nothing) == nothing

    @pytest.mark.parametrize(("collection", "record", "fields"), CASES)
    async def test_a_mirror_refuses_that_change_set_alone_and_names_the_fields(
        self, store: RecordStore, collection: str, record: Record, fields: set[str]
    ) -> None:
        bad = change_set(put("labels", label(2)), put(collection, record))
        good, more = change_set(put("labels", label(8))), change_set(put("labels", label(9)))
        first, outcome, last = await apply_each(store.apply, [good, bad, more])
        assert (first, last) == (None, None)
        assert all(name in reason_of(outcome) for name in fields)
        assert SECRET not in reason_of(outcome)
        assert await fetched(store, "labels", 2) is None
        assert await fetched(store, collection, 1) is None
        assert len(await store.scan("audit_logs", after=None, limit=9)) == 2

    async def test_an_update_that_breaks_a_record_leaves_it_as_it_was(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1))
        before = await everything(store, "tasks", "audit_logs")
        with pytest.raises(RuleBroken):
            await store.commit(change_set(put("tasks", task(1, version=2, title=None))))
        (outcome,) = await store.apply([change_set(put("tasks", task(1, version=3, status=SECRET)))])
        assert outcome is not None
        assert await everything(store, "tasks", "audit_logs") == before

    @pytest.mark.parametrize("fields", [{"action": "STOLEN"}, {"actorId": None}, {"changes": []}])
    async def test_an_entry_must_fit_too(self, store: RecordStore, fields: dict[str, Any]) -> None:
        change = put("tasks", task(1))
        with pytest.raises(RuleBroken) as refused:
            await store.commit(change_set(change, entries=[entry(change, **fields)]))
        assert [fault.pointer for fault in refused.value.violations] == [f"/{name}" for name in fields]
        assert await everything(store, "tasks", "audit_logs") == {"tasks": [], "audit_logs": []}

    async def test_a_control_record_must_fit_too(self, store: RecordStore) -> None:
        broken = {**control("lease", {}), "value": None}
        with pytest.raises(RuleBroken):
            await store.commit(ChangeSet((put("control", broken),)))
        assert await store.fetch("control", ["lease"]) == {}

    async def test_a_tombstone_that_lacks_its_version_is_refused(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1))
        left = {"id": numbered_id(1), "version": "two", IS_DELETED: True, IS_ERASED: True}
        broken, told = put("tasks", left, expected=1), entry(erasure("tasks", 1, version=2), version="two")
        with pytest.raises(RuleBroken) as refused:
            await store.commit(change_set(broken, entries=[told]))
        assert [fault.pointer for fault in refused.value.violations] == ["/version"]
        assert same(await fetched(store, "tasks", 1), task(1))

    async def test_what_a_spec_does_not_know_is_not_judged(self, store: RecordStore) -> None:
        record = task(1, someday=[SECRET], Title=5, isStarred="perhaps")
        await commit_all(store, "tasks", record)
        assert same(await fetched(store, "tasks", 1), record)
