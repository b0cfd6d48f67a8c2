"""One declaration per collection: what a store must know to hold its records."""

from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum, IntEnum, StrEnum
from typing import Any, Generic, TypeVar, get_type_hints

from adapters.records.criteria import Scalar
from adapters.records.record import IS_DELETED, RecordMapping, camel, mapping_of, optional_of
from domain.audit import AuditEntry, SyncStatus
from domain.label import Label
from domain.project import Project
from domain.task import Task
from domain.timeline import Timeline
from domain.user import User

E = TypeVar("E")

UNSETTLED = (SyncStatus.PENDING.value, SyncStatus.FAILED.value, SyncStatus.PARKED.value)
"""What an entry says that is still to be mirrored."""

Held = dict[str, tuple[Scalar, ...]]


class FieldKind(Enum):
    """What a field holds; each store has one type for each kind."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record: `name` camelCase in records and documents, `column` snake_case in rows."""

    name: str
    column: str
    kind: FieldKind
    nullable: bool


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
    """How one entity is kept. `text_fields` are searched by word. Local collections are never mirrored."""

    collection: str
    table: str
    mapping: RecordMapping[E]
    fields: tuple[Field, ...]
    unique_keys: tuple[UniqueKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    text_fields: tuple[str, ...] = ()
    is_local: bool = False

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


def _fields_of(entity: type[Any]) -> tuple[Field, ...]:
    hints = get_type_hints(entity)
    return tuple(_field(field.name, hints[field.name]) for field in fields(entity))


def _field(name: str, hint: Any) -> Field:
    kind, nullable = optional_of(hint)
    return Field(camel(name), name.strip("_"), _kind_of(kind), nullable)


def _kind_of(kind: Any) -> FieldKind:
    if not isinstance(kind, type):
        return FieldKind.JSON
    if issubclass(kind, bool):
        return FieldKind.BOOLEAN
    if issubclass(kind, IntEnum | int):
        return FieldKind.INTEGER
    if issubclass(kind, StrEnum | str):
        return FieldKind.TEXT
    return FieldKind.INSTANT if issubclass(kind, datetime) else FieldKind.JSON


def _spec(entity: type[E], collection: str, **facts: Any) -> RecordSpec[E]:
    table = facts.pop("table", f"postgres_{collection}")
    return RecordSpec(
        collection=collection,
        table=table,
        mapping=mapping_of(entity),
        fields=_fields_of(entity),
        **facts,
    )


USERS = _spec(
    User,
    "users",
    unique_keys=(UniqueKey("users_email", ("email",), live_only=True),),
    indexes=(Index("users_created", ("createdAt",)),),
    text_fields=("name", "email"),
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
    ),
    text_fields=("name", "description"),
)

TIMELINES = _spec(Timeline, "timelines")

TASKS = _spec(
    Task,
    "tasks",
    unique_keys=(UniqueKey("tasks_external_key", ("externalKey",)),),
    indexes=(
        Index("tasks_creator_created", ("createdBy", "createdAt"), Scope.LIVE),
        Index("tasks_creator_updated", ("createdBy", "updatedAt"), Scope.LIVE),
        Index("tasks_project_created", ("projectId", "createdAt"), Scope.LIVE),
        Index("tasks_project_due", ("projectId", "dueAt"), Scope.LIVE),
        Index("tasks_project_deleted", ("projectId", "deletedAt"), Scope.TRASH),
        Index("tasks_created", ("createdAt",), Scope.LIVE),
    ),
    text_fields=("title", "description"),
)

LABELS = _spec(
    Label,
    "labels",
    unique_keys=(UniqueKey("labels_name", ("name",), live_only=True),),
    indexes=(Index("labels_created", ("createdAt",), Scope.LIVE),),
    text_fields=("name",),
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

ENTITY_SPECS: tuple[RecordSpec[Any], ...] = (USERS, PROJECTS, TIMELINES, TASKS, LABELS)
"""The collections that hold entities, in the order in which references point backwards."""

ALL_SPECS: tuple[RecordSpec[Any], ...] = (*ENTITY_SPECS, AUDIT_LOGS, CONTROL)

SPECS: dict[str, RecordSpec[Any]] = {spec.collection: spec for spec in ALL_SPECS}

SYNC_FIELDS = frozenset({"syncStatus", "syncAttempts", "syncNextAt", "syncError", "syncedAt"})
"""What a store says of its own copy of an entry; never mirrored and never compared."""
