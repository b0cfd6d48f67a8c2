"""One declaration per collection: what a store must know to hold its records."""

from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum, IntEnum, StrEnum
from typing import Any, Generic, TypeVar, get_type_hints

from adapters.records.record import RecordMapping, camel, mapping_of, optional_of
from domain.audit import AuditEntry
from domain.label import Label
from domain.project import Project
from domain.task import Task
from domain.timeline import Timeline
from domain.user import User

E = TypeVar("E")


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


@dataclass(frozen=True, slots=True)
class Index:
    """Fields that questions pin or order by, in this order; each question also breaks ties by id.

    `live_only` serves the questions that exclude the trash, which are nearly all.
    """

    name: str
    fields: tuple[str, ...]
    live_only: bool = False


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
        Index("projects_owner_created", ("ownerId", "createdAt"), live_only=True),
        Index("projects_owner_updated", ("ownerId", "updatedAt"), live_only=True),
        Index("projects_created", ("createdAt",), live_only=True),
        Index("projects_team", ("teamId", "createdAt"), live_only=True),
    ),
    text_fields=("name", "description"),
)

TIMELINES = _spec(Timeline, "timelines")

TASKS = _spec(
    Task,
    "tasks",
    unique_keys=(UniqueKey("tasks_external_key", ("externalKey",)),),
    indexes=(
        Index("tasks_creator_created", ("createdBy", "createdAt"), live_only=True),
        Index("tasks_creator_updated", ("createdBy", "updatedAt"), live_only=True),
        Index("tasks_project_created", ("projectId", "createdAt"), live_only=True),
        Index("tasks_project_due", ("projectId", "dueAt"), live_only=True),
        Index("tasks_project_deleted", ("projectId", "deletedAt")),
        Index("tasks_created", ("createdAt",), live_only=True),
    ),
    text_fields=("title", "description"),
)

LABELS = _spec(
    Label,
    "labels",
    unique_keys=(UniqueKey("labels_name", ("name",), live_only=True),),
    indexes=(Index("labels_created", ("createdAt",), live_only=True),),
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
        Index("audit_logs_entity_at", ("collection", "entityId", "at")),
        Index("audit_logs_actor_at", ("actorId", "at")),
        Index("audit_logs_at", ("at",)),
        Index("audit_logs_sync", ("syncStatus", "syncNextAt")),
        Index("audit_logs_sync_entity", ("syncStatus", "id")),
    ),
)

CONTROL = _spec(ControlRecord, "control", table="tandem_control", is_local=True)

ENTITY_SPECS: tuple[RecordSpec[Any], ...] = (USERS, PROJECTS, TIMELINES, TASKS, LABELS)
"""The collections that hold entities, in the order in which references point backwards."""

ALL_SPECS: tuple[RecordSpec[Any], ...] = (*ENTITY_SPECS, AUDIT_LOGS, CONTROL)

SPECS: dict[str, RecordSpec[Any]] = {spec.collection: spec for spec in ALL_SPECS}

SYNC_FIELDS = frozenset({"syncStatus", "syncAttempts", "syncNextAt", "syncError", "syncedAt"})
"""What a store says of its own copy of an entry; never mirrored and never compared."""
