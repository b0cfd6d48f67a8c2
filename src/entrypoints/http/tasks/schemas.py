"""Tasks and assignments as they come in and go out."""

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
    """Priorities by name; stores keep their rank."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class ShownStatus(StrEnum):
    """Where a task stands; DEFERRED as long as it is put off."""

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
        description="One line: no control characters, nothing that changes the direction of writing.",
        examples=["Fuel the rocket"],
    ),
]
TaskDescription = Annotated[str, Meta(max_length=task.DESCRIPTION_LENGTH_MAX)]
LabelIds = Annotated[tuple[Id, ...], Meta(max_length=task.LABELS_MAX)]
ClearableLabelIds = Annotated[LabelIds, Meta(description="Null takes all labels away.")]
ClearablePriority = Annotated[
    PriorityName, Meta(description="Null puts back the priority of a task made without one: MEDIUM.")
]
Expand = Annotated[
    str,
    Meta(
        pattern=r"^(labels|assignee)(,(labels|assignee))*$",
        max_length=TEXT_LENGTH_MAX,
        description="What to show in full beside each task, separated by commas.",
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
    """Changes of a task (merge patch). What it is never without cannot be null."""

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
    """Until when a task is put off; null: no longer."""

    deferred_till: Instant | None


class AssignBody(Body, rename="camel"):
    """Whom a task is given to."""

    assignee_id: Id
    assignee_type: AssigneeType


class AssignmentBody(Body, rename="camel"):
    """Which task is given to whom."""

    task_id: Id
    assignee_id: Id
    assignee_type: AssigneeType


class AssignmentPatch(Body, rename="camel"):
    """Who of the team does the task (merge patch of the one field that can change); null hands it back to the team."""

    executor_id: Id | None


class TaskLabelView(Struct):
    """A label as its tasks show it."""

    id: Id
    name: str
    color: str


class AssigneeView(Struct, rename="camel"):
    """Whom a task is given to, and which member of a team took it over. A name is null where nobody has the id."""

    id: Id
    type: AssigneeType
    name: str | None
    executor_id: Id | None
    executor_name: str | None


class TaskView(EntityView, rename="camel"):
    """A task as its reader sees it.

    `inWatchlist` is about the reader. `labels` (without those in the trash) and `assignee` are there where `expand`
    names them.
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
    """One stretch of responsibility for a task; `isDeleted` once it is over."""

    task_id: Id
    assignee_id: Id
    assignee_type: AssigneeType
    executor_id: Id | None


class TaskQuery(SearchQuery, rename="camel"):
    """Which tasks, in which order. A task that is put off at present is DEFERRED and nothing else."""

    project_id: Id | None = None
    team_id: (
        Annotated[Id, Meta(description="Tasks of the team's projects, and those given to it.")] | None
    ) = None
    assignee_id: Annotated[Id, Meta(description="Tasks given to this user or team.")] | None = None
    created_by: Id | None = None
    watching: Annotated[bool, Meta(description="Only what you watch.")] = False
    status: ShownStatus | None = None
    priority: PriorityName | None = None
    label_id: Id | None = None
    due_before: Instant | None = None
    due_after: Instant | None = None
    sort: Annotated[TaskOrder, sort_described("-createdAt")] | None = None
    expand: Expand | None = None


class TaskViewQuery(Query):
    """How to show a task."""

    expand: Expand | None = None


class TaskTrashQuery(TrashQuery, rename="camel"):
    """Which deleted tasks, and how to show them."""

    expand: Expand | None = None


class WatchlistQuery(ListQuery):
    """How to show what you watch."""

    usual_order = "-updatedAt"

    expand: Expand | None = None


class AssignmentQuery(ListQuery, rename="camel"):
    """Which live assignments; those of the newest tasks come first."""

    task_id: Id | None = None
    assignee_id: Id | None = None
    executor_id: Id | None = None


def expansions_of(expand: str | None) -> Expansions:
    """The parts that a checked list of words names."""
    return NO_EXPANSIONS if expand is None else frozenset(map(Expansion, expand.strip().split(",")))


_task_fields = view_maker(Task, TaskView, without=("in_watchlist", "labels", "assignee"))
_assignee_view = view_maker(NamedAssignee, AssigneeView)


def task_view(seen: TaskDetails) -> TaskView:
    """A task as its reader sees it."""
    view = _task_fields(seen.task)
    view.in_watchlist = seen.in_watchlist
    if seen.is_deferred:
        view.status = ShownStatus.DEFERRED
    if Expansion.LABELS in seen.expand:
        view.labels = tuple(TaskLabelView(label.id, label.name, label.color) for label in seen.labels)
    if Expansion.ASSIGNEE in seen.expand:
        view.assignee = None if seen.assignee is None else _assignee_view(seen.assignee)
    return view
