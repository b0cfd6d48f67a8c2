"""What goes out: one struct per answer, camelCase, instants as text. Also the schemas of the OpenAPI document."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

from domain.assignment import AssigneeType
from domain.audit import Action, SyncStatus
from domain.project import ProjectStatus
from domain.timeline import DependencyKind, ItemKind, ItemMode, Weekday

Id = Annotated[
    str, Meta(pattern="^[0-9a-f]{24}$", min_length=24, max_length=24, examples=["018f3c2ab4d700000001e240"])
]
InstantText = Annotated[
    str,
    Meta(
        description="RFC 3339, UTC, milliseconds",
        extra_json_schema={"format": "date-time"},
        examples=["2026-01-31T12:00:00.000Z"],
    ),
]

DisplayId = Annotated[str, Meta(pattern="^#[1-9][0-9]*$", examples=["#17"])]


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


class EntityView(Struct, rename="camel"):
    """What every entity shows."""

    id: Id
    version: int
    created_at: InstantText
    updated_at: InstantText
    created_by: Id
    updated_by: Id
    is_deleted: bool
    deleted_at: InstantText | None
    deleted_by: Id | None


class ProjectView(EntityView, rename="camel"):
    """A project."""

    name: str
    description: str | None
    status: ProjectStatus
    owner_id: Id
    team_id: Id | None
    color: str | None


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


class LabelView(EntityView, rename="camel"):
    """A label."""

    name: str
    color: str


class UserView(EntityView, rename="camel"):
    """Somebody who signs in. `email` and `grants` are null for all but himself and administrators."""

    email: str | None
    name: str
    grants: tuple[str, ...] | None


class CalendarView(Struct, rename="camel"):
    """Which days are worked."""

    working_days: tuple[Weekday, ...]
    holidays: tuple[date, ...]


class TimelineItemView(Struct, rename="camel"):
    """One bar, bracket or diamond."""

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
    """The second item waits for the first."""

    from_: str = field(name="from")
    to: str
    kind: DependencyKind
    lag: int


class TimelineView(EntityView, rename="camel"):
    """The schedule of a project; it carries the project's id. Version 0 stands for a plan nobody saved yet."""

    calendar: CalendarView
    items: tuple[TimelineItemView, ...]
    dependencies: tuple[DependencyView, ...]
    message: str | None


class ChangeView(Struct):
    """One field before and after, as the entity's view shows it."""

    before: Any
    after: Any


class AuditEntryView(Struct, rename="camel"):
    """Who did what, when, by which request. `sync`: how far the mirrored copy is, null where nothing is mirrored."""

    id: Id
    collection: str
    entity_id: Id
    version: int
    action: Action
    actor_id: Id
    at: InstantText
    request_id: str
    changes: dict[str, ChangeView]
    sync: SyncStatus | None


class VersionView(Struct, rename="camel"):
    """One version in an entity's history."""

    version: int
    at: InstantText
    actor_id: Id
    action: Action
    changes: dict[str, ChangeView]


class DiffView(Struct, rename="camel"):
    """What differs between two versions."""

    from_: int = field(name="from")
    to: int
    changes: dict[str, ChangeView]


class ComponentView(Struct, omit_defaults=True):
    """One part of the service."""

    status: str
    detail: str | None = None


class HealthView(Struct):
    """Whether requests can be answered, and each part."""

    status: str
    components: dict[str, ComponentView]


class StatusView(Struct):
    """UP or DOWN."""

    status: str


class CollectionSyncView(Struct, rename="camel"):
    """How far one collection is mirrored, in entries."""

    collection: str
    synced: int
    pending: int
    failed: int
    parked: int
    oldest_pending_age_ms: int | None
    mirror_latency_p50_ms: float | None
    mirror_latency_p99_ms: float | None


class SyncTotalsView(Struct, rename="camel"):
    """All collections together."""

    synced: int
    pending: int
    failed: int
    parked: int
    oldest_pending_age_ms: int | None


class SyncMetricsView(Struct, rename="camel"):
    """The whole mirror."""

    source: str
    target: str | None
    mode: str
    paused: bool
    target_reachable: bool
    totals: SyncTotalsView
    collections: tuple[CollectionSyncView, ...]


class RecordSyncView(Struct, rename="camel"):
    """One record on both sides; a version is null where the store does not hold it."""

    collection: str
    id: Id
    status: SyncStatus
    source_version: int | None
    target_version: int | None
    attempts: int
    last_error: str | None
    next_attempt_at: InstantText | None


class FailureView(Struct, rename="camel"):
    """An entry that could not be mirrored."""

    entry_id: Id
    collection: str
    id: Id
    version: int
    action: Action
    at: InstantText
    status: SyncStatus
    attempts: int
    last_error: str | None
    next_attempt_at: InstantText | None


class RequeuedView(Struct):
    """How many entries will be mirrored again."""

    requeued: int


class VersionStatusView(Struct, rename="camel"):
    """One version in a record's history and where it is now."""

    version: int
    action: Action
    actor_id: Id
    at: InstantText
    request_id: str
    status: SyncStatus | None
    attempts: int
    last_error: str | None
    mirrored_at: InstantText | None
    in_source: bool
    in_target: bool


class SyncHistoryView(Struct):
    """Each version of a record, newest first."""

    items: tuple[VersionStatusView, ...]
