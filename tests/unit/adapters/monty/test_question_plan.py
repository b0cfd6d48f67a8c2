"""Which of several ways through the indexes a question takes."""

from typing import Any

import pytest

from adapters.monty.collection_indexes import CollectionIndexes, IndexForm, late_order, rank
from adapters.monty.index_walk import Plan
from adapters.monty.question_plan import STRETCHES_MAX, plan
from adapters.records.criteria import AllOf, AnyOf, Criterion, Equals, OneOf, Order
from adapters.records.specs import SPECS
from tests.unit.contracts.builders import task

ANNA, BEN, TEAM = "a" * 24, "b" * 24, "c" * 24
LIVE = Equals("isDeleted", False)
SEEN_BY_BEN = AnyOf(
    (Equals("ownerId", BEN), OneOf("teamId", (TEAM, "d" * 24)), OneOf("assigneeId", (BEN, TEAM)))
)


def _newest(where: Criterion, *owners: str, **fields: Any) -> Plan:
    records = [task(number, ownerId=owner, **fields) for number, owner in enumerate(owners, start=1)]
    indexes = CollectionIndexes(SPECS["tasks"], records)
    return plan(indexes.orders, where, order=Order("createdAt", descending=True), limit=20)


@pytest.mark.parametrize("owners", [(BEN,) * 40, (ANNA, BEN) * 20, (ANNA,) * 40])
def test_a_page_of_what_somebody_sees_leaves_nothing_to_check_however_much_that_is(
    owners: tuple[str, ...],
) -> None:
    way = _newest(AllOf((LIVE, SEEN_BY_BEN)), *owners, teamId=TEAM, assigneeId=TEAM)
    assert (way.is_exact, way.is_ordered) == (True, True)


def test_where_no_way_leaves_nothing_to_check_the_smaller_one_is_taken() -> None:
    where = AllOf((LIVE, Equals("ownerId", BEN), Equals("createdBy", BEN)))
    way = _newest(where, ANNA, ANNA, ANNA, BEN)
    assert (way.size, way.rest) == (1, (Equals("createdBy", BEN),))


def test_a_question_with_too_many_values_is_walked_along_one_index() -> None:
    teams = tuple(f"{number:024x}" for number in range(STRETCHES_MAX + 1))
    way = _newest(AllOf((LIVE, OneOf("teamId", teams))), BEN, teamId=teams[0])
    assert len(way.stretches or ()) == 1
    assert way.rest == (OneOf("teamId", teams),)


def test_a_question_for_none_of_no_values_has_no_candidates() -> None:
    assert _newest(AllOf((LIVE, OneOf("teamId", ()))), BEN, teamId=TEAM).size == 0


def test_an_order_without_its_own_index_is_walked_among_what_matches() -> None:
    records = [task(number, ownerId=BEN if number % 4 else ANNA, dueAt=None) for number in range(1, 400)]
    indexes = CollectionIndexes(SPECS["tasks"], records)
    by_due = late_order(IndexForm(("isDeleted", "dueAt", "id")))
    for record in records:
        by_due.keys.add(by_due.pick({name: rank(record.get(name)) for name in by_due.fields}))
    where = AllOf((LIVE, AnyOf((Equals("ownerId", BEN), OneOf("assigneeId", (BEN, TEAM))))))
    way = plan([*indexes.orders, by_due], where, order=Order("dueAt"), limit=20)
    assert (way.is_ordered, way.is_exact) == (True, True)
    among = way.among(way.walk(None, 20, descending=False))
    assert among == [record["id"] for record in records[:20] if record["ownerId"] == BEN]


def test_few_matches_are_read_and_sorted_rather_than_looked_for_along_an_order() -> None:
    records = [task(number, ownerId=BEN if number == 7 else ANNA) for number in range(1, 400)]
    indexes = CollectionIndexes(SPECS["tasks"], records)
    by_due = late_order(IndexForm(("isDeleted", "dueAt", "id")))
    for record in records:
        by_due.keys.add(by_due.pick({name: rank(record.get(name)) for name in by_due.fields}))
    way = plan(
        [*indexes.orders, by_due], AllOf((LIVE, Equals("ownerId", BEN))), order=Order("dueAt"), limit=20
    )
    assert (way.is_ordered, way.size) == (False, 1)
