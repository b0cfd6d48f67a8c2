"""The assignment of a task to a user, or to a team, one of whose members takes the task over."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from domain.entity import Entity, Stamp, derived_id
from domain.errors import Conflict


class AssigneeType(StrEnum):
    """The kind of assignee that an id names."""

    USER = "USER"
    TEAM = "TEAM"


@dataclass(frozen=True, slots=True)
class Assignee:
    """The user or team that a task is assigned to."""

    id: str
    type: AssigneeType


def assignment_id(task_id: str, task_version: int) -> str:
    """The id of the assignment made with this version of its task; a version makes at most one."""
    return derived_id("task_assignments", task_id, str(task_version))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAssignment(Entity):
    """A period of responsibility for a task. It is in the trash once it has ended; at most one per task is live.

    The task holds a copy of its live assignment, written in the same change set, so lists of tasks do not read this.
    """

    task_id: str
    assignee_id: str
    assignee_type: AssigneeType
    executor_id: str | None = None

    @classmethod
    def create(
        cls, id: str, stamp: Stamp, *, task_id: str, assignee: Assignee, executor_id: str | None = None
    ) -> Self:
        """Version 1 of an assignment."""
        fields = {"assignee_id": assignee.id, "assignee_type": assignee.type, "executor_id": executor_id}
        return cls._first(id, stamp, task_id=task_id, **fields)

    @property
    def assignee(self) -> Assignee:
        """The user or team that the task is assigned to."""
        return Assignee(self.assignee_id, self.assignee_type)

    def executed_by(self, stamp: Stamp, executor_id: str | None) -> Self:
        """The assignment with this member of its team as executor, or with none.

        Raises Conflict for a task assigned to a user, and for an assignment that has ended.
        """
        self.require_live()
        if self.assignee_type is not AssigneeType.TEAM:
            raise Conflict("Only a task assigned to a team has an executor; this one is assigned to a user.")
        return self._next(stamp, executor_id=executor_id)

    def end(self, stamp: Stamp) -> Self:
        """The ended assignment. Raises Conflict if it has already ended."""
        self.require_live()
        return self.delete(stamp)

    def require_live(self) -> None:
        """Raises Conflict for an assignment that has ended: an assignment does not start again."""
        if self.is_deleted:
            raise Conflict("This assignment has ended; assign the task again.")
