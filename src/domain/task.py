"""A task: what somebody intends to do."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Self, TypedDict

from domain.assignment import Assignee, AssigneeType, TaskAssignment
from domain.entity import Entity, Stamp, first_stamps
from domain.errors import Conflict, Fault, RuleBroken
from domain.project import Project
from domain.storable import require_text

TITLE_LENGTH_MAX = 500
DESCRIPTION_LENGTH_MAX = 50_000
REASON_LENGTH_MAX = 1_000
EXTERNAL_KEY_LENGTH_MAX = 300
LABELS_MAX = 50


class TaskStatus(StrEnum):
    """Where a task stands."""

    TODO = "TODO"
    IN_PROGRESS = "IN_PROGRESS"
    BLOCKED = "BLOCKED"
    DONE = "DONE"


class Priority(IntEnum):
    """Stored as its rank, so that every store sorts it alike; shown by name."""

    HIGH = 1
    MEDIUM = 2
    LOW = 3


class TaskChanges(TypedDict, total=False):
    """What may change; absent means unchanged, None clears."""

    title: str
    description: str | None
    status: TaskStatus
    priority: Priority
    project_id: str | None
    parent_id: str | None
    label_ids: tuple[str, ...]
    started_at: datetime | None
    due_at: datetime | None
    is_acknowledged: bool


@dataclass(frozen=True, slots=True)
class Home:
    """Whose a task is: its project's owner and team, or, without a project, whoever made it."""

    owner_id: str
    team_id: str | None = None


def home_in(project: Project) -> Home:
    """Whose the tasks of a project are."""
    return Home(project.owner_id, project.team_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a task was in the tracker it comes from. `deleted_at` is set where that tracker had it in its trash."""

    external_key: str
    created_at: datetime
    deleted_at: datetime | None = None
    deleted_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Entity):
    """`external_key` names the task in the tracker it came from; `deleted_reason` says why it is in the trash.

    `display_id` is its short number, unique in the installation and never given twice. `owner_id` and `team_id` repeat
    what its home says, and `assignee_id` to `executor_id` what its live assignment says, so that a list of tasks, and
    who may see them, needs nothing but tasks. All are written in the same change set as what they repeat.
    """

    title: str
    description: str | None = None
    status: TaskStatus = TaskStatus.TODO
    priority: Priority = Priority.MEDIUM
    project_id: str | None = None
    parent_id: str | None = None
    label_ids: tuple[str, ...] = ()
    started_at: datetime | None = None
    due_at: datetime | None = None
    is_acknowledged: bool = False
    external_key: str | None = None
    deleted_reason: str | None = None
    owner_id: str
    team_id: str | None = None
    display_id: int | None = None
    deferred_till: datetime | None = None
    assignee_id: str | None = None
    assignee_type: AssigneeType | None = None
    executor_id: str | None = None

    @classmethod
    def create(
        cls,
        id: str,
        stamp: Stamp,
        changes: TaskChanges,
        *,
        home: Home | None = None,
        display_id: int | None = None,
        external_key: str | None = None,
    ) -> Self:
        """Version 1 of a task, at home with its maker unless told otherwise. Raises RuleBroken where a field does
        not fit.
        """
        fields = _started(_checked(changes), stamp)
        home = home or Home(stamp.by)
        return cls(
            **first_stamps(id, stamp),  # type: ignore[arg-type]
            **fields,
            owner_id=home.owner_id,
            team_id=home.team_id,
            display_id=display_id,
            external_key=external_key,
        )

    @classmethod
    def imported(
        cls,
        id: str,
        stamp: Stamp,
        changes: TaskChanges,
        *,
        origin: Origin,
        home: Home | None = None,
        display_id: int | None = None,
    ) -> Self:
        """Version 1 of a task that lived elsewhere: as old as it was there, and in the trash where it was there.

        The stamp says who brings it, and when this version was made. Raises RuleBroken where a field does not fit.
        """
        require_text(origin.external_key, "/externalKey", shortest=1, longest=EXTERNAL_KEY_LENGTH_MAX)
        made = cls.create(
            id, stamp, changes, home=home, display_id=display_id, external_key=origin.external_key
        )
        task = replace(made, created_at=origin.created_at)
        if origin.deleted_at is None:
            return task
        if origin.deleted_reason is not None:
            require_text(origin.deleted_reason, "/reason", longest=REASON_LENGTH_MAX)
        return replace(
            task,
            is_deleted=True,
            deleted_at=origin.deleted_at,
            deleted_by=stamp.by,
            deleted_reason=origin.deleted_reason,
        )

    def edit(self, stamp: Stamp, changes: TaskChanges) -> Self:
        """The task with these changes; the same object where they change nothing."""
        self.require_live()
        fields = _checked(changes)
        if fields.get("parent_id") == self.id:
            raise RuleBroken(
                "A task cannot be its own parent.", faults=[Fault("/parentId", "is the task itself")]
            )
        if self.started_at is None:
            fields = _started(fields, stamp)
        if fields.get("status") is TaskStatus.DONE and self.deferred_till is not None:
            return self._next(stamp, **fields, deferred_till=None)
        self._require_deferral_before(fields.get("due_at"), stamp.at)
        return self._next(stamp, **fields)

    def numbered(self, display_id: int) -> Self:
        """A task from before numbers were given, with one; part of the change at hand, so it is no version of its own.

        A task that has a number keeps it.
        """
        return self if self.display_id is not None else replace(self, display_id=display_id)

    @property
    def assignee(self) -> Assignee | None:
        """Whom the task is given to."""
        if self.assignee_id is None or self.assignee_type is None:
            return None
        return Assignee(self.assignee_id, self.assignee_type)

    @property
    def home(self) -> Home:
        """Whose the task is."""
        return Home(self.owner_id, self.team_id)

    def move_home(self, stamp: Stamp, home: Home) -> Self:
        """The task in its project's present hands, also while it is in the trash."""
        return self._next(stamp, owner_id=home.owner_id, team_id=home.team_id)

    def lose_label(self, stamp: Stamp, label_id: str) -> Self:
        """The task without a label that was removed for good, also while the task is in the trash."""
        return self._next(stamp, label_ids=tuple(id for id in self.label_ids if id != label_id))

    def lose_team(self, stamp: Stamp, team_id: str) -> Self:
        """The task without a team that was removed for good, be it at home there or given to it, also in the trash."""
        fields: dict[str, object] = {"team_id": None} if self.team_id == team_id else {}
        if self.assignee == Assignee(team_id, AssigneeType.TEAM):
            fields |= {"assignee_id": None, "assignee_type": None, "executor_id": None}
        return self._next(stamp, **fields)

    def lose_parent(self, stamp: Stamp) -> Self:
        """The task on its own, its parent removed for good, also while the task is in the trash."""
        return self._next(stamp, parent_id=None)

    def defer(self, stamp: Stamp, until: datetime | None) -> Self:
        """The task put off until an instant ahead, or with None no longer put off. Raises Conflict for a task that is
        done, RuleBroken for an instant that is past or beyond the due date.
        """
        self.require_live()
        if until is None:
            return self._next(stamp, deferred_till=None)
        if self.status is TaskStatus.DONE:
            raise Conflict("A task that is done cannot be deferred.")
        if until <= stamp.at:
            raise RuleBroken(
                "A task is deferred into the future.", faults=[Fault("/deferredTill", "is past")]
            )
        if self.due_at is not None and until > self.due_at:
            raise RuleBroken(
                "A task cannot be deferred past its due date.",
                faults=[Fault("/deferredTill", "is later than dueAt")],
            )
        return self._next(stamp, deferred_till=until)

    def _require_deferral_before(self, due_at: datetime | None, now: datetime) -> None:
        if due_at is None or self.deferred_till is None:
            return
        if due_at < self.deferred_till > now:
            raise RuleBroken(
                "A task cannot be due before the instant it is deferred to.",
                faults=[Fault("/dueAt", "is earlier than deferredTill")],
            )

    def is_deferred(self, now: datetime) -> bool:
        """Whether the task is put off at present."""
        return self.deferred_till is not None and self.deferred_till > now

    def assigned(self, stamp: Stamp, assignment: TaskAssignment | None) -> Self:
        """The task repeating its live assignment, or none. Raises Conflict for a task in the trash."""
        self.require_live()
        return self.repeating(assignment, stamp)

    def repeating(self, assignment: TaskAssignment | None, stamp: Stamp) -> Self:
        """The task with what its live assignment says, also in the trash; a new assignee has yet to acknowledge it."""
        assignee = None if assignment is None else assignment.assignee
        fields: dict[str, object] = {
            "assignee_id": None if assignee is None else assignee.id,
            "assignee_type": None if assignee is None else assignee.type,
            "executor_id": None if assignment is None else assignment.executor_id,
        }
        if assignee != self.assignee:
            fields["is_acknowledged"] = False
        return self._next(stamp, **fields)

    def discard(self, stamp: Stamp, *, reason: str | None = None) -> Self:
        """Into the trash, saying why."""
        if reason is not None:
            require_text(reason, "/reason", longest=REASON_LENGTH_MAX)
        return replace(self.delete(stamp), deleted_reason=reason)

    def roll_back_to(self, earlier: Self, stamp: Stamp) -> Self:
        """The content of an earlier version. Its number, home and assignment stay with the present, and so does whether
        its assignee acknowledged it; why it was in the trash then is no content.
        """
        kept = replace(earlier, **{name: getattr(self, name) for name in _NOT_ROLLED_BACK})
        return super(Task, self).roll_back_to(kept, stamp)

    def restore(self, stamp: Stamp) -> Self:
        """Out of the trash; the reason goes."""
        # Slotted dataclasses are made anew by their decorator, so the two-argument form names the final class.
        return replace(super(Task, self).restore(stamp), deleted_reason=None)


_NOT_ROLLED_BACK = (
    "deleted_reason",
    "owner_id",
    "team_id",
    "display_id",
    "external_key",
    "assignee_id",
    "assignee_type",
    "executor_id",
    "is_acknowledged",
)


def _started(fields: TaskChanges, stamp: Stamp) -> TaskChanges:
    """Work begins when a task first gets into progress, unless the change says otherwise."""
    if fields.get("status") is TaskStatus.IN_PROGRESS and "started_at" not in fields:
        return {**fields, "started_at": stamp.at}
    return fields


def _checked(changes: TaskChanges) -> TaskChanges:
    if "title" in changes:
        require_text(changes["title"], "/title", shortest=1, longest=TITLE_LENGTH_MAX)
    if (description := changes.get("description")) is not None:
        require_text(description, "/description", longest=DESCRIPTION_LENGTH_MAX)
    if "label_ids" not in changes:
        return changes
    label_ids = tuple(sorted(set(changes["label_ids"])))
    if len(label_ids) > LABELS_MAX:
        raise RuleBroken(
            "Too many labels.", faults=[Fault("/labelIds", f"has more than {LABELS_MAX} labels")]
        )
    return {**changes, "label_ids": label_ids}
