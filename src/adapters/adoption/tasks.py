"""Labels, tasks, their assignments, and who follows them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from adapters.adoption.document_fields import DocumentFields
from adapters.adoption.drafts import Drafts, Reading, oldest_first, trash
from adapters.adoption.findings import ORPHAN, SAME_PAIR, SECOND_ASSIGNMENT, TRASH
from adapters.adoption.numbering import is_display_number, name_labels
from adapters.adoption.people import People
from adapters.records.originals import Original
from domain.assignment import AssigneeType, TaskAssignment
from domain.errors import RuleBroken
from domain.label import DEFAULT_COLOR, Label
from domain.project import require_color
from domain.task import Priority, Task, TaskStatus
from domain.watch import Watch, watch_id

NO_TITLE: Final = "The task has no title."
NO_NAME: Final = "The label has no name."
NO_ASSIGNEE: Final = "It names no task or no assignee, so it cannot be an assignment."
NO_WATCH: Final = "It names no person or no task, so nobody follows anything."
STATUSES: Final[Mapping[str, TaskStatus]] = {
    **{status.value: status for status in TaskStatus},
    "DEFERRED": TaskStatus.TODO,
}
PRIORITIES: Final[Mapping[str, Priority]] = {
    **{priority.name: priority for priority in Priority},
    **{str(priority.value): priority for priority in Priority},
}
ASSIGNEE_TYPES: Final = {kind.value: kind for kind in AssigneeType}


def labels_in(originals: Iterable[Original], reading: Reading) -> Drafts[Label]:
    """The labels of these documents; no two live ones have one name."""
    labels: Drafts[Label] = {}
    for fields in reading.usable(originals):
        name = fields.text("name")
        if name is None or not name.strip():
            reading.findings.quarantine(fields.original, NO_NAME)
            continue
        stamps = reading.stamps(fields)
        in_trash = trash(fields, stamps, since=reading.at)
        label = Label(id=fields.id, version=1, name=name, color=_color(fields), **stamps, **in_trash)
        labels[fields.id] = reading.draft(fields, label)
        if in_trash:
            reading.findings.add(TRASH, "labels", fields.id)
    name_labels(labels, reading.findings)
    return labels


def _color(fields: DocumentFields) -> str:
    color = fields.text("color")
    try:
        return DEFAULT_COLOR if color is None else require_color(color.strip().lower())
    except RuleBroken:
        fields.keep("color")
        fields.replaced.append("color")
        return DEFAULT_COLOR


def tasks_in(
    originals: Iterable[Original], people: People, reading: Reading, *, labels: Drafts[Label]
) -> Drafts[Task]:
    """The tasks of these documents; some may have the same number or none."""
    tasks: Drafts[Task] = {}
    for fields in reading.usable(originals):
        title = fields.text("title")
        if title is None or not title.strip():
            reading.findings.quarantine(fields.original, NO_TITLE)
            continue
        task = _task(fields, title, people, reading)
        tasks[fields.id] = reading.draft(fields, task)
        if task.is_deleted:
            reading.findings.add(TRASH, "tasks", fields.id)
        if not labels.keys() >= set(task.label_ids):
            reading.findings.add(ORPHAN, "tasks", fields.id, detail="in labels")
        if task.owner_id not in people.users:
            reading.findings.add(ORPHAN, "tasks", fields.id, detail="the owner, in users")
    return tasks


def _task(fields: DocumentFields, title: str, people: People, reading: Reading) -> Task:
    stamps = reading.stamps(fields)
    status = fields.member(("status",), STATUSES)
    if status is not None and fields.original.fields["status"] != status.value:
        fields.keep("status")
    owner_id = fields.reference("ownerId", "owner_id") or stamps["created_by"]
    people.keep_other(fields, owner_id, "ownerId", "owner_id")
    completed_at = fields.instant("completedAt", "completed_at")
    if status is not TaskStatus.DONE:
        fields.keep("completedAt", "completed_at")
    return Task(
        id=fields.id,
        version=1,
        title=title,
        description=fields.text("description"),
        status=status or TaskStatus.TODO,
        priority=fields.member(("priority",), PRIORITIES) or Priority.MEDIUM,
        label_ids=fields.references("labels", "labelIds", "label_ids"),
        started_at=fields.instant("startedAt", "started_at"),
        due_at=fields.instant("dueAt", "due_at"),
        completed_at=completed_at if status is TaskStatus.DONE else None,
        is_acknowledged=fields.flag("isAcknowledged", "is_acknowledged") or False,
        owner_id=people.acting(owner_id),
        display_id=_number(fields),
        deferred_till=_deferred_till(fields),
        **stamps,
        **trash(fields, stamps, since=reading.at),
    )


def _number(fields: DocumentFields) -> int | None:
    """The display number; None for one that no task could have."""
    number = fields.number("displayId", "display_id")
    if number is None or is_display_number(number):
        return number
    fields.keep("displayId", "display_id")
    return None


def _deferred_till(fields: DocumentFields) -> Any:
    details = fields.within("deferredDetails")
    till = details.instant("deferredTill", "deferred_till")
    return till or fields.instant("deferredTill", "deferred_till")


def assignments_in(
    originals: Iterable[Original], people: People, reading: Reading, *, tasks: Drafts[Task]
) -> Drafts[TaskAssignment]:
    """The assignments of these documents, at most one of each task active; its copy is put into the task."""
    assignments: Drafts[TaskAssignment] = {}
    for fields in reading.usable(originals):
        assignment = _assignment(fields, people, reading)
        if assignment is None:
            reading.findings.quarantine(fields.original, NO_ASSIGNEE)
            continue
        assignments[fields.id] = reading.draft(fields, assignment)
        if assignment.task_id not in tasks:
            reading.findings.add(ORPHAN, "task_details", fields.id, detail="in tasks")
        is_for_user = assignment.assignee_type is AssigneeType.USER
        if is_for_user and assignment.assignee_id not in people.users:
            reading.findings.add(ORPHAN, "task_details", fields.id, detail="the assignee, in users")
    _end_doubles(assignments, reading)
    for draft in assignments.values():
        live = draft.entity
        if not live.is_deleted and (task := tasks.get(live.task_id)) is not None:
            task.entity = replace(
                task.entity,
                assignee_id=live.assignee_id,
                assignee_type=live.assignee_type,
                executor_id=live.executor_id,
            )
    return assignments


def _assignment(fields: DocumentFields, people: People, reading: Reading) -> TaskAssignment | None:
    task_id = fields.reference("taskId", "task_id")
    assignee_id = fields.reference("assigneeId", "assignee_id")
    names = ("userType", "user_type", "assigneeType", "assignee_type", "relationType", "relation_type")
    kind = fields.member(names, ASSIGNEE_TYPES)
    if task_id is None or assignee_id is None or kind is None:
        return None
    executor_id = fields.reference("executorId", "executor_id")
    people.keep_other(fields, executor_id, "executorId", "executor_id")
    if kind is AssigneeType.USER:
        people.keep_other(fields, assignee_id, "assigneeId", "assignee_id")
        assignee_id = people.acting(assignee_id)
    stamps = reading.stamps(fields)
    return TaskAssignment(
        id=fields.id,
        version=1,
        task_id=task_id,
        assignee_id=assignee_id,
        assignee_type=kind,
        executor_id=None if executor_id is None else people.acting(executor_id),
        **stamps,
        **trash(fields, stamps),
    )


def _end_doubles(assignments: Drafts[TaskAssignment], reading: Reading) -> None:
    newest: dict[str, str] = {}
    for draft in reversed(oldest_first(assignments.values())):
        assignment = draft.entity
        if assignment.is_deleted or newest.setdefault(assignment.task_id, assignment.id) == assignment.id:
            continue
        follower = assignments[newest[assignment.task_id]].entity
        draft.entity = replace(
            assignment, is_deleted=True, deleted_at=follower.created_at, deleted_by=follower.created_by
        )
        draft.keep("task_details", "is_active", value=True)
        reading.findings.add(SECOND_ASSIGNMENT, "task_details", assignment.id)


def watches_in(
    originals: Iterable[Original], people: People, reading: Reading, *, tasks: Drafts[Task]
) -> Drafts[Watch]:
    """Who follows which task: one record for each pair."""
    watches: Drafts[Watch] = {}
    for fields in reading.usable(originals):
        user_id, task_id = fields.reference("userId", "user_id"), fields.reference("taskId", "task_id")
        if user_id is None or task_id is None:
            reading.findings.quarantine(fields.original, NO_WATCH)
            continue
        acting = people.acting(user_id)
        if task_id not in tasks or acting not in people.users:
            reading.findings.add(ORPHAN, "watchlist", fields.id, detail="in tasks or users")
        stamps = reading.stamps(fields, maker=acting)
        watch = Watch(
            id=watch_id(acting, task_id),
            version=1,
            user_id=acting,
            task_id=task_id,
            **stamps,
            **trash(fields, stamps),
        )
        people.keep_other(fields, user_id, "userId", "user_id")
        draft = reading.draft(fields, watch)
        known = watches.setdefault(watch.id, draft)
        if known is not draft:
            reading.findings.add(SAME_PAIR, "watchlist", fields.id)
            if known.entity.is_deleted and not watch.is_deleted:
                known.entity = watch
            known.parts.append(fields.whole())
            known.sources.append(fields.id)
    return watches
