"""Bodies, queries and views of tasks and assignments."""

from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from application.tasks.details import NO_EXPANSIONS, Expansion, Expansions, NamedAssignee, TaskDetails
from domain import task
from domain.assignment import AssigneeType
from domain.errors import Violation
from domain.task import LinkKind, Task, TaskStatus
from entrypoints.http.protocol import patterns
from entrypoints.http.protocol.answers import view_maker
from entrypoints.http.protocol.schemas import (
    TEXT_LENGTH_MAX,
    Body,
    EntityView,
    Id,
    Instant,
    InstantText,
    ListQuery,
    Query,
    SearchQuery,
    TrashQuery,
    moment,
    moment_violations,
    sort_described,
)


class PriorityName(StrEnum):
    """The names of priorities; stores hold their ranks."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class ShownStatus(StrEnum):
    """The status of a task; DEFERRED while the task is deferred."""

    TODO = "TODO"
    IN_PROGRESS = "IN_PROGRESS"
    BLOCKED = "BLOCKED"
    DONE = "DONE"
    DEFERRED = "DEFERRED"


DisplayId = Annotated[str, Meta(pattern="^#[1-9][0-9]*$", examples=["#17"])]
TaskTitle = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=task.TITLE_LENGTH_MAX,
        description="One line without control characters or changes of the writing direction.",
        examples=["Fuel the rocket"],
    ),
]
TaskDescription = Annotated[str, Meta(max_length=task.DESCRIPTION_LENGTH_MAX)]
LabelIds = Annotated[tuple[Id, ...], Meta(max_length=task.LABELS_MAX)]
ClearableLabelIds = Annotated[LabelIds, Meta(description="Null removes all labels.")]
DueAt = Annotated[
    Instant, Meta(description="The instant when it is due. A task has `dueAt` or `dueOn`, not both.")
]
DueOn = Annotated[
    date,
    Meta(
        description="The day on which it is due, without a time; overdue when that day has ended for the reader. It"
        " sorts as the last millisecond of the day in UTC.",
        examples=["2026-01-31"],
    ),
]
ClearablePriority = Annotated[
    PriorityName, Meta(description="Null resets the priority to the default, MEDIUM.")
]
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


class LinkBody(Body, rename="camel"):
    """A link to another task: what this task is to it."""

    kind: LinkKind
    task_id: Id


Links = Annotated[
    tuple[LinkBody, ...],
    Meta(
        max_length=task.LINKS_MAX,
        description="Links to other tasks. They stay when the other task is deleted or permanently removed.",
    ),
]


ClearableLinks = Annotated[Links, Meta(description="All links of the task. Null removes them.")]


class LinkView(Struct, rename="camel"):
    """A link to another task: what this task is to it."""

    kind: LinkKind
    task_id: Id


class TaskBody(Body, rename="camel"):
    """A new task."""

    title: TaskTitle
    description: TaskDescription | UnsetType | None = UNSET
    status: TaskStatus | UnsetType = UNSET
    priority: PriorityName | UnsetType = UNSET
    project_id: Id | UnsetType | None = UNSET
    parent_id: Id | UnsetType | None = UNSET
    label_ids: LabelIds | UnsetType = UNSET
    started_at: Instant | UnsetType | None = UNSET
    due_at: DueAt | UnsetType | None = UNSET
    due_on: DueOn | UnsetType | None = UNSET
    links: Links | UnsetType = UNSET
    is_acknowledged: bool | UnsetType = UNSET


class TaskPatch(Body, rename="camel"):
    """Changes to a task (merge patch). Required fields cannot be null.

    A task with `dueAt` gets a `dueOn` only together with `"dueAt": null`, and the other way round.
    """

    title: TaskTitle | UnsetType = UNSET
    description: TaskDescription | UnsetType | None = UNSET
    status: TaskStatus | UnsetType = UNSET
    priority: ClearablePriority | UnsetType | None = UNSET
    project_id: Id | UnsetType | None = UNSET
    parent_id: Id | UnsetType | None = UNSET
    label_ids: ClearableLabelIds | UnsetType | None = UNSET
    started_at: Instant | UnsetType | None = UNSET
    due_at: DueAt | UnsetType | None = UNSET
    due_on: DueOn | UnsetType | None = UNSET
    links: ClearableLinks | UnsetType | None = UNSET
    is_acknowledged: bool | UnsetType = UNSET


class DeferBody(Body, rename="camel"):
    """The time until which a task is deferred; null ends the deferral."""

    deferred_till: Instant | None


class AssignBody(Body, rename="camel"):
    """The assignee of a task."""

    assignee_id: Id
    assignee_type: AssigneeType


class AssignmentBody(Body, rename="camel"):
    """A task and its assignee."""

    task_id: Id
    assignee_id: Id
    assignee_type: AssigneeType


class AssignmentPatch(Body, rename="camel"):
    """The team member who executes the task (merge patch; only this field can change), or null for no executor."""

    executor_id: Id | None


class TaskLabelView(Struct):
    """A label as its tasks show it."""

    id: Id
    name: str
    color: str


class AssigneeView(Struct, rename="camel"):
    """The assignee of a task and, for a team, its executor. A name is null if the user or team no longer exists."""

    id: Id
    type: AssigneeType
    name: str | None
    executor_id: Id | None
    executor_name: str | None


class TaskView(EntityView, rename="camel"):
    """A task as the caller sees it.

    `inWatchlist` says whether the caller watches it. `labels` (without deleted ones) and `assignee` are present only if
    they are listed in `expand`.
    """

    display_id: DisplayId | None
    title: str
    description: str | None
    status: ShownStatus
    priority: PriorityName
    project_id: Id | None
    parent_id: Id | None
    label_ids: tuple[Id, ...]
    started_at: InstantText | None
    due_at: InstantText | None
    due_on: date | None
    completed_at: InstantText | None
    links: tuple[LinkView, ...]
    is_acknowledged: bool
    deferred_till: InstantText | None
    owner_id: Id
    team_id: Id | None
    assignee_id: Id | None
    assignee_type: AssigneeType | None
    executor_id: Id | None
    deleted_reason: str | None
    in_watchlist: bool = False
    labels: tuple[TaskLabelView, ...] | UnsetType = UNSET
    assignee: AssigneeView | UnsetType | None = UNSET


class AssignmentView(EntityView, rename="camel"):
    """A period of responsibility for a task; `isDeleted` is true once it has ended."""

    task_id: Id
    assignee_id: Id
    assignee_type: AssigneeType
    executor_id: Id | None


class TaskQuery(SearchQuery, rename="camel"):
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
        Annotated[str, _listed(patterns.PEOPLE, "Tasks that these users created; `me`.", "me")] | None
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


class TaskTrashQuery(TrashQuery, rename="camel"):
    """A page of deleted tasks, with related objects."""

    expand: Expand | None = None


class WatchlistQuery(ListQuery):
    """A page of watched tasks, with related objects."""

    usual_order = "-updatedAt"

    expand: Expand | None = None


class AssignmentQuery(ListQuery, rename="camel"):
    """Filters for active assignments; those of the newest tasks come first."""

    task_id: Id | None = None
    assignee_id: Id | None = None
    executor_id: Id | None = None


def expansions_of(expand: str | None) -> Expansions:
    """The expansions in a validated `expand`."""
    return NO_EXPANSIONS if expand is None else frozenset(map(Expansion, expand.strip().split(",")))


_task_fields = view_maker(Task, TaskView, without=("in_watchlist", "labels", "assignee"))
_assignee_view = view_maker(NamedAssignee, AssigneeView)


def task_view(details: TaskDetails) -> TaskView:
    """The view of a task for one caller."""
    view = _task_fields(details.task)
    view.in_watchlist = details.in_watchlist
    if details.is_deferred:
        view.status = ShownStatus.DEFERRED
    if Expansion.LABELS in details.expand:
        view.labels = tuple(TaskLabelView(label.id, label.name, label.color) for label in details.labels)
    if Expansion.ASSIGNEE in details.expand:
        view.assignee = None if details.assignee is None else _assignee_view(details.assignee)
    return view
