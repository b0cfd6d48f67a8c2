"""The writer for Beads: one JSON object per line, in the format that the reader accepts."""

import json
from collections.abc import Sequence
from datetime import datetime

from adapters.interchange.beads import PARENT_CHILD, TOMBSTONE
from application.ports.interchange import ExportedIssue
from domain.task import Priority, TaskStatus

_STATUSES = {
    TaskStatus.TODO: "open",
    TaskStatus.IN_PROGRESS: "in_progress",
    TaskStatus.BLOCKED: "blocked",
    TaskStatus.DONE: "closed",
}
_RANKS = {Priority.HIGH: 1, Priority.MEDIUM: 2, Priority.LOW: 3}


class BeadsWriter:
    """The port IssueWriter for Beads JSONL."""

    def write(self, issues: Sequence[ExportedIssue]) -> bytes:
        return b"".join(map(_line, issues))


def _line(issue: ExportedIssue) -> bytes:
    task = issue.task
    fields: dict[str, object] = {
        "id": issue.key,
        "title": task.title,
        "description": task.description,
        "status": TOMBSTONE if task.is_deleted else _STATUSES[task.status],
        "priority": _RANKS[task.priority],
        "labels": list(issue.label_names),
        "created_at": _instant(task.created_at),
        "updated_at": _instant(task.updated_at),
        "started_at": _instant(task.started_at),
        "deleted_at": _instant(task.deleted_at),
        "delete_reason": task.deleted_reason,
    }
    if issue.parent_key is not None:
        link = {"issue_id": issue.key, "depends_on_id": issue.parent_key, "type": PARENT_CHILD}
        fields["dependencies"] = [link]
    present = {name: value for name, value in fields.items() if value is not None and value != []}
    return json.dumps(present, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
