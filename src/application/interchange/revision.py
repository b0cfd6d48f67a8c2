"""The revision of an existing task by an import: fields that changed in the file and not here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from application.interchange.drafts import is_beyond_due
from application.interchange.report import Fate, Outcome
from domain.audit import AuditEntry
from domain.entity import Stamp
from domain.task import Task, TaskChanges, TaskStatus
from domain.task_changes import TaskLink

# The fields of an import, and their names in audit entries.
_FIELDS = {
    "title": "title",
    "description": "description",
    "status": "status",
    "priority": "priority",
    "parent_id": "parentId",
    "label_ids": "labelIds",
    "started_at": "startedAt",
    "due_at": "dueAt",
    "due_on": "dueOn",
    "deferred_till": "deferredTill",
    "completed_at": "completedAt",
    "links": "links",
}


@dataclass(frozen=True, slots=True)
class Revision:
    """The revised task (the same object if nothing changes) and the outcome to report."""

    task: Task
    outcome: Outcome


def needs_no_merge(current: Task, draft: Task) -> bool:
    """Whether the audit trail is not needed: the task is in the trash, or both are live and equal."""
    if current.is_deleted:
        return True
    return not draft.is_deleted and not _differing(current, draft)


def takes_fields(current: Task | None, draft: Task) -> bool:
    """Whether the import brings fields to a task; otherwise it only moves one to the trash, or changes nothing."""
    return current is None or not (current.is_deleted or draft.is_deleted)


def unmerged(key: str, current: Task, draft: Task) -> Revision:
    """The revision of a task that needs no merge: it changes nothing."""
    if current.is_deleted and not draft.is_deleted:
        return Revision(current, Outcome(key, Fate.SKIPPED, "is in the trash here"))
    return Revision(current, Outcome(key, Fate.UNCHANGED))


def revision(
    key: str, current: Task, draft: Task, *, imports: Sequence[AuditEntry], stamp: Stamp
) -> Revision:
    """The revision of a live task, given the entries of earlier imports of it, newest first."""
    if draft.is_deleted:
        if _imported_value(imports, "isDeleted") is True:
            return Revision(current, Outcome(key, Fate.SKIPPED, "was restored here from the trash"))
        return Revision(current.discard(stamp, reason=draft.deleted_reason), Outcome(key, Fate.TRASHED))
    changes: dict[str, object] = {}
    kept: list[str] = []
    for name in _differing(current, draft):
        imported = _imported_value(imports, _FIELDS[name])
        if _audited(getattr(current, name)) == imported:
            changes[name] = getattr(draft, name)
        elif _audited(getattr(draft, name)) != imported:
            kept.append(_FIELDS[name])
    for name in _unfitting(current, changes):
        del changes[name]
        kept.append(_FIELDS[name])
    fate = Fate.CHANGED if changes else Fate.UNCHANGED
    revised = current.edit(stamp, TaskChanges(**changes))  # type: ignore[typeddict-item]
    return Revision(revised, Outcome(key, fate, kept=tuple(kept)))


def _unfitting(current: Task, changes: Mapping[str, object]) -> list[str]:
    """Changes of the file that contradict what users changed here: the other kind of due date, a deferral past it."""
    after = {name: getattr(current, name) for name in _FIELDS} | dict(changes)
    unfitting = []
    if after["due_at"] is not None and after["due_on"] is not None:
        unfitting += [name for name in ("due_at", "due_on") if name in changes]
        after |= {name: getattr(current, name) for name in unfitting}
    due = replace(current, due_at=after["due_at"], due_on=after["due_on"])
    if is_beyond_due(after["deferred_till"], due):
        unfitting += [
            name
            for name in ("due_at", "due_on", "deferred_till")
            if name in changes and name not in unfitting
        ]
    if after["status"] is not TaskStatus.DONE and changes.get("completed_at") is not None:
        unfitting.append("completed_at")
    return unfitting


def _differing(current: Task, draft: Task) -> list[str]:
    return [name for name in _FIELDS if getattr(current, name) != getattr(draft, name)]


def _imported_value(imports: Sequence[AuditEntry], name: str) -> object:
    """The value of a field after the last import that changed it; None if none did."""
    return next((entry.changes[name]["after"] for entry in imports if name in entry.changes), None)


def _audited(value: object) -> object:
    """A field's value in the form of audit entries."""
    if isinstance(value, tuple):
        return [_audited(item) for item in value]
    if isinstance(value, TaskLink):
        return {"kind": value.kind.value, "taskId": value.task_id}
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value
