"""Values that were read and that no record shows are kept."""

from typing import Any

import pytest
from bson.objectid import ObjectId

from adapters.adoption.plan import Plan
from tests.unit.adapters.adoption.originals import kept, planned, record
from tools.todo_database import duplicates, sample
from tools.todo_documents import at, task_id, team_id, user_id

ID = ObjectId("65e58d900000000400000777")
SECOND = duplicates()["users"][0]["_id"]
"""An account whose place the first one takes."""


def with_document(collection: str, **fields: Any) -> Plan:
    """The plan for the sample with two accounts of one person, and a document."""
    return planned(sample(), duplicates(), {collection: [{"_id": ID, "createdAt": at(1), **fields}]})


@pytest.mark.parametrize(
    "status", ["TODO", "IN_PROGRESS", "DEFERRED", "hooked", 7, ["DONE"], {"is": "DONE"}, None]
)
@pytest.mark.parametrize("name", ["completedAt", "completed_at"])
def test_the_completion_of_a_task_that_is_not_done_is_kept(status: object, name: str) -> None:
    task = record(with_document("tasks", title="Dig", status=status, **{name: at(3)}), "tasks", ID)

    assert (task["completedAt"], kept(task)[name]) == (None, at(3))
    assert kept(task).get("status") == (None if status in ("TODO", "IN_PROGRESS") else status)


def test_the_completion_of_a_task_that_is_done_is_its_own() -> None:
    task = record(with_document("tasks", title="Dig", status="DONE", completedAt=at(3)), "tasks", ID)
    assert (task["completedAt"], kept(task)) == (at(3), {})


@pytest.mark.parametrize(
    ("collection", "name", "field", "others"),
    [
        ("tasks", "ownerId", "ownerId", {"title": "Dig"}),
        ("tasks", "owner_id", "ownerId", {"title": "Dig"}),
        ("teams", "ownerId", "ownerId", {"name": "Diggers"}),
        ("teams", "owner_id", "ownerId", {"name": "Diggers"}),
        ("teams", "pocId", "pocId", {"name": "Diggers"}),
        ("teams", "poc_id", "pocId", {"name": "Diggers"}),
    ],
)
def test_a_reference_to_an_account_that_another_one_replaces_is_kept(
    collection: str, name: str, field: str, others: dict[str, Any]
) -> None:
    found = record(with_document(collection, **{name: SECOND, **others}), collection, ID)
    assert (found[field], kept(found)[name]) == (str(user_id(0)), SECOND)


@pytest.mark.parametrize("name", ["executorId", "executor_id"])
def test_the_executor_whom_another_account_replaces_is_kept(name: str) -> None:
    plan = with_document(
        "task_details", task_id=task_id(1), assignee_id=team_id(0), user_type="team", **{name: SECOND}
    )
    assignment = record(plan, "task_assignments", ID)
    assert (assignment["executorId"], kept(assignment)) == (str(user_id(0)), {name: SECOND})


@pytest.mark.parametrize(
    "flags", [{"isDeleted": True, "isActive": True}, {"is_deleted": False, "is_active": False}]
)
def test_flags_that_contradict_each_other_are_kept(flags: dict[str, bool]) -> None:
    found = record(with_document("labels", name="Bug", **flags), "labels", ID)
    assert (found["isDeleted"], kept(found)) == (True, flags)


@pytest.mark.parametrize("version", [0, -3])
def test_a_version_that_no_record_can_have_is_kept(version: int) -> None:
    assert kept(record(with_document("labels", name="Bug", version=version), "labels", ID)) == {
        "version": version
    }


def test_a_status_of_the_history_that_tandem_does_not_have_is_kept() -> None:
    plan = with_document("audit_logs", task_id=task_id(1), status_from="TODO", status_to="DEFERRED")
    (event,) = [event for one in plan.records for event in one.events if event.id == str(ID)]
    assert event.changes["status"] == {"before": "TODO", "after": "TODO"}
    assert event.changes["adopted.statusTo"] == {"before": None, "after": "DEFERRED"}
    assert "adopted.statusFrom" not in event.changes
