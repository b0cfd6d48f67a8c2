"""The changes of a task: its fields, and the rules that every change obeys."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import IntEnum, StrEnum
from typing import TypedDict

from domain.entity import Stamp
from domain.errors import RuleBroken, Violation
from domain.name import require_name
from domain.storable import require_text

TITLE_LENGTH_MAX = 500
DESCRIPTION_LENGTH_MAX = 50_000
LABELS_MAX = 50
LINKS_MAX = 200


class TaskStatus(StrEnum):
    """The progress of a task."""

    TODO = "TODO"
    IN_PROGRESS = "IN_PROGRESS"
    BLOCKED = "BLOCKED"
    DONE = "DONE"


class Priority(IntEnum):
    """Stored as its rank, so that every store sorts it the same way; shown by name."""

    HIGH = 1
    MEDIUM = 2
    LOW = 3


class LinkKind(StrEnum):
    """What a task is to the task that it links to."""

    BLOCKS = "BLOCKS"
    RELATES = "RELATES"
    DUPLICATES = "DUPLICATES"
    DISCOVERED_FROM = "DISCOVERED_FROM"


@dataclass(frozen=True, slots=True)
class TaskLink:
    """A link to another task. It stays when that task goes to the trash or is permanently removed."""

    kind: LinkKind
    task_id: str


class TaskChanges(TypedDict, total=False):
    """Changes of a task; an absent field is unchanged, None clears it."""

    title: str
    description: str | None
    status: TaskStatus
    priority: Priority
    project_id: str | None
    parent_id: str | None
    label_ids: tuple[str, ...]
    started_at: datetime | None
    due_at: datetime | None
    due_on: date | None
    is_acknowledged: bool
    links: tuple[TaskLink, ...]
    completed_at: datetime | None
    """Set by imports only: otherwise it follows from the status."""
    deferred_till: datetime | None
    """Set by imports only."""


_LAST_MILLISECOND = time(23, 59, 59, 999_000, tzinfo=UTC)


def end_of_day(day: date) -> datetime:
    """The last millisecond of the day in UTC."""
    return datetime.combine(day, _LAST_MILLISECOND)


def started(fields: TaskChanges, stamp: Stamp) -> TaskChanges:
    """The changes with a start time if they put a task IN_PROGRESS and do not set one themselves."""
    if fields.get("status") is TaskStatus.IN_PROGRESS and "started_at" not in fields:
        return {**fields, "started_at": stamp.at}
    return fields


def completed(fields: TaskChanges, stamp: Stamp, *, before: TaskStatus | None) -> TaskChanges:
    """The changes with the time of completion that follows from the status, unless an import sets it."""
    status = fields.get("status", before)
    if status is not TaskStatus.DONE:
        return {**fields, "completed_at": None}
    if "completed_at" in fields or before is TaskStatus.DONE:
        return fields
    return {**fields, "completed_at": stamp.at}


def require_one_due_date(sent: TaskChanges, merged: TaskChanges) -> None:
    """Raises RuleBroken for a task that would be due both at an instant and on a day; only sent fields are named."""
    if merged.get("due_at") is None or merged.get("due_on") is None:
        return
    names = {"due_at": "dueAt", "due_on": "dueOn"}
    given = [name for field, name in names.items() if sent.get(field) is not None]
    if len(given) == len(names):
        message = "cannot be set together with {}"
    else:
        message = "cannot be set while the task has {0}; set {0} to null in the same request"
    violations = [
        Violation(f"/{name}", message.format(next(other for other in names.values() if other != name)))
        for name in given
    ]
    raise RuleBroken("A task is due either at an instant or on a day.", violations=violations)


def checked(changes: TaskChanges) -> TaskChanges:
    """The changes with sorted labels and links. Raises RuleBroken for a text or a list that does not fit."""
    if "title" in changes:
        title = require_name(changes["title"], "/title", longest=TITLE_LENGTH_MAX)
        changes = {**changes, "title": title}
    if (description := changes.get("description")) is not None:
        require_text(description, "/description", longest=DESCRIPTION_LENGTH_MAX)
    if "links" in changes:
        links = tuple(sorted(set(changes["links"]), key=lambda link: (link.kind, link.task_id)))
        if len(links) > LINKS_MAX:
            violation = Violation("/links", f"must have at most {LINKS_MAX} links")
            raise RuleBroken("The task has too many links.", violations=[violation])
        changes = {**changes, "links": links}
    if "label_ids" not in changes:
        return changes
    label_ids = tuple(sorted(set(changes["label_ids"])))
    if len(label_ids) > LABELS_MAX:
        raise RuleBroken(
            "The task has too many labels.",
            violations=[Violation("/labelIds", f"must have at most {LABELS_MAX} labels")],
        )
    return {**changes, "label_ids": label_ids}


def require_others(changes: TaskChanges, id: str) -> None:
    """Raises RuleBroken for a task that would be its own parent or link to itself."""
    violations = [
        Violation(f"/links/{place}/taskId", "is the task itself")
        for place, link in enumerate(changes.get("links", ()))
        if link.task_id == id
    ]
    if changes.get("parent_id") == id:
        violations.append(Violation("/parentId", "is the task itself"))
    if violations:
        raise RuleBroken("A task cannot be its own parent or link to itself.", violations=violations)
