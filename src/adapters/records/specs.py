"""One declaration per collection, with everything that a store needs to store its records."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import not_
from typing import Any, Generic, TypeVar

from adapters.records.fields import Field, fields_of
from adapters.records.indexes import Index, Scope, UniqueKey
from adapters.records.legacy_fields import LegacyField, LegacyFields, defaults_of
from adapters.records.record import (
    IS_DELETED,
    CorruptRecord,
    Record,
    RecordMapping,
    is_tombstone,
    mapping_of,
)
from adapters.records.record_schema import RecordSchema
from adapters.records.words import tokens_of
from domain.api_token import ApiToken
from domain.assignment import TaskAssignment
from domain.audit import AuditEntry
from domain.label import Label
from domain.name import name_key
from domain.project import Project
from domain.role import Role
from domain.session import Session
from domain.task import Task
from domain.team import Membership, Team
from domain.timeline import Timeline
from domain.user import User
from domain.watch import Watch

E = TypeVar("E")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSpec(Generic[E]):
    """How one entity is stored. `text_fields` are searched by word, and `number_field` as #17. Local collections are
    never mirrored.

    `list_orders` are fields by which lists of live records are sorted although no index leads there; only the embedded
    store builds an index for each of them today. `legacy_names` are field names of documents from elsewhere.
    """

    collection: str
    table: str
    mapping: RecordMapping[E]
    fields: tuple[Field, ...]
    schema: RecordSchema
    legacy: LegacyFields
    unique_keys: tuple[UniqueKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    text_fields: tuple[str, ...] = ()
    number_field: str | None = None
    list_orders: tuple[str, ...] = ()
    legacy_names: tuple[str, ...] = ()
    is_local: bool = False

    def place_in(self, store: str) -> str:
        """What the store of this name calls the collection."""
        return self.table if store == "postgres" else self.collection

    def upgraded(self, record: Record) -> Record:
        """The record in the form that this program writes; the same object if it has that form already."""
        return self.legacy.upgraded(record)

    def entity(self, record: Record) -> E:
        """The entity of a record. Raises CorruptRecord where it does not fit, upgraded or not."""
        try:
            return self.mapping.from_record(record)
        except CorruptRecord:
            # Stores upgrade the records that they read, but an earlier state from the audit trail may be an old one.
            upgraded = self.upgraded(record)
            if upgraded is record:
                raise
            return self.mapping.from_record(upgraded)

    def is_readable(self, record: Record) -> bool:
        """Whether the record in today's form can be stored and read as an entity; a tombstone has none."""
        if not self.schema.fits(record):
            return False
        try:
            return is_tombstone(record) or self.mapping.from_record(record) is not None
        except CorruptRecord:
            return False

    def texts(self, record: Record) -> list[str]:
        """The searched texts of a record, the one that leads first."""
        return [text if isinstance(text := record.get(name), str) else "" for name in self.text_fields]

    def number(self, record: Record) -> int | None:
        """The display number of a record."""
        number = record.get(self.number_field) if self.number_field else None
        return number if type(number) is int else None

    def tokens(self, record: Record) -> list[str]:
        """The distinct tokens under which a search finds the record; see `words`."""
        if not self.text_fields or is_tombstone(record):
            return []
        return tokens_of(self.texts(record), self.number(record))

    def field(self, name: str) -> Field:
        """The field with this record name. Raises KeyError: questions about unknown fields are programming errors."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"{self.collection} has no field {name}")

    def present_in(self, index: UniqueKey | Index) -> tuple[str, ...]:
        """The nullable fields that are never null in records of the index or key."""
        leading, held = (
            (index.fields, {}) if isinstance(index, UniqueKey) else (index.fields[:1], index.scope.held)
        )
        return tuple(name for name in leading if self.field(name).nullable and name not in held)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRecord:
    """A fact about the store itself: a lease, who owns it. `value` holds JSON values."""

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
"""Required fields, each with the field whose value replaces it where it is missing."""


def _spec(
    entity: type[E],
    collection: str,
    *,
    legacy_fields: Sequence[LegacyField] = (),
    copies: Sequence[tuple[str, str]] = (),
    **facts: Any,
) -> RecordSpec[E]:
    mapping, fields = mapping_of(entity), fields_of(entity)
    schema = RecordSchema(collection, fields)
    columns = [LegacyField(field.column, field.name) for field in fields if field.column != field.name]
    legacy = LegacyFields(
        schema,
        fields,
        defaults=defaults_of(mapping.struct),
        legacy_fields=(*columns, *legacy_fields),
        stand_ins=STAND_INS,
        copies=copies,
    )
    return RecordSpec(
        collection=collection,
        table=facts.pop("table", f"postgres_{collection}"),
        mapping=mapping,
        fields=fields,
        schema=schema,
        legacy=legacy,
        legacy_names=tuple(field.name for field in legacy_fields),
        **facts,
    )


def _till(details: Any) -> Any:
    return details.get("deferredTill") if isinstance(details, dict) else None


def _name_key(name: Any) -> Any:
    return name_key(name) if isinstance(name, str) else None


_ACTIVE = (LegacyField("isActive", IS_DELETED, not_), LegacyField("is_active", IS_DELETED, not_))
"""Removed records of services that have no trash are marked as not active."""

USERS = _spec(
    User,
    "users",
    unique_keys=(UniqueKey("users_email", ("email",), live_only=True),),
    indexes=(Index("users_created", ("createdAt",)),),
    text_fields=("name",),
    legacy_fields=(LegacyField("emailId", "email"), LegacyField("email_id", "email")),
)

ROLES = _spec(
    Role,
    "roles",
    unique_keys=(UniqueKey("roles_name", ("scope", "name"), live_only=True),),
    indexes=(Index("roles_created", ("createdAt",), Scope.LIVE),),
    legacy_fields=_ACTIVE,
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
    legacy_fields=_ACTIVE,
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
        Index("tasks_project_due", ("projectId", "dueBy"), Scope.LIVE),
        Index("tasks_parent_created", ("parentId", "createdAt"), Scope.LIVE),
        Index("tasks_project_deleted", ("projectId", "deletedAt"), Scope.TRASH),
        Index("tasks_created", ("createdAt",), Scope.LIVE),
        Index("tasks_deleted", ("deletedAt",), Scope.TRASH),
    ),
    text_fields=("title", "description"),
    number_field="displayId",
    list_orders=("updatedAt", "dueBy", "priority", "displayId"),
    legacy_fields=(LegacyField("labels", "labelIds"), LegacyField("deferredDetails", "deferredTill", _till)),
    copies=(("dueBy", "dueAt"),),
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
    legacy_fields=(
        *_ACTIVE,
        LegacyField("userType", "assigneeType"),
        LegacyField("user_type", "assigneeType"),
    ),
)

WATCHLISTS = _spec(
    Watch,
    "watchlists",
    indexes=(
        Index("watchlists_user", ("userId", "updatedAt"), Scope.LIVE),
        Index("watchlists_task", ("taskId", "createdAt")),
    ),
    legacy_fields=_ACTIVE,
)

LABELS = _spec(
    Label,
    "labels",
    unique_keys=(UniqueKey("labels_name", ("nameKey",), live_only=True),),
    indexes=(
        Index("labels_created", ("createdAt",), Scope.LIVE),
        Index("labels_deleted", ("deletedAt",), Scope.TRASH),
    ),
    text_fields=("name",),
    # Older labels have no key yet. Two of them with the same one both stay, and the second stays in its old form.
    legacy_fields=(LegacyField("name", "nameKey", _name_key),),
)

SESSIONS = _spec(
    Session,
    "sessions",
    indexes=(
        Index("sessions_user", ("userId", "createdAt")),
        Index("sessions_expires", ("expiresAt",)),
    ),
)

API_TOKENS = _spec(
    ApiToken,
    "api_tokens",
    indexes=(
        Index("api_tokens_user", ("userId", "createdAt"), Scope.LIVE),
        Index("api_tokens_expires", ("expiresAt",), Scope.LIVE),
        Index("api_tokens_deleted", ("deletedAt",), Scope.TRASH),
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
        Index("audit_logs_undelivered", ("syncStatus", "id"), Scope.UNDELIVERED),
        Index("audit_logs_undelivered_in", ("syncStatus", "collection"), Scope.UNDELIVERED),
        Index("audit_logs_sync_lane", ("syncLane", "syncNumber")),
    ),
)

CONTROL = _spec(ControlRecord, "control", table="tandem_control", is_local=True)

ENTITY_SPECS: tuple[RecordSpec[Any], ...] = (
    USERS,
    SESSIONS,
    API_TOKENS,
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

SYNC_FIELDS = frozenset(
    {"syncStatus", "syncAttempts", "syncNextAt", "syncError", "syncedAt", "syncLane", "syncNumber"}
)
"""Fields that describe a store's own copy of an entry; never mirrored and never compared."""
