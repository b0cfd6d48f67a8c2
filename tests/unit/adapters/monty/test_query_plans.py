"""The lists, searches and counts of the service use the indexes that were made for them."""

import pytest

from adapters.monty.planning import AccessPath, count_statement, order_index, page_statements
from adapters.monty.tables import TABLES
from adapters.records.criteria import (
    AllOf,
    AnyOf,
    Criterion,
    Equals,
    HasWords,
    IsNull,
    OneOf,
    Order,
    Question,
    Range,
    conjuncts_of,
)
from adapters.records.record import IS_ERASED
from tests.unit.adapters.monty.query_plans import plan_of
from tests.unit.contracts.builders import minutes, numbered_id

ME, TEAMS = numbered_id(1), tuple(numbered_id(number) for number in range(2, 9))
LIVE = Equals("isDeleted", value=False)
TRASH = (Equals("isDeleted", value=True), IsNull(IS_ERASED))
DATED = Range(field="dueBy", at_least=minutes(-(10**6)))
AUDIENCE = AnyOf((Equals("ownerId", ME), OneOf("teamId", TEAMS), OneOf("assigneeId", (ME, *TEAMS))))


def plan_of_page(collection: str, where: Criterion, order: Order, *, after: object = None) -> str:
    """How the page is read where an estimate says that following the order is the cheapest."""
    position = None if after is None else (after, ME)
    question = Question(collection=collection, where=where, order=order, after=position, limit=20)  # type: ignore[arg-type]
    table = TABLES[collection]
    index, _ = order_index(table, conjuncts_of(where), order)
    statements, is_exact = page_statements(table, question, AccessPath(index))
    assert is_exact
    return plan_of(*statements)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("field", "after", "index"),
    [
        ("createdAt", minutes(1), "tasks_created"),
        ("updatedAt", minutes(1), "tasks_by_updatedAt"),
        ("dueBy", minutes(1), "tasks_by_dueBy"),
        ("priority", 2, "tasks_by_priority"),
        ("displayId", 17, "tasks_by_displayId"),
    ],
)
def test_tasks_are_listed_in_every_order_without_sorting(
    field: str, after: object, index: str, descending: bool
) -> None:
    for position in (None, after):
        for where in (LIVE, AllOf((LIVE, AUDIENCE))):
            plan = plan_of_page("tasks", where, Order(field, descending=descending), after=position)
            assert f"USING INDEX {index}" in plan
            assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    ("part", "search"),
    [(DATED, "(dueBy>? AND dueBy<?)"), (IsNull("dueBy"), "(dueBy=?")],
)
def test_dated_and_undated_tasks_are_each_one_range_of_an_index(part: Criterion, search: str) -> None:
    plan = plan_of_page("tasks", AllOf((LIVE, part)), Order("dueBy"))
    assert f"INDEX tasks_by_dueBy {search}" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    ("collection", "where", "field", "index"),
    [
        ("tasks", AllOf((LIVE, Equals("projectId", ME))), "createdAt", "tasks_project_created (projectId=?"),
        ("tasks", AllOf((LIVE, Equals("projectId", ME))), "dueBy", "tasks_project_due (projectId=?"),
        ("tasks", AllOf((LIVE, Equals("parentId", ME))), "createdAt", "tasks_parent_created (parentId=?"),
        ("tasks", AllOf((LIVE, Equals("ownerId", ME))), "updatedAt", "tasks_owner_updated (ownerId=?"),
        (
            "tasks",
            AllOf((*TRASH, Range(field="deletedAt", below=minutes(9)))),
            "deletedAt",
            "tasks_deleted (deletedAt",
        ),
        ("projects", AllOf((LIVE, Equals("ownerId", ME))), "updatedAt", "projects_owner_updated (ownerId=?"),
        ("projects", LIVE, "name", "projects_by_name"),
        ("labels", LIVE, "createdAt", "labels_created"),
        ("teams", LIVE, "createdAt", "teams_created"),
        ("watchlists", AllOf((LIVE, Equals("userId", ME))), "updatedAt", "watchlists_user (userId=?"),
        ("audit_logs", Equals("actorId", ME), "at", "audit_logs_actor_at (actorId=?"),
        ("audit_logs", Equals("syncStatus", "PENDING"), "id", "audit_logs_undelivered (syncStatus=?"),
        (
            "audit_logs",
            AllOf((Equals("collection", "tasks"), Equals("entityId", ME))),
            "version",
            "audit_logs_version (collection=? AND entityId=?)",
        ),
    ],
)
def test_other_lists_start_in_the_right_place_of_their_index(
    collection: str, where: Criterion, field: str, index: str
) -> None:
    plan = plan_of_page(collection, where, Order(field, descending=True))
    assert f"INDEX {index}" in plan
    assert "TEMP B-TREE FOR ORDER BY" not in plan


def test_a_members_tasks_are_gathered_from_one_index_for_each_reason_to_see_them() -> None:
    question = Question(collection="tasks", where=AllOf((LIVE, AUDIENCE)), order=Order("dueBy"), limit=20)
    statements, is_exact = page_statements(TABLES["tasks"], question, AccessPath(None))
    plan = plan_of(*statements)
    assert is_exact
    assert "MULTI-INDEX OR" in plan
    assert all(
        f"INDEX {index}" in plan for index in ("tasks_owner_", "tasks_team_created", "tasks_assignee_created")
    )


def test_a_members_tasks_are_counted_from_indexes_alone() -> None:
    plan = plan_of(count_statement(TABLES["tasks"], [LIVE, AUDIENCE]))
    searches = [line for line in plan.splitlines() if line.startswith("SEARCH")]
    assert [
        "tasks_owner_" in searches[0],
        "tasks_team_" in searches[1],
        "tasks_assignee_" in searches[2],
    ] == [True] * 3
    assert "SCAN tasks" not in plan


def test_a_word_is_counted_without_reading_a_task_that_has_it() -> None:
    plan = plan_of(count_statement(TABLES["tasks"], [LIVE, HasWords("pond")]))
    assert "SCAN tasks_words VIRTUAL TABLE INDEX" in plan
    assert "SCAN tasks USING INDEX tasks_not_live" in plan
    assert "SEARCH tasks " not in plan
