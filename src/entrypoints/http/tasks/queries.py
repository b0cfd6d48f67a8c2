"""Queries of lists of tasks and assignments."""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from application.tasks.details import NO_EXPANSIONS, Expansion, Expansions
from domain.errors import Violation
from entrypoints.http.protocol import patterns
from entrypoints.http.protocol.schemas import (
    TEXT_LENGTH_MAX,
    Id,
    ListQuery,
    Query,
    SearchQuery,
    TrashQuery,
    moment,
    moment_violations,
    sort_described,
)

Expand = Annotated[
    str,
    Meta(
        pattern=patterns.EXPAND,
        max_length=TEXT_LENGTH_MAX,
        description="Related objects to include with each task, separated by commas.",
        examples=["labels,assignee"],
    ),
]
TaskOrder = Literal[
    "relevance",
    "createdAt",
    "-createdAt",
    "updatedAt",
    "-updatedAt",
    "dueAt",
    "-dueAt",
    "priority",
    "-priority",
    "displayId",
    "-displayId",
]


def _listed(pattern: str, description: str, example: str = "018f3c2ab4d700000001e240") -> Meta:
    """The description of a parameter that takes several values."""
    return Meta(
        pattern=pattern, max_length=patterns.LIST_LENGTH_MAX, description=description, examples=[example]
    )


_NULLS = "Tasks without a due date, or without a number, come last in both directions."


class TaskQuery(SearchQuery):
    """Filters and order of tasks. A filter that takes several values, separated by commas, accepts tasks with any of
    them.
    """

    ids: Annotated[str, _listed(patterns.IDS, "Only these tasks.")] | None = None
    display_id: (
        Annotated[str, _listed(patterns.NUMBERS, "Tasks with these numbers, with or without #.", "17")] | None
    ) = None
    project_id: (
        Annotated[str, _listed(patterns.IDS_OR_NONE, "Tasks of these projects; `none`: of no project.")]
        | None
    ) = None
    parent_id: (
        Annotated[str, _listed(patterns.IDS_OR_NONE, "Subtasks of these tasks; `none`: no subtasks.")] | None
    ) = None
    team_id: (
        Annotated[
            str,
            _listed(patterns.IDS, "Tasks of the projects of these teams, and tasks assigned to the teams."),
        ]
        | None
    ) = None
    assignee_id: (
        Annotated[
            str,
            _listed(
                patterns.PEOPLE, "Tasks assigned to these users or teams; `me`; `none`: to nobody.", "me"
            ),
        ]
        | None
    ) = None
    created_by: (
        Annotated[str, _listed(patterns.CREATORS, "Tasks that these users created; `me`.", "me")] | None
    ) = None
    watching: Annotated[bool, Meta(description="Only tasks that you watch.")] = False
    status: (
        Annotated[
            str, _listed(patterns.STATUSES, "A deferred task only matches DEFERRED.", "TODO,IN_PROGRESS")
        ]
        | None
    ) = None
    priority: (
        Annotated[str, _listed(patterns.PRIORITIES, "Tasks with these priorities.", "HIGH,MEDIUM")] | None
    ) = None
    label_id: Annotated[str, _listed(patterns.IDS, "Tasks with any of these labels.")] | None = None
    due_after: Annotated[str, moment("Tasks that are due at this time or later (inclusive).")] | None = None
    due_before: Annotated[str, moment("Tasks that are due before this time (exclusive).")] | None = None
    overdue: (
        Annotated[
            bool,
            Meta(
                description="true: tasks that are not done although their `dueAt` has passed, or their `dueOn` in your "
                "time zone. false: all others."
            ),
        ]
        | None
    ) = None
    updated_after: (
        Annotated[str, moment("Tasks that were last changed at this time or later (inclusive).")] | None
    ) = None
    sort: Annotated[TaskOrder, sort_described("-createdAt", more=_NULLS)] | None = None
    expand: Expand | None = None

    def violations(self) -> Iterator[Violation]:
        yield from super().violations()
        yield from moment_violations(self, "due_after", "due_before", "updated_after")


class TaskViewQuery(Query):
    """Options for reading a task."""

    expand: Expand | None = None


class TaskTrashQuery(TrashQuery):
    """A page of deleted tasks, with related objects."""

    expand: Expand | None = None


class WatchlistQuery(ListQuery):
    """A page of watched tasks, with related objects."""

    usual_order = "-updatedAt"

    expand: Expand | None = None


class AssignmentQuery(ListQuery):
    """Filters for active assignments; those of the newest tasks come first."""

    task_id: Id | None = None
    assignee_id: Id | None = None
    executor_id: Id | None = None


def expansions_of(expand: str | None) -> Expansions:
    """The expansions in a validated `expand`."""
    return NO_EXPANSIONS if expand is None else frozenset(map(Expansion, expand.strip().split(",")))
