"""The audit trail: one entry for every version of everything, which is also the intent to mirror it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

# Stamps say nothing that the entry itself does not say.
_UNTOLD = frozenset({"id", "version", "createdAt", "createdBy", "updatedAt", "updatedBy"})
# Entries are read by more people than what they tell of, and they stay: a secret has no place there, not even its hash.
_SECRET = frozenset({"tokenHash"})
_KEPT_OUT = _UNTOLD | _SECRET


class Action(StrEnum):
    """What happened to an entity."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"
    RESTORED = "RESTORED"
    ROLLED_BACK = "ROLLED_BACK"
    IMPORTED = "IMPORTED"
    PURGED = "PURGED"


class SyncStatus(StrEnum):
    """How far the mirrored copy of one entry is. An outage leaves entries PENDING; only a record's own fault parks."""

    PENDING = "PENDING"
    SYNCED = "SYNCED"
    FAILED = "FAILED"
    PARKED = "PARKED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who made which version of what, when, by which request, and which fields changed (JSON values before and after).

    `change_set_id` groups what was committed together. `idempotency_key` and `request_hash` let a repeated request
    find the version it made. The `sync_*` fields belong to the store that holds the entry: `sync_status` is None where
    nothing is mirrored.
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

    def without_content(self) -> "AuditEntry":
        """Who made which version when, and nothing of what was in it."""
        return replace(self, changes={})


Changes = dict[str, dict[str, object]]


def changes_between(before: Mapping[str, object] | None, after: Mapping[str, object]) -> Changes:
    """Each field that differs, with its value before and after; without `before`, every field that is set."""
    earlier = before or {}
    return {
        name: {"before": former, "after": value}
        for name, value in after.items()
        if (former := earlier.get(name)) != value and name not in _KEPT_OUT
    }


def undo(state: Mapping[str, object], changes: Changes) -> dict[str, object]:
    """The state before these changes were made."""
    return {**state, **{name: change["before"] for name, change in changes.items()}}
