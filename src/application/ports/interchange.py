"""Files of other trackers: their issues in Tandem's words, and Tandem's tasks in theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.task import Priority, Task, TaskStatus

CONTENT_BYTES_MAX = 32 * 1024 * 1024
ISSUES_MAX = 50_000
KEY_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedIssue:
    """One issue of another tracker. Instants are aware, UTC, whole milliseconds; None where the tracker says nothing.

    `place` says in words where in the file it stands, `pointer` as the start of a JSON pointer. `deleted_at` is set
    for what that tracker had in its trash.
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
    deleted_at: datetime | None = None
    deleted_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """Something an issue had and a task cannot hold: of which issue, which field, and why."""

    key: str
    field: str
    why: str


@dataclass(frozen=True, slots=True)
class ReadIssues:
    """A file as read: its issues in the file's order, keys unique, and what could not be carried."""

    issues: Sequence[ImportedIssue]
    losses: Sequence[Loss]


class IssueReader(Protocol):
    """Reads one format."""

    def read(self, content: bytes) -> ReadIssues:
        """The issues in a file of at most CONTENT_BYTES_MAX bytes and ISSUES_MAX issues.

        Raises Invalid with every violation of the file, each with its place; then nothing of the file may be imported.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedIssue:
    """A task, live or in the trash, as it leaves Tandem. Keys are unique in a file; a parent is in the file, too."""

    key: str
    task: Task
    parent_key: str | None
    label_names: tuple[str, ...]


class IssueWriter(Protocol):
    """Writes one format."""

    def write(self, issues: Sequence[ExportedIssue]) -> bytes:
        """A file that the reader of the same format reads without violation. What the format cannot hold is left out."""
        ...
