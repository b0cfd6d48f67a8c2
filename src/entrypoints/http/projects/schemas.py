"""What comes in: one struct per body, unknown fields refused, lengths bounded. In partial bodies absent is UNSET."""

from datetime import date, datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

from domain import label, project, task, timeline, user
from domain.project import ProjectStatus
from domain.storable import INTEGER_MAX
from domain.task import TaskStatus
from domain.timeline import DependencyKind, ItemKind, ItemMode, Weekday
from entrypoints.http.views import Id, PriorityName

Color = Annotated[str, Meta(pattern="^#[0-9a-f]{6}$", max_length=7, examples=["#3366ff"])]
# Only instants with a zone say when something is, and no store keeps more than milliseconds.
_INSTANT_PATTERN = r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,3})?([Zz]|[+-]\d\d:\d\d)$"
Instant = Annotated[
    datetime,
    Meta(
        tz=True,
        examples=["2026-01-31T12:00:00.000Z"],
        extra_json_schema={"pattern": _INSTANT_PATTERN},
    ),
]

NAMING = (
    "One visible line: no control characters, nothing that hides or changes the direction of writing. "
    "Kept in Unicode's form NFC, without white space at its ends."
)
ProjectName = Annotated[
    str,
    Meta(min_length=1, max_length=project.NAME_LENGTH_MAX, description=NAMING, examples=["Moon landing"]),
]
ProjectDescription = Annotated[str, Meta(max_length=project.DESCRIPTION_LENGTH_MAX)]
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
LabelName = Annotated[
    str, Meta(min_length=1, max_length=label.NAME_LENGTH_MAX, description=NAMING, examples=["urgent"])
]
UserName = Annotated[
    str, Meta(min_length=1, max_length=user.NAME_LENGTH_MAX, description=NAMING, examples=["Ada"])
]
Email = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=user.EMAIL_LENGTH_MAX,
        examples=["ada@example.org"],
        extra_json_schema={"format": "email"},
    ),
]
ItemId = Annotated[str, Meta(min_length=1, max_length=timeline.ITEM_ID_LENGTH_MAX, examples=["a"])]
WorkingDays = Annotated[tuple[Weekday, ...], Meta(max_length=7)]
Holidays = Annotated[tuple[date, ...], Meta(max_length=timeline.HOLIDAYS_MAX)]
SaveMessage = Annotated[str, Meta(max_length=timeline.MESSAGE_LENGTH_MAX)]
ItemTitle = Annotated[str, Meta(max_length=timeline.TITLE_LENGTH_MAX)]
Duration = Annotated[int, Meta(ge=0, le=timeline.DURATION_MAX)]
Lag = Annotated[int, Meta(ge=-timeline.LAG_MAX, le=timeline.LAG_MAX)]
VersionNumber = Annotated[int, Meta(ge=1, le=INTEGER_MAX, examples=[1])]


class _Body(Struct, rename="camel", forbid_unknown_fields=True):
    """The habits of all bodies."""


class ProjectBody(_Body, rename="camel"):
    """A new project."""

    name: ProjectName
    description: ProjectDescription | UnsetType | None = UNSET
    status: ProjectStatus | UnsetType = UNSET
    owner_id: Id | UnsetType = UNSET
    team_id: Id | UnsetType | None = UNSET
    color: Color | UnsetType | None = UNSET


class ProjectPatch(_Body, rename="camel"):
    """Changes of a project (merge patch)."""

    name: ProjectName | UnsetType = UNSET
    description: ProjectDescription | UnsetType | None = UNSET
    status: ProjectStatus | UnsetType = UNSET
    owner_id: Id | UnsetType = UNSET
    team_id: Id | UnsetType | None = UNSET
    color: Color | UnsetType | None = UNSET


class TaskBody(_Body, rename="camel"):
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


class TaskPatch(_Body, rename="camel"):
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


class LabelBody(_Body, rename="camel"):
    """A new label."""

    name: LabelName
    color: Color | UnsetType = UNSET


class LabelPatch(_Body, rename="camel"):
    """Changes of a label (merge patch)."""

    name: LabelName | UnsetType = UNSET
    color: Color | UnsetType = UNSET


class UserPatch(_Body, rename="camel"):
    """Changes of a profile (merge patch)."""

    name: UserName | UnsetType = UNSET


class CalendarBody(_Body, rename="camel"):
    """Which days are worked."""

    working_days: WorkingDays = timeline.WORKING_WEEK
    holidays: Holidays = ()


class TimelineItemBody(_Body, rename="camel"):
    """One bar, bracket or diamond."""

    id: ItemId
    kind: ItemKind = ItemKind.TASK
    task_id: Id | None = None
    parent_id: ItemId | None = None
    title: ItemTitle | None = None
    start: date | None = None
    end: date | None = None
    duration: Duration | None = None
    mode: ItemMode = ItemMode.AUTO
    not_before: date | None = None


class DependencyBody(_Body, kw_only=True):
    """The second item waits for the first."""

    from_: ItemId = field(name="from")
    to: ItemId
    kind: DependencyKind = DependencyKind.FS
    lag: Lag = 0


Items = Annotated[tuple[TimelineItemBody, ...], Meta(max_length=timeline.ITEMS_MAX)]
Dependencies = Annotated[tuple[DependencyBody, ...], Meta(max_length=timeline.DEPENDENCIES_MAX)]


class TimelineBody(_Body, rename="camel"):
    """A whole plan."""

    calendar: CalendarBody = field(default_factory=CalendarBody)
    items: Items = ()
    dependencies: Dependencies = ()
    message: SaveMessage | None = None


class CalendarPatch(_Body, rename="camel"):
    """Changes of a calendar (merge patch)."""

    working_days: WorkingDays | UnsetType | None = UNSET
    holidays: Holidays | UnsetType | None = UNSET


class TimelinePatch(_Body, rename="camel"):
    """Changes of a plan (merge patch): each list as a whole. The message is about the change, so none is carried on."""

    calendar: CalendarPatch | UnsetType | None = UNSET
    items: Items | UnsetType | None = UNSET
    dependencies: Dependencies | UnsetType | None = UNSET
    message: SaveMessage | UnsetType | None = UNSET


class RollbackBody(_Body, rename="camel"):
    """Which version to put back."""

    version: VersionNumber


def set_fields(body: Struct) -> dict[str, Any]:
    """The fields that the caller sent, by attribute name."""
    values = ((name, getattr(body, name)) for name in body.__struct_fields__)
    return {name: value for name, value in values if value is not UNSET}
