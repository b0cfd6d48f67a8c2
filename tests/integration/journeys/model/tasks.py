"""Tasks. Each function changes the model, or raises Refused and changes nothing."""

from collections.abc import Iterator
from typing import Any

from tests.integration.journeys.model.sight import decides_on_task, is_member, seen, sees_project, sees_task
from tests.integration.journeys.model.state import NOW, Model, View, is_stale, refuse

NEW: View = {
    "description": None,
    "status": "TODO",
    "priority": "MEDIUM",
    "projectId": None,
    "parentId": None,
    "labelIds": [],
    "startedAt": None,
    "dueAt": None,
    "dueOn": None,
    "completedAt": None,
    "links": [],
    "isAcknowledged": False,
    "deferredTill": None,
    "assigneeId": None,
    "assigneeType": None,
    "executorId": None,
    "deletedReason": None,
}
CONTENT = (
    "title",
    "description",
    "status",
    "priority",
    "projectId",
    "parentId",
    "labelIds",
    "startedAt",
    "dueAt",
    "dueOn",
    "completedAt",
    "links",
    "deferredTill",
)
"""What a roll back puts back. Number, home and assignment stay with the present, and so does its acknowledgement."""


def create(model: Model, by: str, body: View, *, id: str, display_id: str) -> None:
    refuse((not _refers_well(model, by, None, body), 422))
    fields = {**NEW, **_completed(NEW, _started(NEW, body))}
    model.tasks.add(id, by, displayId=display_id, **fields, **_home(model, fields["projectId"], by))


def change(model: Model, by: str, id: str, body: View, *, expected: int | None) -> None:
    task = seen(model, by, "tasks", id)
    fields = _completed(task, _started(task, body))
    is_moved = body.get("projectId", task["projectId"]) != task["projectId"]
    is_done = body.get("status") == "DONE"
    due, until = body.get("dueAt"), task["deferredTill"]
    is_due_too_early = due is not None and until is not None and due < until and not is_done
    refuse(
        (is_stale(task, expected), 412),
        (is_moved and not decides_on_task(model, by, task), 403),
        (task["isDeleted"], 409),
        (not _refers_well(model, by, task, body), 422),
        (is_due_too_early, 422),
    )
    if is_done:
        fields["deferredTill"] = None
    _write(model, by, task, fields)


def defer(model: Model, by: str, id: str, until: str | None, *, expected: int | None, is_past: bool) -> None:
    task = seen(model, by, "tasks", id)
    is_beyond_due = until is not None and task["dueAt"] is not None and until > task["dueAt"]
    refuse(
        (is_stale(task, expected), 412),
        (task["isDeleted"], 409),
        (until is not None and task["status"] == "DONE", 409),
        (is_past or is_beyond_due, 422),
    )
    model.tasks.change(id, by, deferredTill=until)


def delete(model: Model, by: str, id: str, *, expected: int | None) -> None:
    task = seen(model, by, "tasks", id)
    refuse(
        (not decides_on_task(model, by, task), 403),
        (is_stale(task, expected), 412),
        (task["isDeleted"], 409),
    )
    model.tasks.delete(id, by)


def restore(model: Model, by: str, id: str, *, expected: int | None) -> None:
    task = seen(model, by, "tasks", id)
    project_id = task["projectId"]
    refuse(
        (not decides_on_task(model, by, task), 403),
        (is_stale(task, expected), 412),
        (not task["isDeleted"], 409),
        (project_id is not None and model.projects[project_id]["isDeleted"], 409),
    )
    model.tasks.restore(id, by)


def roll_back(model: Model, by: str, id: str, version: int, *, expected: int | None) -> None:
    task = seen(model, by, "tasks", id)
    versions = model.tasks.versions[id]
    is_known = 1 <= version <= len(versions)
    content = {name: versions[version - 1][name] for name in CONTENT} if is_known else {}
    refuse(
        (not decides_on_task(model, by, task), 403),
        (is_stale(task, expected), 412),
        (not is_known, 404),
        (task["isDeleted"], 409),
        (not _refers_well(model, by, task, content), 422),
    )
    _write(model, by, task, content)


def watch(model: Model, by: str, id: str) -> None:
    task = seen(model, by, "tasks", id)
    if (by, id) not in model.watches:
        refuse((task["isDeleted"], 409))
        model.watches[by, id] = None


def unwatch(model: Model, by: str, id: str) -> None:
    """Also tasks that the user may not see any more."""
    if (by, id) in model.watches:
        del model.watches[by, id]
    else:
        seen(model, by, "tasks", id)


def move_to(model: Model, by: str, task: View, project: View) -> None:
    """The task in the present hands of its project."""
    model.tasks.change(task["id"], by, ownerId=project["ownerId"], teamId=project["teamId"])


def _write(model: Model, by: str, task: View, fields: View) -> None:
    """A task that is open again waits for somebody where who did it has left the team meanwhile."""
    if fields.get("projectId", task["projectId"]) != task["projectId"]:
        # Taken out of its project it stays its owner's.
        fields = {**fields, **_home(model, fields["projectId"], task["ownerId"])}
    is_open_again = task["status"] == "DONE" and fields.get("status", "DONE") != "DONE"
    executor, assignment = task["executorId"], model.assignment_of(task["id"])
    has_left = executor is not None and not is_member(model, executor, task["assigneeId"])
    if is_open_again and has_left and assignment is not None:
        fields = {**fields, "executorId": None}
        model.assignments.change(assignment["id"], by, executorId=None)
    model.tasks.change(task["id"], by, **fields)


def _home(model: Model, project_id: str | None, alone: str) -> View:
    """Whose a task is: its project's owner's and team's; without a project it is one person's alone."""
    if project_id is None:
        return {"ownerId": alone, "teamId": None}
    project = model.projects[project_id]
    return {"ownerId": project["ownerId"], "teamId": project["teamId"]}


def _completed(task: View, body: View) -> View:
    """The body with the time of completion that follows from the status."""
    status = body.get("status", task["status"])
    if status != "DONE":
        return {**body, "completedAt": None}
    return body if task["status"] == "DONE" else {**body, "completedAt": NOW}


def _started(before: View, body: View) -> View:
    """The fields of a body, labels in their order; work begins when a task first gets into progress."""
    fields: dict[str, Any] = dict(body)
    if "labelIds" in body:
        fields["labelIds"] = sorted(body["labelIds"])
    begins = body.get("status") == "IN_PROGRESS" and before["startedAt"] is None
    if begins and "startedAt" not in body:
        fields["startedAt"] = NOW
    return fields


def _refers_well(model: Model, by: str, before: View | None, fields: View) -> bool:
    """Whether every new project and parent is live and visible to the user; no task is its own ancestor."""
    project_id, parent_id = fields.get("projectId"), fields.get("parentId")
    if project_id is not None and (before is None or before["projectId"] != project_id):
        project = model.projects[project_id]
        if project["isDeleted"] or not sees_project(model, by, project):
            return False
    if parent_id is None or (before is not None and before["parentId"] == parent_id):
        return True
    parent = model.tasks[parent_id]
    if parent["isDeleted"] or not sees_task(model, by, parent):
        return False
    return before is None or before["id"] not in _lineage(model, parent)


def _lineage(model: Model, task: View) -> Iterator[str]:
    """The task and all above it."""
    id_: str | None = task["id"]
    while id_ is not None:
        yield id_
        id_ = model.tasks[id_]["parentId"]
