"""Bodies, queries and views of tasks and assignments."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from application.tasks.details import Expansion, NamedAssignee, TaskDetails
from domain import task_changes
from domain.assignment import AssigneeType
from domain.task import Task, TaskStatus
from domain.task_changes import LinkKind
from entrypoints.http.protocol.answers import view_maker
from entrypoints.http.protocol.schemas import (
    Body,
    EntityView,
    Id,
    Instant,
    InstantText,
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
        max_length=task_changes.TITLE_LENGTH_MAX,
        description="One line without control characters or changes of the writing direction.",
        examples=["Fuel the rocket"],
    ),
]
TaskDescription = Annotated[str, Meta(max_length=task_changes.DESCRIPTION_LENGTH_MAX)]
LabelIds = Annotated[tuple[Id, ...], Meta(max_length=task_changes.LABELS_MAX)]
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


class LinkBody(Body):
    """A link to another task: what this task is to it."""

    kind: LinkKind
    task_id: Id


Links = Annotated[
    tuple[LinkBody, ...],
    Meta(
        max_length=task_changes.LINKS_MAX,
        description="Links to other tasks. They stay when the other task is deleted or permanently removed.",
    ),
]


ClearableLinks = Annotated[Links, Meta(description="All links of the task. Null removes them.")]


class LinkView(Struct, rename="camel"):
    """A link to another task: what this task is to it."""

    kind: LinkKind
    task_id: Id


class TaskBody(Body):
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


class TaskPatch(Body):
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


class DeferBody(Body):
    """The time until which a task is deferred; null ends the deferral."""

    deferred_till: Instant | None


class AssignBody(Body):
    """The assignee of a task."""

    assignee_id: Id
    assignee_type: AssigneeType


class AssignmentBody(Body):
    """A task and its assignee."""

    task_id: Id
    assignee_id: Id
    assignee_type: AssigneeType


class AssignmentPatch(Body):
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


class TaskView(EntityView):
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


class AssignmentView(EntityView):
    """A period of responsibility for a task; `isDeleted` is true once it has ended."""

    task_id: Id
    assignee_id: Id
    assignee_type: AssigneeType
    executor_id: Id | None


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
