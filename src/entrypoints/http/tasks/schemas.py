"""Deferrals and assignments as they come in and go out. Queries stand with all others in queries.py."""

from msgspec import Struct

from domain.assignment import AssigneeType
from entrypoints.http.projects.schemas import Instant
from entrypoints.http.views import EntityView, Id


class _Body(Struct, rename="camel", forbid_unknown_fields=True):
    """The habits of all bodies."""


class DeferBody(_Body, rename="camel"):
    """Until when a task is put off; null: no longer."""

    deferred_till: Instant | None


class AssignBody(_Body, rename="camel"):
    """Whom a task is given to."""

    assignee_id: Id
    assignee_type: AssigneeType


class AssignmentBody(_Body, rename="camel"):
    """Which task is given to whom."""

    task_id: Id
    assignee_id: Id
    assignee_type: AssigneeType


class AssignmentPatch(_Body, rename="camel"):
    """Who of the team does the task (merge patch of the one field that can change); null hands it back to the team."""

    executor_id: Id | None


class AssignmentView(EntityView, rename="camel"):
    """One stretch of responsibility for a task; `isDeleted` once it is over."""

    task_id: Id
    assignee_id: Id
    assignee_type: AssigneeType
    executor_id: Id | None
