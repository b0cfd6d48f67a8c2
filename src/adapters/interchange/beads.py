"""The reader for Beads, a tracker that keeps its issues in a file next to the code, one JSON object per line."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.interchange.json_lines import Line, LineReader, read_lines
from application.ports.interchange import ISSUES_MAX, KEY_LENGTH_MAX, ImportedIssue, Loss, ReadIssues
from domain.errors import Invalid, Violation
from domain.task import Priority, TaskStatus

TOMBSTONE = "tombstone"
PARENT_CHILD = "parent-child"

_STATUSES = {
    "open": TaskStatus.TODO,
    "in_progress": TaskStatus.IN_PROGRESS,
    "blocked": TaskStatus.BLOCKED,
    "closed": TaskStatus.DONE,
    "deferred": TaskStatus.TODO,
    "pinned": TaskStatus.TODO,
    TOMBSTONE: TaskStatus.TODO,
}
_STATUSES_WITHOUT_EQUIVALENT = {
    "deferred": "becomes TODO: a task is deferred until a time, which the file does not contain",
    "pinned": "becomes TODO: tasks cannot be pinned",
    TOMBSTONE: "becomes TODO in the trash: the file does not contain its earlier status",
}
_PRIORITIES = (Priority.HIGH, Priority.HIGH, Priority.MEDIUM, Priority.LOW, Priority.LOW)
_PRIORITIES_COLLAPSED = {
    Priority.HIGH: "priorities 0 and 1 both become HIGH",
    Priority.LOW: "priorities 3 and 4 both become LOW",
}
_SECTIONS = (("design", "Design"), ("acceptance_criteria", "Acceptance criteria"), ("notes", "Notes"))
"""Long texts without a field in tasks: they are appended to the description under headings."""

_CARRIED = frozenset(
    {
        "id",
        "title",
        "description",
        "status",
        "priority",
        "issue_type",
        "original_type",
        "labels",
        "dependencies",
        "created_at",
        "updated_at",
        "started_at",
        "closed_at",
        "deleted_at",
        "deleted_by",
        "delete_reason",
        *(name for name, _ in _SECTIONS),
    }
)


@dataclass(slots=True)
class _Reading:
    """The violations and losses so far, and the line of each key."""

    violations: list[Violation] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    first_lines: dict[str, int] = field(default_factory=dict)


class BeadsReader:
    """The port IssueReader for Beads JSONL."""

    def read(self, content: bytes) -> ReadIssues:
        reading = _Reading()
        issues: list[ImportedIssue] = []
        for line in read_lines(content, reading.violations, lines_max=ISSUES_MAX):
            issue = _issue(line, reading)
            if issue is not None:
                issues.append(issue)
        if not issues and not reading.violations:
            reading.violations.append(Violation("", "the file contains no issues"))
        if reading.violations:
            raise Invalid(
                "The file is not a valid Beads export; nothing was imported.", violations=reading.violations
            )
        return ReadIssues(issues, reading.losses)


def _issue(line: Line, reading: _Reading) -> ImportedIssue | None:
    """The issue of one line; None where the line has violations, which are noted."""
    known_violations = len(reading.violations)
    read = LineReader(line, reading.violations)
    key = read.required_text("id", longest=KEY_LENGTH_MAX)
    first_line = reading.first_lines.setdefault(key, line.number)
    if key and first_line != line.number:
        read.violation("id", f"“{key}” already occurs in line {first_line}")
    losses = _Losses(key, reading.losses)
    status = read.choice("status", _STATUSES)
    is_tombstone = status == TOMBSTONE
    parent_key = _parent_key(read, losses)
    issue = ImportedIssue(
        key=key,
        place=line.place,
        pointer=line.pointer,
        title=read.required_text("title"),
        description=_description(read),
        status=_STATUSES.get(status, TaskStatus.TODO),
        priority=_priority(read, losses),
        parent_key=parent_key,
        label_names=_label_names(read),
        created_at=read.required_instant("created_at"),
        updated_at=read.instant("updated_at"),
        started_at=read.instant("started_at"),
        closed_at=read.instant("closed_at"),
        deleted_at=read.required_instant("deleted_at") if is_tombstone else None,
        deleted_reason=_deleted_reason(read) if is_tombstone else None,
    )
    if len(reading.violations) > known_violations:
        return None
    if status in _STATUSES_WITHOUT_EQUIVALENT:
        losses.add("status", f"“{status}” {_STATUSES_WITHOUT_EQUIVALENT[status]}")
    _unknown_fields(line.fields, losses)
    return issue


@dataclass(frozen=True, slots=True)
class _Losses:
    """Collects the losses of one issue."""

    key: str
    losses: list[Loss]

    def add(self, name: str, why: str) -> None:
        self.losses.append(Loss(self.key, name, why))


def _priority(read: LineReader, losses: _Losses) -> Priority:
    rank = read.required_integer("priority", least=0, most=len(_PRIORITIES) - 1)
    priority = _PRIORITIES[rank]
    if priority in _PRIORITIES_COLLAPSED:
        losses.add("priority", _PRIORITIES_COLLAPSED[priority])
    return priority


def _description(read: LineReader) -> str | None:
    parts = [read.text("description")]
    for name, heading in _SECTIONS:
        if text := read.text(name):
            parts.append(f"## {heading}\n\n{text}")
    return "\n\n".join(filter(None, parts)) or None


def _deleted_reason(read: LineReader) -> str | None:
    reason, remover = read.text("delete_reason"), read.text("deleted_by")
    if remover is None:
        return reason
    return f"{reason or 'deleted'} (by {remover})"


def _label_names(read: LineReader) -> tuple[str, ...]:
    """The labels and the kind of the issue, which is a label here; a tombstone keeps its kind in another field."""
    kinds = (read.text("original_type") or read.text("issue_type"),)
    return tuple(sorted({*read.texts("labels"), *(kind for kind in kinds if kind)}))


def _parent_key(read: LineReader, losses: _Losses) -> str | None:
    """The first parent; every other dependency is lost."""
    parents: list[str] = []
    for index, dependency in enumerate(read.objects("dependencies")):
        kind, depends_on = dependency.get("type"), dependency.get("depends_on_id")
        if not isinstance(kind, str) or not isinstance(depends_on, str) or not depends_on:
            read.violation(f"dependencies/{index}", "must name its type and depends_on_id")
        elif kind != PARENT_CHILD:
            losses.add(f"dependencies.{kind}", "tasks are linked to their parents only")
        elif depends_on not in parents:
            parents.append(depends_on)
    for _ in parents[1:]:
        losses.add(f"dependencies.{PARENT_CHILD}", "a task has one parent; the first one is kept")
    return parents[0] if parents else None


def _unknown_fields(fields: Mapping[str, object], losses: _Losses) -> None:
    for name in sorted(fields.keys() - _CARRIED):
        if fields[name] not in (None, "", 0, False, [], {}):
            losses.add(name, "a task has no field for it")
