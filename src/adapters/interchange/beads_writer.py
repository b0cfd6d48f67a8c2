"""The writer for Beads: one JSON object per line, in the format that the reader accepts."""

import json
from collections.abc import Sequence
from datetime import datetime

from adapters.interchange.beads import BLOCKS, DUE_ON, KINDS, PARENT_CHILD, TOMBSTONE, USUAL_KIND
from application.ports.interchange import ExportedIssue
from domain.task import Priority, TaskStatus
from domain.task_changes import LinkKind

_STATUSES = {
    TaskStatus.TODO: "open",
    TaskStatus.IN_PROGRESS: "in_progress",
    TaskStatus.BLOCKED: "blocked",
    TaskStatus.DONE: "closed",
}
_RANKS = {Priority.HIGH: 1, Priority.MEDIUM: 2, Priority.LOW: 3}

_LINK_TYPES = {
    LinkKind.BLOCKS: BLOCKS,
    LinkKind.RELATES: "related",
    LinkKind.DUPLICATES: "duplicates",
    LinkKind.DISCOVERED_FROM: "discovered-from",
}
"""The type of dependency for each kind of link; a task depends on the tasks that block it."""


class BeadsWriter:
    """The port IssueWriter for Beads JSONL."""

    def write(self, issues: Sequence[ExportedIssue]) -> bytes:
        return b"".join(map(_line, issues))


def _line(issue: ExportedIssue) -> bytes:
    task = issue.task
    kind = next((name for name in KINDS if name in issue.label_names), USUAL_KIND)
    closed_at = task.completed_at or task.updated_at
    fields: dict[str, object] = {
        "id": issue.key,
        "title": task.title,
        "description": task.description,
        "status": TOMBSTONE if task.is_deleted else _STATUSES[task.status],
        "priority": _RANKS[task.priority],
        "issue_type": kind,
        "original_type": kind if task.is_deleted else None,
        "labels": [name for name in issue.label_names if name != kind],
        "created_at": _instant(task.created_at),
        "updated_at": _instant(task.updated_at),
        "started_at": _instant(task.started_at),
        "closed_at": _instant(closed_at) if task.status is TaskStatus.DONE and not task.is_deleted else None,
        "due_at": _instant(task.due_by),
        DUE_ON: None if task.due_on is None else task.due_on.isoformat(),
        "defer_until": _instant(task.deferred_till),
        "deleted_at": _instant(task.deleted_at),
        "delete_reason": task.deleted_reason,
    }
    depended_on = [] if issue.parent_key is None else [(issue.parent_key, PARENT_CHILD)]
    depended_on += [(link.key, _LINK_TYPES[link.kind]) for link in issue.links]
    fields["dependencies"] = [
        {"issue_id": issue.key, "depends_on_id": key, "type": type_} for key, type_ in depended_on
    ]
    present = {name: value for name, value in fields.items() if value is not None and value != []}
    return json.dumps(present, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
