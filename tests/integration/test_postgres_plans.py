"""PostgreSQL uses partial indexes, also where a statement is planned once for all values."""

from collections.abc import Iterator

import psycopg
import pytest

from adapters.postgres.criteria_sql import question_sql
from adapters.records.criteria import AllOf, Criterion, Equals, IsNull, OneOf, Order, Question, Range
from adapters.records.indexes import UNDELIVERED
from tests.servers.postgres import PostgresServer
from tests.unit.contracts.builders import minutes

PROJECT = "a" * 24
LIVE, TRASHED = Equals("isDeleted", False), Equals("isDeleted", True)
DATED = Range(field="dueBy", at_least=minutes(-(10**6)))
IN_PROJECT = Equals("projectId", PROJECT)


@pytest.fixture(scope="module")
def connection(postgres_server: PostgresServer) -> Iterator["psycopg.Connection[tuple[str]]"]:
    url = postgres_server.create_prepared_database()
    with psycopg.connect(url, autocommit=True) as connection:
        # The tables are empty: without this, reading all of nothing is always the cheapest.
        connection.execute("SET enable_seqscan = off")
        yield connection
    postgres_server.drop_database(url)


@pytest.mark.parametrize(
    ("collection", "where", "order", "index"),
    [
        ("tasks", AllOf((IN_PROJECT, LIVE)), "createdAt", "tasks_project_created"),
        ("tasks", AllOf((IN_PROJECT, LIVE)), "dueBy", "tasks_project_due"),
        ("tasks", AllOf((IN_PROJECT, LIVE, DATED)), "dueBy", "tasks_project_due"),
        ("tasks", AllOf((IN_PROJECT, LIVE, IsNull("dueBy"))), "dueBy", "tasks_project_due"),
        ("tasks", AllOf((Equals("parentId", PROJECT), LIVE)), "createdAt", "tasks_parent_created"),
        ("tasks", AllOf((IN_PROJECT, TRASHED)), "deletedAt", "tasks_project_deleted"),
        ("tasks", Equals("externalKey", "bd-1"), "externalKey", "tasks_external_key"),
        ("projects", AllOf((Equals("teamId", PROJECT), LIVE)), "createdAt", "projects_team"),
        ("audit_logs", Equals("idempotencyKey", "k"), "idempotencyKey", "audit_logs_idempotency_key"),
        ("audit_logs", Equals("syncStatus", "PENDING"), "id", "audit_logs_undelivered"),
        ("audit_logs", OneOf("syncStatus", UNDELIVERED), "syncStatus", "audit_logs_undelivered"),
        (
            "audit_logs",
            AllOf(
                (
                    Equals("collection", "tasks"),
                    Equals("entityId", PROJECT),
                    Range(field="at", below=minutes(1)),
                )
            ),
            "version",
            "audit_logs_version",
        ),
    ],
)
def test_a_common_question_is_answered_from_its_index(
    connection: "psycopg.Connection[tuple[str]]", *, collection: str, where: Criterion, order: str, index: str
) -> None:
    question = Question(collection=collection, where=where, order=Order(order), limit=20)
    statement, values = question_sql(question)
    numbered = statement % {name: f"${number}" for number, name in enumerate(values, start=1)}
    found = connection.execute(f"EXPLAIN (GENERIC_PLAN) {numbered}".encode())
    plan = "\n".join(line for (line,) in found)
    assert index in plan
