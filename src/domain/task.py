"""A task: a piece of work with an owner, and possibly a project and an assignee."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Self

from domain.assignment import Assignee, AssigneeType, TaskAssignment
from domain.entity import Entity, Stamp
from domain.errors import Conflict, RuleBroken, Violation
from domain.project import Project
from domain.storable import require_text
from domain.task_changes import (
    Priority,
    TaskChanges,
    TaskLink,
    TaskStatus,
    checked,
    completed,
    end_of_day,
    require_one_due_date,
    require_others,
    started,
)

__all__ = ["Origin", "Ownership", "Priority", "Task", "TaskChanges", "TaskStatus", "ownership_in"]

REASON_LENGTH_MAX = 1_000
EXTERNAL_KEY_LENGTH_MAX = 300


@dataclass(frozen=True, slots=True)
class Ownership:
    """The owner and team of a task: those of its project or, without a project, its creator and no team."""

    owner_id: str
    team_id: str | None = None


def ownership_in(project: Project) -> Ownership:
    """The ownership of the tasks in a project."""
    return Ownership(project.owner_id, project.team_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A task's data in the tracker that it comes from. `is_deleted`: it was in the trash there."""

    external_key: str
    created_at: datetime
    is_deleted: bool = False
    deleted_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Entity):
    """`external_key` identifies the task in the tracker it came from; `deleted_reason` says why it is in the trash.

    `display_id` is its short number, unique in the installation and never reused. `owner_id` and `team_id` are copies
    from its project, `assignee_id` to `executor_id` copies from its live assignment, so that listing tasks and checking
    access reads nothing else. The copies are written in the same change set as their originals.

    A task is due at an instant (`due_at`) or on a day (`due_on`), never both. `due_by` follows from them, so that lists
    sort both kinds together: the instant, or the last millisecond of the day in UTC. `completed_at` is the time when
    the task became DONE, None for a task that is not, or whose time is unknown.
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
    due_on: date | None = None
    due_by: datetime | None = None
    completed_at: datetime | None = None
    links: tuple[TaskLink, ...] = ()
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

    def __post_init__(self) -> None:
        due_by = self.due_at if self.due_on is None else end_of_day(self.due_on)
        if due_by != self.due_by:
            object.__setattr__(self, "due_by", due_by)

    @classmethod
    def create(
        cls,
        id: str,
        stamp: Stamp,
        changes: TaskChanges,
        *,
        ownership: Ownership | None = None,
        display_id: int | None = None,
        external_key: str | None = None,
    ) -> Self:
        """Version 1 of a task, owned by its creator unless `ownership` says otherwise. Raises RuleBroken."""
        return cls._made(id, stamp, changes, ownership, display_id=display_id, external_key=external_key)

    @classmethod
    def _made(
        cls, id: str, stamp: Stamp, changes: TaskChanges, ownership: Ownership | None, **others: object
    ) -> Self:
        fields = started(checked(changes), stamp)
        require_one_due_date(fields, fields)
        fields = completed(fields, stamp, before=None)
        owner = ownership or Ownership(stamp.by)
        return cls._first(id, stamp, owner_id=owner.owner_id, team_id=owner.team_id, **fields, **others)

    @classmethod
    def imported(
        cls,
        id: str,
        stamp: Stamp,
        changes: TaskChanges,
        *,
        origin: Origin,
        ownership: Ownership | None = None,
        display_id: int | None = None,
    ) -> Self:
        """Version 1 of a task from another tracker, with its age and trash state.

        The stamp says who imports it and when. Its time in the trash begins then, whenever the other tracker deleted
        it. Raises RuleBroken for an invalid field.
        """
        require_text(origin.external_key, "/externalKey", shortest=1, longest=EXTERNAL_KEY_LENGTH_MAX)
        made = cls._made(
            id, stamp, changes, ownership, display_id=display_id, external_key=origin.external_key
        )
        task = replace(made, created_at=origin.created_at)
        if not origin.is_deleted:
            return task
        if origin.deleted_reason is not None:
            require_text(origin.deleted_reason, "/reason", longest=REASON_LENGTH_MAX)
        return replace(
            task,
            is_deleted=True,
            deleted_at=stamp.at,
            deleted_by=stamp.by,
            deleted_reason=origin.deleted_reason,
        )

    def edit(self, stamp: Stamp, changes: TaskChanges) -> Self:
        """The task with these changes; the same object if nothing differs. Raises RuleBroken for an invalid field."""
        self.require_live()
        fields = checked(changes)
        require_others(fields, self.id)
        require_one_due_date(fields, {"due_at": self.due_at, "due_on": self.due_on, **fields})
        if self.started_at is None:
            fields = started(fields, stamp)
        fields = completed(fields, stamp, before=self.status)
        if fields.get("status") is TaskStatus.DONE and self.deferred_till is not None:
            fields = {**fields, "deferred_till": None}
        edited = self._next(stamp, **fields)
        if (edited.due_by, edited.deferred_till) != (self.due_by, self.deferred_till):
            edited._require_deferral_before_due(stamp.at)
        return edited

    def numbered(self, display_id: int) -> Self:
        """The task with this number, unless it has one already. The number is part of the pending change and makes no
        version of its own.
        """
        return self if self.display_id is not None else replace(self, display_id=display_id)

    @property
    def assignee(self) -> Assignee | None:
        """The user or team that the task is assigned to."""
        if self.assignee_id is None or self.assignee_type is None:
            return None
        return Assignee(self.assignee_id, self.assignee_type)

    @property
    def ownership(self) -> Ownership:
        """The owner and team of the task."""
        return Ownership(self.owner_id, self.team_id)

    def change_ownership(self, stamp: Stamp, ownership: Ownership) -> Self:
        """The task with its project's present owner and team; also for a task in the trash."""
        return self._next(stamp, owner_id=ownership.owner_id, team_id=ownership.team_id)

    def lose_label(self, stamp: Stamp, label_id: str) -> Self:
        """The task without a permanently removed label; also for a task in the trash."""
        return self._next(stamp, label_ids=tuple(id for id in self.label_ids if id != label_id))

    def lose_team(self, stamp: Stamp, team_id: str) -> Self:
        """The task without a permanently removed team that owned it or was assigned; also for a task in the trash."""
        fields: dict[str, object] = {"team_id": None} if self.team_id == team_id else {}
        if self.assignee == Assignee(team_id, AssigneeType.TEAM):
            fields |= {"assignee_id": None, "assignee_type": None, "executor_id": None}
        return self._next(stamp, **fields)

    def lose_parent(self, stamp: Stamp) -> Self:
        """The task without its permanently removed parent; also for a task in the trash."""
        return self._next(stamp, parent_id=None)

    def defer(self, stamp: Stamp, until: datetime | None) -> Self:
        """The task deferred until a future time, or with None no longer deferred. Raises Conflict for a task that is
        done, RuleBroken for a time in the past or after the due date.
        """
        self.require_live()
        if until is None:
            return self._next(stamp, deferred_till=None)
        if self.status is TaskStatus.DONE:
            raise Conflict("A task that is done cannot be deferred.")
        if until <= stamp.at:
            raise RuleBroken(
                "Choose a time in the future.", violations=[Violation("/deferredTill", "is in the past")]
            )
        if self.due_by is not None and until > self.due_by:
            raise RuleBroken(
                "A task cannot be deferred past its due date.",
                violations=[Violation("/deferredTill", f"is later than {self._due_name}")],
            )
        return self._next(stamp, deferred_till=until)

    @property
    def _due_name(self) -> str:
        return "dueAt" if self.due_on is None else "dueOn"

    def _require_deferral_before_due(self, now: datetime) -> None:
        if self.due_by is None or self.deferred_till is None:
            return
        if self.due_by < self.deferred_till > now:
            raise RuleBroken(
                "A task cannot be due before the time it is deferred to.",
                violations=[Violation(f"/{self._due_name}", "is earlier than deferredTill")],
            )

    def is_deferred(self, now: datetime) -> bool:
        """Whether the task is deferred now."""
        return self.deferred_till is not None and self.deferred_till > now

    def assigned(self, stamp: Stamp, assignment: TaskAssignment | None) -> Self:
        """The task with a copy of its live assignment, or of none. Raises Conflict for a task in the trash."""
        self.require_live()
        return self.with_assignment(stamp, assignment)

    def with_assignment(self, stamp: Stamp, assignment: TaskAssignment | None) -> Self:
        """As `assigned`, also for a task in the trash. A new assignee has not yet acknowledged the task."""
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
        """The task in the trash, with the reason. Raises Conflict if it is already there."""
        if reason is not None:
            require_text(reason, "/reason", longest=REASON_LENGTH_MAX)
        return replace(self.delete(stamp), deleted_reason=reason)

    def roll_back_to(self, earlier: Self, stamp: Stamp) -> Self:
        """A new version with the content of an earlier one. The number, ownership, assignment, acknowledgement and
        reason for deletion are not content: they do not change.
        """
        kept = replace(earlier, **{name: getattr(self, name) for name in _NOT_ROLLED_BACK})
        return super(Task, self).roll_back_to(kept, stamp)

    def restore(self, stamp: Stamp) -> Self:
        """The task restored from the trash, without the reason. Raises Conflict if it is not there."""
        # The decorator of a slotted dataclass creates a new class, so super() needs the name of the final class.
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
