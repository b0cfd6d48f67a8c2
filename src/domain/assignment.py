"""Who is to do a task: a user, or a team and the member of it who took it over."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from domain.entity import Entity, Stamp, derived_id, first_stamps
from domain.errors import Conflict


class AssigneeType(StrEnum):
    """What kind of assignee an id names."""

    USER = "USER"
    TEAM = "TEAM"


@dataclass(frozen=True, slots=True)
class Assignee:
    """Whom a task is given to."""

    id: str
    type: AssigneeType


def assignment_id(task_id: str, task_version: int) -> str:
    """The one id of the assignment that came with this version of its task: no version comes with two."""
    return derived_id("task_assignments", task_id, str(task_version))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAssignment(Entity):
    """One stretch of responsibility; in the trash once it is over. At most one per task is live.

    The task repeats what its live assignment says, written in the same change set, so that lists need not look here.
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
        return cls(
            **first_stamps(id, stamp),  # type: ignore[arg-type]
            task_id=task_id,
            assignee_id=assignee.id,
            assignee_type=assignee.type,
            executor_id=executor_id,
        )

    @property
    def assignee(self) -> Assignee:
        """Whom the task is given to."""
        return Assignee(self.assignee_id, self.assignee_type)

    def executed_by(self, stamp: Stamp, executor_id: str | None) -> Self:
        """The assignment taken over by a member of its team, or handed back. Raises Conflict for a user's task, and for
        an assignment that is over.
        """
        self.require_live()
        if self.assignee_type is not AssigneeType.TEAM:
            raise Conflict("Only a team's task has an executor; this one is a user's.")
        return self._next(stamp, executor_id=executor_id)

    def end(self, stamp: Stamp) -> Self:
        """The assignment once it is over. Raises Conflict where it is over already."""
        self.require_live()
        return self.delete(stamp)

    def require_live(self) -> None:
        """Raises Conflict for an assignment that is over: what is over does not come back."""
        if self.is_deleted:
            raise Conflict("This assignment is over; assign the task anew.")
