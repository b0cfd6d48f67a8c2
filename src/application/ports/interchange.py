"""Files of other trackers: reading their issues and writing tasks as issues."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from domain.errors import Violation
from domain.task import Priority, Task, TaskStatus
from domain.task_changes import LinkKind

CONTENT_BYTES_MAX = 32 * 1024 * 1024
ISSUES_MAX = 50_000
KEY_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class IssueLink:
    """A link to the issue with this key. `is_reversed`: the other issue is the one that blocks."""

    kind: LinkKind
    key: str
    is_reversed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedIssue:
    """One issue of another tracker. Times are aware, UTC, whole milliseconds; None if the file has none. It is due at
    an instant or on a day. `links` lead from this issue to others, by key.

    `place` is its place in the file in words, `pointer` the start of its JSON pointer. `deleted_at` is set for an issue
    in that tracker's trash.
    """

    key: str
    place: str
    pointer: str
    title: str
    description: str | None
    status: TaskStatus
    priority: Priority
    parent_key: str | None
    label_names: tuple[str, ...]
    created_at: datetime
    updated_at: datetime | None = None
    started_at: datetime | None = None
    closed_at: datetime | None = None
    due_at: datetime | None = None
    due_on: date | None = None
    deferred_till: datetime | None = None
    links: tuple[IssueLink, ...] = ()
    deleted_at: datetime | None = None
    deleted_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """Data of an issue that a task cannot hold: the key of the issue, the field and the reason."""

    key: str
    field: str
    why: str


@dataclass(frozen=True, slots=True)
class UnfitIssue:
    """An issue that cannot be imported, by its key or, without one, its place; and the reasons."""

    key: str
    violations: Sequence[Violation]


@dataclass(frozen=True, slots=True)
class ReadIssues:
    """The content of a file: its issues in order, with unique keys, the losses, and what does not fit."""

    issues: Sequence[ImportedIssue]
    losses: Sequence[Loss]
    unfit: Sequence[UnfitIssue] = ()


class IssueReader(Protocol):
    """Reads one format."""

    def read(self, content: bytes) -> ReadIssues:
        """The issues of a file with at most CONTENT_BYTES_MAX bytes and ISSUES_MAX issues.

        Raises Invalid with the violations and their places if it has none at all or is too long.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedIssue:
    """A task, live or in the trash, for a file. Keys are unique in a file, and a parent is in the same file."""

    key: str
    task: Task
    parent_key: str | None
    label_names: tuple[str, ...]
    links: tuple[IssueLink, ...] = ()


class IssueWriter(Protocol):
    """Writes one format."""

    def write(self, issues: Sequence[ExportedIssue]) -> bytes:
        """A file that the reader of the format can read. Data that the format cannot hold is left out."""
