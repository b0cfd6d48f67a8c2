"""Bodies, queries and views of tasks and assignments."""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from application.tasks.details import NO_EXPANSIONS, Expansion, Expansions, NamedAssignee, TaskDetails
from domain import task
from domain.assignment import AssigneeType
from domain.task import Task, TaskStatus
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
ClearablePriority = Annotated[
    PriorityName, Meta(description="Null resets the priority to the default, MEDIUM.")
]
Expand = Annotated[
    str,
    Meta(
        pattern=r"^(labels|assignee)(,(labels|assignee))*$",
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
    due_at: Instant | UnsetType | None = UNSET
    is_acknowledged: bool | UnsetType = UNSET


class TaskPatch(Body, rename="camel"):
    """Changes to a task (merge patch). Required fields cannot be null."""

    title: TaskTitle | UnsetType = UNSET
    description: TaskDescription | UnsetType | None = UNSET
    status: TaskStatus | UnsetType = UNSET
    priority: ClearablePriority | UnsetType | None = UNSET
    project_id: Id | UnsetType | None = UNSET
    parent_id: Id | UnsetType | None = UNSET
    label_ids: ClearableLabelIds | UnsetType | None = UNSET
    started_at: Instant | UnsetType | None = UNSET
    due_at: Instant | UnsetType | None = UNSET
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
    """Filters and order of tasks. A deferred task only matches the status DEFERRED."""

    project_id: Id | None = None
    team_id: (
        Annotated[Id, Meta(description="Tasks of the team's projects, and tasks assigned to the team.")]
        | None
    ) = None
    assignee_id: Annotated[Id, Meta(description="Tasks assigned to this user or team.")] | None = None
    created_by: Id | None = None
    watching: Annotated[bool, Meta(description="Only tasks that you watch.")] = False
    status: ShownStatus | None = None
    priority: PriorityName | None = None
    label_id: Id | None = None
    due_before: Instant | None = None
    due_after: Instant | None = None
    sort: Annotated[TaskOrder, sort_described("-createdAt")] | None = None
    expand: Expand | None = None


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
