"""Bodies, queries and views of projects and timelines."""

from datetime import date
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from domain import project, timeline
from domain.project import ProjectStatus
from domain.timeline import DependencyKind, ItemKind, ItemMode, Weekday
from entrypoints.http.protocol.schemas import (
    NAMING,
    Body,
    Color,
    EntityView,
    Id,
    Instant,
    Query,
    SearchOrder,
    SearchQuery,
    Version,
    sort_described,
)

ProjectName = Annotated[
    str,
    Meta(min_length=1, max_length=project.NAME_LENGTH_MAX, description=NAMING, examples=["Moon landing"]),
]
ProjectDescription = Annotated[str, Meta(max_length=project.DESCRIPTION_LENGTH_MAX)]
ItemId = Annotated[str, Meta(min_length=1, max_length=timeline.ITEM_ID_LENGTH_MAX, examples=["a"])]
WorkingDays = Annotated[tuple[Weekday, ...], Meta(max_length=7)]
Holidays = Annotated[tuple[date, ...], Meta(max_length=timeline.HOLIDAYS_MAX)]
SaveMessage = Annotated[str, Meta(max_length=timeline.MESSAGE_LENGTH_MAX)]
ItemTitle = Annotated[str, Meta(max_length=timeline.TITLE_LENGTH_MAX)]
Duration = Annotated[int, Meta(ge=0, le=timeline.DURATION_MAX)]
Lag = Annotated[int, Meta(ge=-timeline.LAG_MAX, le=timeline.LAG_MAX)]


class ProjectBody(Body):
    """A new project."""

    name: ProjectName
    description: ProjectDescription | UnsetType | None = UNSET
    status: ProjectStatus | UnsetType = UNSET
    owner_id: Id | UnsetType = UNSET
    team_id: Id | UnsetType | None = UNSET
    color: Color | UnsetType | None = UNSET


class ProjectPatch(Body):
    """Changes to a project (merge patch)."""

    name: ProjectName | UnsetType = UNSET
    description: ProjectDescription | UnsetType | None = UNSET
    status: ProjectStatus | UnsetType = UNSET
    owner_id: Id | UnsetType = UNSET
    team_id: Id | UnsetType | None = UNSET
    color: Color | UnsetType | None = UNSET


class ProjectView(EntityView):
    """A project."""

    name: str
    description: str | None
    status: ProjectStatus
    owner_id: Id
    team_id: Id | None
    color: str | None


class ProjectQuery(SearchQuery):
    """Filters and order of projects."""

    owner_id: Id | None = None
    team_id: Id | None = None
    status: ProjectStatus | None = None
    sort: Annotated[SearchOrder, sort_described("-createdAt")] | None = None


class CalendarBody(Body):
    """The working days."""

    working_days: WorkingDays = timeline.WORKING_WEEK
    holidays: Holidays = ()


class TimelineItemBody(Body):
    """One item: a task, a summary or a milestone."""

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


class DependencyBody(Body, kw_only=True):
    """A dependency: the item `to` depends on the item `from`."""

    from_: ItemId = field(name="from")
    to: ItemId
    kind: DependencyKind = DependencyKind.FS
    lag: Lag = 0


Items = Annotated[tuple[TimelineItemBody, ...], Meta(max_length=timeline.ITEMS_MAX)]
Dependencies = Annotated[tuple[DependencyBody, ...], Meta(max_length=timeline.DEPENDENCIES_MAX)]


class TimelineBody(Body):
    """A complete plan."""

    calendar: CalendarBody = field(default_factory=CalendarBody)
    items: Items = ()
    dependencies: Dependencies = ()
    message: SaveMessage | None = None


class CalendarPatch(Body):
    """Changes to a calendar (merge patch)."""

    working_days: WorkingDays | UnsetType | None = UNSET
    holidays: Holidays | UnsetType | None = UNSET


class TimelinePatch(Body):
    """Changes to a plan (merge patch). A list is replaced as a whole. The message of the last version is not kept."""

    calendar: CalendarPatch | UnsetType | None = UNSET
    items: Items | UnsetType | None = UNSET
    dependencies: Dependencies | UnsetType | None = UNSET
    message: SaveMessage | UnsetType | None = UNSET


class CalendarView(Struct, rename="camel"):
    """The working days."""

    working_days: tuple[Weekday, ...]
    holidays: tuple[date, ...]


class TimelineItemView(Struct, rename="camel"):
    """One item: a task, a summary or a milestone."""

    id: str
    kind: ItemKind
    task_id: Id | None
    parent_id: str | None
    title: str | None
    start: date | None
    end: date | None
    duration: int | None
    mode: ItemMode
    not_before: date | None


class DependencyView(Struct, rename="camel"):
    """A dependency: the item `to` depends on the item `from`."""

    from_: str = field(name="from")
    to: str
    kind: DependencyKind
    lag: int


class TimelineView(EntityView):
    """The schedule of a project, with the project's id. Version 0 is the empty plan before the first save."""

    calendar: CalendarView
    items: tuple[TimelineItemView, ...]
    dependencies: tuple[DependencyView, ...]
    message: str | None


class TimelineQuery(Query):
    """The version to read: by number, or the one that was current at an instant."""

    version: Version | None = None
    at: Instant | None = None


class SaveQuery(Query):
    """Options for saving."""

    dry_run: Annotated[
        bool,
        Meta(
            description="Answer with the plan and version that would be stored, and store nothing. The answer has no "
            "ETag, because the version does not exist."
        ),
    ] = False
