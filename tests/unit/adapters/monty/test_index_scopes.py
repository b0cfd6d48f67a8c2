"""What each index holds, and that a question is never asked of one that lacks an answer to it."""

import pytest

from adapters.monty.collection_indexes import CollectionIndexes
from adapters.monty.index_walk import Plan
from adapters.monty.question_plan import plan
from adapters.records.criteria import AllOf, Criterion, Equals, IsNull, NotNull, OneOf, Order, Range
from adapters.records.record import Record
from adapters.records.specs import SPECS
from tests.unit.contracts.builders import entry, put, task

PROJECT = "a" * 24
TRASHED = AllOf((Equals("projectId", PROJECT), Equals("isDeleted", True)))


def _plan(indexes: CollectionIndexes, where: Criterion, order: str = "id") -> Plan:
    return plan(indexes.orders, where, order=Order(order), limit=20)


def _walked(way: Plan) -> set[tuple[str, ...]]:
    return {stretch.index.fields for stretch in way.stretches or ()}


def _held(indexes: CollectionIndexes, *fields: str) -> int:
    (index,) = [index for index in indexes.orders if index.fields == fields]
    return len(index.keys)


def _tasks(*records: Record) -> CollectionIndexes:
    return CollectionIndexes(SPECS["tasks"], records)


def _entries(*states: str | None) -> CollectionIndexes:
    entries = [
        entry(put("tasks", task(number)), syncStatus=state) for number, state in enumerate(states, start=1)
    ]
    return CollectionIndexes(SPECS["audit_logs"], entries)


def test_only_the_trash_is_in_the_order_of_its_deletion() -> None:
    indexes = _tasks(task(1, projectId=PROJECT), task(2, projectId=PROJECT, isDeleted=True), task(3))
    assert _held(indexes, "projectId", "deletedAt", "id") == 1
    assert _plan(indexes, TRASHED, "deletedAt").size == 1


def test_a_record_enters_and_leaves_an_index_with_its_state() -> None:
    live, trashed = task(1, projectId=PROJECT), task(1, projectId=PROJECT, isDeleted=True, version=2)
    indexes = _tasks(live)
    indexes.replace(live, trashed)
    assert _held(indexes, "projectId", "deletedAt", "id") == 1
    indexes.replace(trashed, {**live, "version": 3})
    assert _held(indexes, "projectId", "deletedAt", "id") == 0


def test_a_settled_entry_moves_only_where_its_state_counts() -> None:
    indexes = _entries("PENDING")
    before = entry(put("tasks", task(1)), syncStatus="PENDING")
    indexes.replace(None, before | {"id": "f" * 24, "entityId": "e" * 24})
    indexes.replace(before, before | {"syncStatus": "SYNCED"})
    assert _held(indexes, "syncStatus", "id") == 1
    assert _held(indexes, "at", "id") == 2
    assert indexes.moves(before, before | {"syncStatus": "SYNCED"}) == []


def test_what_equals_another_value_is_still_moved_to_its_own_place() -> None:
    before = task(1, createdAt=1)
    indexes = _tasks(before)
    indexes.replace(before, before | {"createdAt": True})
    (order,) = [index for index in indexes.orders if index.fields == ("isDeleted", "createdAt", "id")]
    assert [key[1] for key in order.keys.between((), ((9,),))] == [(4, True)]


def test_what_has_no_project_is_in_no_order_of_projects() -> None:
    indexes = _tasks(task(1, projectId=None), task(2, projectId=PROJECT))
    assert _held(indexes, "isDeleted", "projectId", "createdAt", "id") == 1
    assert _held(indexes, "externalKey", "id") == 0


def test_entries_that_arrived_are_not_among_the_unsettled() -> None:
    indexes = _entries("PENDING", "SYNCED", None, "PARKED", "FAILED")
    assert _held(indexes, "syncStatus", "id") == 3
    wanted = _plan(indexes, OneOf("syncStatus", ("FAILED", "PARKED")))
    assert (wanted.size, wanted.is_exact) == (2, True)


@pytest.mark.parametrize(
    ("where", "matches"),
    [
        (Equals("syncStatus", "SYNCED"), 2),
        (OneOf("syncStatus", ("PENDING", "SYNCED")), 3),
        (IsNull("syncStatus"), 1),
        (NotNull("syncStatus"), 3),
        (Range(field="syncStatus", at_least="A"), 3),
    ],
)
def test_a_question_beyond_a_scope_is_asked_of_another_index(where: Criterion, matches: int) -> None:
    way = _plan(_entries("PENDING", "SYNCED", None, "SYNCED"), where)
    assert ("syncStatus", "id") not in _walked(way)
    assert way.size >= matches


def test_the_unsettled_are_found_without_looking_at_the_others() -> None:
    indexes = _entries(*["SYNCED"] * 50, "PENDING")
    way = _plan(indexes, Equals("syncStatus", "PENDING"))
    assert (_walked(way), way.size, way.is_ordered) == ({("syncStatus", "id")}, 1, True)
