"""Questions as SQL: one text for each template, and values as parameters."""

from datetime import UTC, datetime

import pytest

from adapters.postgres.criteria_sql import count_sql, question_sql
from adapters.records.criteria import (
    AllOf,
    AnyOf,
    Criterion,
    Equals,
    HasWords,
    Holds,
    IsNull,
    NotNull,
    OneOf,
    Order,
    Question,
    Range,
    Scalar,
)
from domain.audit import SyncStatus

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def _question(
    where: Criterion, *, order: Order | None = None, after: tuple[Scalar | None, str] | None = None
) -> Question:
    return Question(collection="tasks", where=where, order=order or Order("id"), after=after, limit=20)


def _all_operators(text: str, number: int) -> Criterion:
    return AllOf(
        (
            Equals("title", text),
            OneOf("status", (text, text)),
            AnyOf((IsNull("dueAt"), NotNull("projectId"), Range(field="priority", above=number))),
            Holds("labelIds", text),
            HasWords(text),
        )
    )


def test_questions_of_one_template_share_their_text() -> None:
    first, its_values = question_sql(_question(_all_operators("red", 1)))
    second, other_values = question_sql(_question(_all_operators("blue", 2)))
    assert first == second
    assert its_values.keys() == other_values.keys()
    assert its_values != other_values


def test_no_value_becomes_part_of_a_statement() -> None:
    hostile = "x'; DROP TABLE postgres_tasks; --"
    statement, values = question_sql(_question(_all_operators(hostile, 1), after=(None, hostile)))
    assert "DROP" not in statement
    assert hostile in values.values()


def test_truth_values_stay_in_the_text_for_partial_indexes() -> None:
    live, values = count_sql("tasks", Equals("isDeleted", False))
    assert "NOT postgres_tasks.is_deleted" in live
    assert values == {}


def test_sync_states_stay_in_the_text_for_the_index_of_the_unsettled() -> None:
    pending, values = count_sql("audit_logs", Equals("syncStatus", SyncStatus.PENDING))
    assert "sync_status = 'PENDING'" in pending
    assert values == {}
    troubled, values = count_sql("audit_logs", OneOf("syncStatus", ("FAILED", "PARKED")))
    assert "sync_status IN ('FAILED', 'PARKED')" in troubled
    assert values == {}


def test_a_value_that_is_no_sync_state_becomes_a_parameter() -> None:
    hostile = "PENDING' OR 'a"
    for where in (Equals("syncStatus", hostile), OneOf("syncStatus", ("FAILED", hostile))):
        statement, values = count_sql("audit_logs", where)
        assert hostile not in statement
        assert any(hostile in value for value in values.values())


def test_tombstones_are_never_asked_for() -> None:
    assert "is_erased IS NOT true" in count_sql("tasks", AllOf(()))[0]
    assert "is_erased IS NOT true" in question_sql(_question(AllOf(())))[0]


@pytest.mark.parametrize(
    "criterion",
    [
        Equals("title", 5),
        Equals("title", "a\x00b"),
        Equals("title", "\ud800"),
        Equals("priority", True),
        Equals("priority", 2**63),
        Equals("isDeleted", "yes"),
        Equals("dueAt", "tomorrow"),
        OneOf("priority", ("1", True)),
        OneOf("status", ()),
        Range(field="priority", above="1"),
        AnyOf(()),
    ],
)
def test_a_value_that_no_row_can_hold_matches_nothing(criterion: Criterion) -> None:
    statement, values = count_sql("tasks", criterion)
    assert "WHERE false" in statement
    assert values == {}


def test_a_question_about_an_unknown_field_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        count_sql("tasks", Equals("colour", "red"))


@pytest.mark.parametrize("descending", [False, True])
def test_a_later_page_starts_at_its_position_in_the_index(descending: bool) -> None:
    order = Order("createdAt", descending=descending)
    statement, _ = question_sql(_question(AllOf(()), order=order, after=(NOON, "a")))
    comparison = "<" if descending else ">"
    assert f"(postgres_tasks.created_at, postgres_tasks.mongo_id) {comparison}" in statement
    assert ("UNION ALL" in statement) is descending
