"""One declaration per collection: what a store must know to hold its records."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from operator import not_
from typing import Any, Generic, TypeVar

from adapters.records.criteria import Scalar
from adapters.records.fields import Field, fields_of
from adapters.records.record import IS_DELETED, CorruptRecord, Record, RecordMapping, mapping_of
from adapters.records.shape import Shape
from adapters.records.upgrades import Former, Upgrades, defaults_of
from domain.assignment import TaskAssignment
from domain.audit import AuditEntry, SyncStatus
from domain.label import Label
from domain.project import Project
from domain.role import Role
from domain.session import Session
from domain.task import Task
from domain.team import Membership, Team
from domain.timeline import Timeline
from domain.user import User
from domain.watch import Watch

E = TypeVar("E")

UNSETTLED = (SyncStatus.PENDING.value, SyncStatus.FAILED.value, SyncStatus.PARKED.value)
"""What an entry says that is still to be mirrored."""

Held = dict[str, tuple[Scalar, ...]]


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """Values that only one record may hold. Records where one of the fields is null never collide;
    `live_only` keys ignore the trash.
    """

    name: str
    fields: tuple[str, ...]
    live_only: bool = False


class Scope(Enum):
    """Which records an index holds. Every index costs every write, so it holds no more than is asked for."""

    ALL = "all"
    LIVE = "live"
    """What is not in the trash, which nearly all questions exclude."""
    TRASH = "trash"
    UNSETTLED = "unsettled"
    """Entries that are still to be mirrored: few, and none where all is well."""

    @property
    def held(self) -> Held:
        """Each field that decides what it holds, with the values a record may have there."""
        return _HELD[self]


_HELD: dict[Scope, Held] = {
    Scope.ALL: {},
    Scope.LIVE: {IS_DELETED: (False,)},
    Scope.TRASH: {IS_DELETED: (True,)},
    Scope.UNSETTLED: {"syncStatus": UNSETTLED},
}


@dataclass(frozen=True, slots=True)
class Index:
    """Fields that questions pin or order by, in this order; each question also breaks ties by id.

    Records outside its scope are not in it, nor are those where the first field is null: nobody looks for them by it.
    """

    name: str
    fields: tuple[str, ...]
    scope: Scope = Scope.ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSpec(Generic[E]):
    """How one entity is kept. `text_fields` are searched by word. Local collections are never mirrored.

    `list_orders` are fields by which lists of live records are sorted although no index leads there; only the embedded
    store builds an index for each of them today. `former_names` are field names of older documents.
    """

    collection: str
    table: str
    mapping: RecordMapping[E]
    fields: tuple[Field, ...]
    shape: Shape
    upgrades: Upgrades
    unique_keys: tuple[UniqueKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    text_fields: tuple[str, ...] = ()
    list_orders: tuple[str, ...] = ()
    former_names: tuple[str, ...] = ()
    is_local: bool = False

    def upgraded(self, record: Record) -> Record:
        """The record as this program writes it; the same object where it is already."""
        return self.upgrades.upgraded(record)

    def entity(self, record: Record) -> E:
        """The entity of a record. Raises CorruptRecord where it does not fit, upgraded or not."""
        try:
            return self.mapping.from_record(record)
        except CorruptRecord:
            # Stores upgrade what they read; an earlier state that the audit trail tells is still an old one.
            upgraded = self.upgraded(record)
            if upgraded is record:
                raise
            return self.mapping.from_record(upgraded)

    def field(self, name: str) -> Field:
        """The field with this record name. Raises KeyError: questions about unknown fields are programming errors."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"{self.collection} has no field {name}")

    def present_in(self, index: UniqueKey | Index) -> tuple[str, ...]:
        """The fields that are never null in what the index or key holds, of those that may be null elsewhere."""
        leading, held = (
            (index.fields, {}) if isinstance(index, UniqueKey) else (index.fields[:1], index.scope.held)
        )
        return tuple(name for name in leading if self.field(name).nullable and name not in held)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRecord:
    """Something a store knows about itself: a lease, the arrangement of stores. `value` holds JSON values."""

    id: str
    version: int
    value: dict[str, object]


STAND_INS = (
    ("createdAt", "updatedAt"),
    ("updatedAt", "createdAt"),
    ("createdBy", "updatedBy"),
    ("updatedBy", "createdBy"),
    ("ownerId", "createdBy"),
)
"""Required fields, each with the one that says the same in a record that lacks it."""


def _spec(
    entity: type[E],
    collection: str,
    *,
    formers: Sequence[Former] = (),
    **facts: Any,
) -> RecordSpec[E]:
    mapping, fields = mapping_of(entity), fields_of(entity)
    shape = Shape(collection, fields)
    columns = [Former(field.column, field.name) for field in fields if field.column != field.name]
    upgrades = Upgrades(
        shape,
        fields,
        defaults=defaults_of(mapping.struct),
        formers=(*columns, *formers),
        stand_ins=STAND_INS,
    )
    return RecordSpec(
        collection=collection,
        table=facts.pop("table", f"postgres_{collection}"),
        mapping=mapping,
        fields=fields,
        shape=shape,
        upgrades=upgrades,
        former_names=tuple(former.name for former in formers),
        **facts,
    )


def _till(details: Any) -> Any:
    return details.get("deferredTill") if isinstance(details, dict) else None


_ACTIVE = (Former("isActive", IS_DELETED, not_), Former("is_active", IS_DELETED, not_))
"""What was there before the trash: records that were not active any more."""

USERS = _spec(
    User,
    "users",
    unique_keys=(UniqueKey("users_email", ("email",), live_only=True),),
    indexes=(Index("users_created", ("createdAt",)),),
    text_fields=("name",),
    formers=(Former("emailId", "email"), Former("email_id", "email")),
)

ROLES = _spec(
    Role,
    "roles",
    unique_keys=(UniqueKey("roles_name", ("scope", "name"), live_only=True),),
    indexes=(Index("roles_created", ("createdAt",), Scope.LIVE),),
    formers=_ACTIVE,
)

TEAMS = _spec(
    Team,
    "teams",
    indexes=(
        Index("teams_created", ("createdAt",), Scope.LIVE),
        Index("teams_owner", ("ownerId", "createdAt"), Scope.LIVE),
        Index("teams_deleted", ("deletedAt",), Scope.TRASH),
    ),
    text_fields=("name", "description"),
)

TEAM_MEMBERS = _spec(
    Membership,
    "team_members",
    indexes=(
        Index("team_members_team", ("teamId", "createdAt")),
        Index("team_members_user", ("userId", "createdAt"), Scope.LIVE),
    ),
    formers=_ACTIVE,
)

PROJECTS = _spec(
    Project,
    "projects",
    unique_keys=(UniqueKey("projects_owner_name", ("ownerId", "name"), live_only=True),),
    indexes=(
        Index("projects_owner_created", ("ownerId", "createdAt"), Scope.LIVE),
        Index("projects_owner_updated", ("ownerId", "updatedAt"), Scope.LIVE),
        Index("projects_created", ("createdAt",), Scope.LIVE),
        Index("projects_team", ("teamId", "createdAt"), Scope.LIVE),
        Index("projects_deleted", ("deletedAt",), Scope.TRASH),
    ),
    text_fields=("name", "description"),
    list_orders=("updatedAt", "name"),
)

TIMELINES = _spec(Timeline, "timelines")

TASKS = _spec(
    Task,
    "tasks",
    unique_keys=(
        UniqueKey("tasks_external_key", ("externalKey",)),
        UniqueKey("tasks_display_id", ("displayId",)),
    ),
    indexes=(
        Index("tasks_owner_created", ("ownerId", "createdAt"), Scope.LIVE),
        Index("tasks_owner_updated", ("ownerId", "updatedAt"), Scope.LIVE),
        Index("tasks_team_created", ("teamId", "createdAt"), Scope.LIVE),
        Index("tasks_assignee_created", ("assigneeId", "createdAt"), Scope.LIVE),
        Index("tasks_executor_created", ("executorId", "createdAt"), Scope.LIVE),
        Index("tasks_project_created", ("projectId", "createdAt"), Scope.LIVE),
        Index("tasks_project_due", ("projectId", "dueAt"), Scope.LIVE),
        Index("tasks_project_deleted", ("projectId", "deletedAt"), Scope.TRASH),
        Index("tasks_created", ("createdAt",), Scope.LIVE),
        Index("tasks_deleted", ("deletedAt",), Scope.TRASH),
    ),
    text_fields=("title", "description"),
    list_orders=("updatedAt", "dueAt", "priority", "displayId"),
    formers=(Former("labels", "labelIds"), Former("deferredDetails", "deferredTill", _till)),
)

TASK_ASSIGNMENTS = _spec(
    TaskAssignment,
    "task_assignments",
    unique_keys=(UniqueKey("task_assignments_task", ("taskId",), live_only=True),),
    indexes=(
        Index("task_assignments_assignee", ("assigneeId", "createdAt"), Scope.LIVE),
        Index("task_assignments_executor", ("executorId", "createdAt"), Scope.LIVE),
        Index("task_assignments_created", ("createdAt",), Scope.LIVE),
        Index("task_assignments_history", ("taskId", "createdAt")),
    ),
    formers=(*_ACTIVE, Former("userType", "assigneeType"), Former("user_type", "assigneeType")),
)

WATCHLISTS = _spec(
    Watch,
    "watchlists",
    indexes=(
        Index("watchlists_user", ("userId", "updatedAt"), Scope.LIVE),
        Index("watchlists_task", ("taskId", "createdAt")),
    ),
    formers=_ACTIVE,
)

LABELS = _spec(
    Label,
    "labels",
    unique_keys=(UniqueKey("labels_name", ("name",), live_only=True),),
    indexes=(
        Index("labels_created", ("createdAt",), Scope.LIVE),
        Index("labels_deleted", ("deletedAt",), Scope.TRASH),
    ),
    text_fields=("name",),
)

SESSIONS = _spec(
    Session,
    "sessions",
    indexes=(
        Index("sessions_user", ("userId", "createdAt")),
        Index("sessions_expires", ("expiresAt",)),
    ),
)

AUDIT_LOGS = _spec(
    AuditEntry,
    "audit_logs",
    unique_keys=(
        UniqueKey("audit_logs_version", ("collection", "entityId", "version")),
        UniqueKey("audit_logs_idempotency_key", ("idempotencyKey",)),
    ),
    indexes=(
        Index("audit_logs_actor_at", ("actorId", "at")),
        Index("audit_logs_at", ("at",)),
        Index("audit_logs_unsettled", ("syncStatus", "id"), Scope.UNSETTLED),
        Index("audit_logs_unsettled_in", ("syncStatus", "collection"), Scope.UNSETTLED),
    ),
)

CONTROL = _spec(ControlRecord, "control", table="tandem_control", is_local=True)

ENTITY_SPECS: tuple[RecordSpec[Any], ...] = (
    USERS,
    SESSIONS,
    ROLES,
    TEAMS,
    TEAM_MEMBERS,
    PROJECTS,
    TIMELINES,
    LABELS,
    TASKS,
    TASK_ASSIGNMENTS,
    WATCHLISTS,
)
"""The collections that hold entities, in the order in which references point backwards."""

ALL_SPECS: tuple[RecordSpec[Any], ...] = (*ENTITY_SPECS, AUDIT_LOGS, CONTROL)

SPECS: dict[str, RecordSpec[Any]] = {spec.collection: spec for spec in ALL_SPECS}

SYNC_FIELDS = frozenset({"syncStatus", "syncAttempts", "syncNextAt", "syncError", "syncedAt"})
"""What a store says of its own copy of an entry; never mirrored and never compared."""
