"""The audit trail: one entry for every version of every entity. The entry is also the outbox message of the mirror."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

# The entry itself holds what the stamps say.
_STAMPS = frozenset({"id", "version", "createdAt", "createdBy", "updatedAt", "updatedBy"})
# Entries are kept and read by more people than the entity: they never hold a secret, not even its hash.
_SECRET = frozenset({"tokenHash", "tokens"})
_LEFT_OUT = _STAMPS | _SECRET
ABANDONED = "abandoned"
"""A note among the changes of an ABANDONED entry, no field: the version that was given up, and the reason."""
ABSENT = "absentInTarget"
"""The note in its place where the target holds nothing of the record: it stays absent there until its next version."""
REBASED = "rebased"
"""A note among the changes of an entry whose version rose when a restored source was recovered: the old and new one."""
_NOTES = frozenset({ABANDONED, ABSENT, REBASED})
ADOPTED = "adopted."
"""Begins the names of notes about what happened in another service, before Tandem adopted its database."""


class Action(StrEnum):
    """What happened to an entity."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"
    RESTORED = "RESTORED"
    ROLLED_BACK = "ROLLED_BACK"
    IMPORTED = "IMPORTED"
    PURGED = "PURGED"
    ABANDONED = "ABANDONED"
    """The mirror's target rejects the version before, so the source took back what the target holds, if anything."""
    REPAIRED = "REPAIRED"
    """The stores differed, so the source took a version above both: with its own content, with the target's where the
    source had lost the record, or a tombstone.
    """


class SyncStatus(StrEnum):
    """The delivery state of one entry. During an outage entries stay PENDING; only a rejected record is PARKED."""

    PENDING = "PENDING"
    SYNCED = "SYNCED"
    FAILED = "FAILED"
    PARKED = "PARKED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who made which version of which entity, when, by which request, and the changed fields (JSON, before and after).

    Entries of one commit share their `change_set_id`. `idempotency_key` and `request_hash` let a repeated request find
    the version that it made. The `sync_*` fields belong to the store that holds the entry: `sync_status` is None when
    there is no mirror. `lane` and `lane_number` identify the transaction that committed the entry, `sync_lane` and
    `sync_number` the one that brought it to the target.
    """

    id: str
    collection: str
    entity_id: str
    version: int
    action: Action
    actor_id: str
    at: datetime
    request_id: str
    change_set_id: str
    changes: dict[str, dict[str, object]]
    idempotency_key: str | None = None
    request_hash: str | None = None
    sync_status: SyncStatus | None = None
    sync_attempts: int = 0
    sync_next_at: datetime | None = None
    sync_error: str | None = None
    synced_at: datetime | None = None
    lane: int | None = None
    lane_number: int | None = None
    sync_lane: int | None = None
    sync_number: int | None = None

    def without_content(self) -> "AuditEntry":
        """The entry without the changed fields: actor, time and version remain."""
        return replace(self, changes={})


Changes = dict[str, dict[str, object]]


def changes_between(before: Mapping[str, object] | None, after: Mapping[str, object]) -> Changes:
    """Every field that differs, with its value before and after; if `before` is None, every field that is set."""
    earlier = before or {}
    return {
        name: {"before": former, "after": value}
        for name, value in after.items()
        if (former := earlier.get(name)) != value and name not in _LEFT_OUT
    }


def undo(state: Mapping[str, object], changes: Changes) -> dict[str, object]:
    """The state before these changes were made."""
    fields = {name: change for name, change in changes.items() if not is_note(name)}
    return {**state, **{name: change["before"] for name, change in fields.items()}}


def is_note(name: str) -> bool:
    """Whether a name among the changes of an entry is that of a note, and not of a field."""
    return name in _NOTES or name.startswith(ADOPTED)


def overlaid(state: Mapping[str, object], newer: Mapping[str, object], changes: Changes) -> dict[str, object]:
    """The state with these changes, made to another state of the same entity which now is `newer`.

    Secrets are taken from there as well, because entries do not name them.
    """
    changed = (changes.keys() - _NOTES) | _SECRET
    return {**state, **{name: newer[name] for name in changed if name in newer}}
