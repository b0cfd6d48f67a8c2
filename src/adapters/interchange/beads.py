"""The reader for Beads, a tracker that keeps its issues in a file next to the code, one JSON object per line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice

from adapters.interchange.json_lines import Line, LineReader, read_lines
from application.ports.interchange import (
    ISSUES_MAX,
    KEY_LENGTH_MAX,
    ImportedIssue,
    IssueLink,
    Loss,
    ReadIssues,
    UnfitIssue,
)
from domain.errors import Invalid, Violation
from domain.name import name_violations
from domain.task import Priority, TaskStatus
from domain.task_changes import LinkKind, end_of_day

TOMBSTONE = "tombstone"
PARENT_CHILD = "parent-child"
BLOCKS = "blocks"
ISSUE = "issue"
FIRST_LINES = 200
"""If none of the first lines is an issue, the file probably has another format."""

_STATUSES = {
    "open": TaskStatus.TODO,
    "in_progress": TaskStatus.IN_PROGRESS,
    "blocked": TaskStatus.BLOCKED,
    "closed": TaskStatus.DONE,
    "deferred": TaskStatus.TODO,
    "pinned": TaskStatus.TODO,
    TOMBSTONE: TaskStatus.TODO,
}
_NEAR_STATUSES = {
    TaskStatus.TODO: "todo to_do new ready backlog triage planned queued reopened unstarted draft",
    TaskStatus.IN_PROGRESS: "hooked started doing active wip working review in_review reviewing testing in_testing",
    TaskStatus.BLOCKED: "waiting on_hold hold paused stalled stuck",
    TaskStatus.DONE: "done completed complete resolved fixed finished merged released cancelled canceled wontfix "
    "wont_fix duplicate rejected abandoned archived",
}
"""Statuses of other versions and of projects with statuses of their own, by the nearest status here."""
_NEAREST = {name: status for status, names in _NEAR_STATUSES.items() for name in names.split()}
_STATUSES_WITHOUT_EQUIVALENT = {
    "pinned": "becomes TODO: tasks cannot be pinned",
    TOMBSTONE: "becomes TODO in the trash: the file does not contain its earlier status",
}
_DEFERRED_WITHOUT_TIME = (
    "“deferred” becomes TODO: a task is deferred until a time, which the file does not contain"
)
_PRIORITIES = (Priority.HIGH, Priority.HIGH, Priority.MEDIUM, Priority.LOW, Priority.LOW)
_PRIORITIES_COLLAPSED = {
    Priority.HIGH: "priorities 0 and 1 both become HIGH",
    Priority.LOW: "priorities 3 and 4 both become LOW",
}
_LINKS = {
    BLOCKS: (LinkKind.BLOCKS, True),
    "related": (LinkKind.RELATES, False),
    "relates-to": (LinkKind.RELATES, False),
    "relates_to": (LinkKind.RELATES, False),
    "duplicates": (LinkKind.DUPLICATES, False),
    "discovered-from": (LinkKind.DISCOVERED_FROM, False),
}
"""The kind of link for each type of dependency, and whether it leads from the other issue to this one."""
KINDS = (
    "bug",
    "feature",
    "epic",
    "chore",
    "merge-request",
    "molecule",
    "gate",
    "agent",
    "role",
    "convoy",
    "message",
    "event",
)
"""The kinds of issues besides tasks: each becomes a label here; in an export the first one found is the kind."""
USUAL_KIND = "task"
DUE_ON = "due_on"
"""The day for which the instant `due_at`, its last millisecond in UTC, stands in an export: the format has no days."""
_SECTIONS = (("design", "Design"), ("acceptance_criteria", "Acceptance criteria"), ("notes", "Notes"))
"""Long texts without a field in tasks: they are appended to the description under headings."""

_OF_TOMBSTONES = ("deleted_at", "deleted_by", "delete_reason")
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
        "_type",
        "created_at",
        "updated_at",
        "started_at",
        "closed_at",
        "due_at",
        DUE_ON,
        "defer_until",
        *_OF_TOMBSTONES,
        *(name for name, _ in _SECTIONS),
    }
)


@dataclass(slots=True)
class _Reading:
    """What was read so far, and the line of each key."""

    issues: list[ImportedIssue] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    unfit: list[UnfitIssue] = field(default_factory=list)
    first_lines: dict[str, int] = field(default_factory=dict)

    def take(self, line: Line) -> None:
        """Adds the issue of a line, or the reasons why it has none."""
        kind = line.fields.get("_type", ISSUE)
        if kind != ISSUE:
            key = line.fields.get("id") or line.fields.get("key")
            name = str(kind)[:40]
            why = f"a line of the type “{name}” is no issue; it was not imported"
            self.losses.append(Loss(str(key)[:KEY_LENGTH_MAX] if key else line.place, "_type", why))
            return
        violations, losses = list(line.violations), list[Loss]()
        is_broken = bool(line.violations) and not line.fields
        issue = None if is_broken else _issue(LineReader(line, violations), self.first_lines, losses)
        if issue is None or violations:
            key = line.fields.get("id")
            has_key = isinstance(key, str) and 0 < len(key) <= KEY_LENGTH_MAX
            self.unfit.append(UnfitIssue(str(key) if has_key else line.place, violations))
            return
        self.first_lines[issue.key] = line.number
        self.issues.append(issue)
        self.losses += losses


class BeadsReader:
    """The port IssueReader for Beads JSONL."""

    def read(self, content: bytes) -> ReadIssues:
        reading = _Reading()
        for line in read_lines(content, lines_max=ISSUES_MAX):
            reading.take(line)
            if not reading.issues and len(reading.unfit) >= FIRST_LINES:
                raise _no_issues(reading)
        if not reading.issues:
            raise _no_issues(reading)
        return ReadIssues(reading.issues, reading.losses, reading.unfit)


def _no_issues(reading: _Reading) -> Invalid:
    violations = [violation for unfit in reading.unfit for violation in unfit.violations]
    return Invalid(
        "The file is not a valid Beads export; nothing was imported.",
        violations=violations or [Violation("", "the file contains no issues")],
    )


def _issue(read: LineReader, first_lines: Mapping[str, int], losses_found: list[Loss]) -> ImportedIssue:
    """The issue of one line; it counts only if the reader noted no violations."""
    line = read.line
    key = _key(read, first_lines)
    losses = _Losses(key, losses_found)
    name, status = _status(read, losses)
    is_tombstone = name == TOMBSTONE
    parent_key, links = _dependencies(read, losses)
    closed_at, deferred_till = read.instant("closed_at"), read.instant("defer_until")
    due_at, due_on = _due(read, losses)
    updated_at = read.instant("updated_at")
    issue = ImportedIssue(
        key=key,
        place=line.place,
        pointer=line.pointer,
        title=read.required_text("title"),
        description=_description(read),
        status=status,
        priority=_priority(read, losses),
        parent_key=parent_key,
        label_names=_label_names(read),
        created_at=read.required_instant("created_at"),
        updated_at=updated_at,
        started_at=read.instant("started_at"),
        closed_at=(closed_at or updated_at) if status is TaskStatus.DONE else None,
        due_at=due_at,
        due_on=due_on,
        deferred_till=deferred_till,
        links=links,
        deleted_at=read.required_instant("deleted_at") if is_tombstone else None,
        deleted_reason=_deleted_reason(read) if is_tombstone else None,
    )
    if closed_at is not None and status is not TaskStatus.DONE:
        losses.add("closed_at", "only a task that is done has a time of completion")
    if name == "deferred" and deferred_till is None:
        losses.add("status", _DEFERRED_WITHOUT_TIME)
    _unkept(read, losses, is_tombstone=is_tombstone)
    _unknown_fields(line.fields, losses)
    return issue


def _key(read: LineReader, first_lines: Mapping[str, int]) -> str:
    """The key of the issue, which follows the rule for names, because people see it in lists as well."""
    key = read.required_text("id", longest=KEY_LENGTH_MAX)
    for violation in islice(name_violations(key, ""), 1) if key.strip() else ():
        read.violation("id", violation.message)
    if key in first_lines:
        read.violation("id", f"“{key}” already occurs in line {first_lines[key]}")
    return key


@dataclass(frozen=True, slots=True)
class _Losses:
    """Collects the losses of one issue."""

    key: str
    losses: list[Loss]

    def add(self, name: str, why: str) -> None:
        self.losses.append(Loss(self.key, name, why))


def _status(read: LineReader, losses: _Losses) -> tuple[str, TaskStatus]:
    """The status in the file and here. One that only has a near equivalent is reported."""
    given = read.line.fields.get("status")
    name = given.strip().lower().replace(" ", "_").replace("-", "_") if isinstance(given, str) else ""
    if name in _NEAREST:
        losses.add("status", f"“{given}” becomes {_NEAREST[name]}, the nearest status")
        return name, _NEAREST[name]
    if name in _STATUSES and name != given:
        losses.add("status", f"“{given}” becomes {_STATUSES[name]}, the nearest status")
    elif name not in _STATUSES:
        read.choice("status", _STATUSES)
        return "", TaskStatus.TODO
    if name in _STATUSES_WITHOUT_EQUIVALENT:
        losses.add("status", f"“{name}” {_STATUSES_WITHOUT_EQUIVALENT[name]}")
    return name, _STATUSES[name]


def _priority(read: LineReader, losses: _Losses) -> Priority:
    given = read.line.fields.get("priority")
    digits = given.strip().upper().removeprefix("P") if isinstance(given, str) else ""
    rank = int(digits) if digits.isascii() and digits.isdigit() and len(digits) == 1 else given
    if isinstance(rank, int) and not isinstance(rank, bool) and rank >= len(_PRIORITIES):
        losses.add("priority", f"{rank} becomes {_PRIORITIES[-1].name}, the lowest priority"[:100])
        return _PRIORITIES[-1]
    if isinstance(given, str) and isinstance(rank, int):
        losses.add("priority", f"“{given}” becomes {_PRIORITIES[rank].name}")
        return _PRIORITIES[rank]
    priority = _PRIORITIES[read.required_integer("priority", least=0, most=len(_PRIORITIES) - 1)]
    if priority in _PRIORITIES_COLLAPSED:
        losses.add("priority", _PRIORITIES_COLLAPSED[priority])
    return priority


def _due(read: LineReader, losses: _Losses) -> tuple[datetime | None, date | None]:
    """The due date, as an instant or as a day. A day beside an instant counts only as long as both agree."""
    day = read.day("due_at")
    if day is not None:
        return None, day
    instant, day = read.instant("due_at"), read.day(DUE_ON)
    if day is not None and instant in (None, end_of_day(day)):
        return None, day
    if read.line.fields.get(DUE_ON) is not None:
        losses.add(DUE_ON, "is not the day of due_at" if day is not None else "is not a day")
    return instant, None


def _description(read: LineReader) -> str | None:
    """The description with the long texts; "" if the file has an empty one."""
    text = read.text("description")
    parts = [text] if text else []
    for name, heading in _SECTIONS:
        if section := read.text(name):
            parts.append(f"## {heading}\n\n{section}")
    is_empty = read.line.fields.get("description") == ""
    return "\n\n".join(parts) if parts or is_empty else None


def _deleted_reason(read: LineReader) -> str | None:
    reason, remover = read.text("delete_reason"), read.text("deleted_by")
    if remover is None:
        return reason
    return f"{reason or 'deleted'} (by {remover})"


def _label_names(read: LineReader) -> tuple[str, ...]:
    """The labels in their order, and last the kind of the issue, which is a label here; a tombstone keeps its kind in
    another field.
    """
    kind = read.text("original_type") or read.text("issue_type") or USUAL_KIND
    return tuple(dict.fromkeys([*read.texts("labels"), *([] if kind == USUAL_KIND else [kind])]))


def _dependencies(read: LineReader, losses: _Losses) -> tuple[str | None, tuple[IssueLink, ...]]:
    """The first parent, and the links; other types of dependencies are lost."""
    parents: list[str] = []
    links: dict[IssueLink, None] = {}
    for index, dependency in enumerate(read.objects("dependencies")):
        kind, depends_on = dependency.get("type"), dependency.get("depends_on_id")
        if not isinstance(kind, str) or not isinstance(depends_on, str) or not depends_on:
            read.violation(f"dependencies/{index}", "must name its type and depends_on_id")
        elif kind == PARENT_CHILD:
            parents.append(depends_on)
        elif kind in _LINKS:
            link_kind, is_reversed = _LINKS[kind]
            links[IssueLink(link_kind, depends_on, is_reversed)] = None
        else:
            losses.add(f"dependencies.{kind[:40]}", "tasks have no links of this kind")
    for _ in list(dict.fromkeys(parents))[1:]:
        losses.add(f"dependencies.{PARENT_CHILD}", "a task has one parent; the first one is kept")
    return parents[0] if parents else None, tuple(links)


def _unkept(read: LineReader, losses: _Losses, *, is_tombstone: bool) -> None:
    """What is lost of fields that tasks have."""
    for name in () if is_tombstone else _OF_TOMBSTONES:
        if read.line.fields.get(name):
            losses.add(name, "only a tombstone is deleted")
    for name in read.cut:
        losses.add(name, "an instant has whole milliseconds; finer fractions are cut")


def _unknown_fields(fields: Mapping[str, object], losses: _Losses) -> None:
    for name in sorted(fields.keys() - _CARRIED):
        if fields[name] not in (None, "", 0, False, [], {}):
            losses.add(name, "a task has no field for it")
