"""The mirror, as an operator sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.audit import AuditEntry, SyncStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionSync:
    """How far one collection is mirrored, in entries. Latencies in milliseconds; None where nothing was measured."""

    collection: str
    synced: int
    pending: int
    failed: int
    parked: int
    oldest_pending_age_ms: int | None
    mirror_latency_p50_ms: int | None
    mirror_latency_p99_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncTotals:
    """The entries of all collections."""

    synced: int
    pending: int
    failed: int
    parked: int
    oldest_pending_age_ms: int | None


class BreakerState(StrEnum):
    """Whether requests call the target."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSync:
    """The circuit breaker before the target: why it is open, since when, and when the relay probes again."""

    state: BreakerState = BreakerState.CLOSED
    reason: str | None = None
    since: datetime | None = None
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedTableSync:
    """A table of the target that accepts nothing at present, under its name there; `waiting` counts entries."""

    table: str
    cause: str
    since: datetime
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncMetrics:
    """The whole mirror: source and target, the mode, whether the target answers, its obstacles, and each collection.

    `lag_ms` is the age of the oldest entry that the mirror will deliver by itself, 0 if there is none.
    `rate_per_second` counts the entries that the relay of this process has delivered lately, without those that
    requests deliver themselves; `eta_seconds` says how long the backlog takes at this rate, None without a rate, a
    backlog, or a target that can be used.
    """

    source: str
    target: str | None
    mode: str
    paused: bool
    target_reachable: bool
    collections: Sequence[CollectionSync]
    breaker: BreakerSync = BreakerSync()
    blocked_tables: Sequence[BlockedTableSync] = ()
    lag_ms: int = 0
    rate_per_second: int = 0
    eta_seconds: int | None = None

    @property
    def totals(self) -> SyncTotals:
        """The sums of the collections, and the largest age."""
        rows = self.collections
        ages = [row.oldest_pending_age_ms for row in rows if row.oldest_pending_age_ms is not None]
        return SyncTotals(
            synced=sum(row.synced for row in rows),
            pending=sum(row.pending for row in rows),
            failed=sum(row.failed for row in rows),
            parked=sum(row.parked for row in rows),
            oldest_pending_age_ms=max(ages, default=None),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSync:
    """One record on both sides. Versions are None where the store does not hold it, and that in the target also where
    it could not be read: then `is_target_read` is False, and the status says what the source knows.
    """

    collection: str
    id: str
    status: SyncStatus
    source_version: int | None
    target_version: int | None
    attempts: int
    last_error: str | None
    next_attempt_at: datetime | None
    is_target_read: bool = True


class RetryOutcome(StrEnum):
    """What a retry of one record did."""

    DELIVERED = "DELIVERED"
    """The target has stored the record's current state, or held it."""
    BLOCKED = "BLOCKED"
    """The record's table or row is blocked; the mirror tries again by itself."""
    REJECTED = "REJECTED"
    """The target rejected the record again."""
    NOTHING_TO_DO = "NOTHING_TO_DO"
    """The record has no entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What a retry did, why if it did not deliver, and the record on both sides afterwards."""

    outcome: RetryOutcome
    detail: str | None
    record: RecordSync


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """A person's decision to give up a version that the target rejects; `entry_id` is new."""

    reason: str
    actor_id: str
    request_id: str
    entry_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStatus:
    """One version of a record: its audit entry, and which stores hold it; None for a target that could not be read."""

    entry: AuditEntry
    in_source: bool
    in_target: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordHistory:
    """Each version of a record, newest first, and why the target could not be read; None if it was, or is none."""

    versions: Sequence[VersionStatus]
    target_trouble: str | None = None


class Synchronisation(Protocol):
    """Lag, failures and differences by name, and the ways to repair them."""

    async def metrics(self) -> SyncMetrics:
        """Counts per collection, at most a second old; `synced` at most a minute."""

    async def status(self, collection: str, id: str) -> RecordSync:
        """One record on both sides. Raises NotFound where the source does not hold it."""

    async def failures(self, *, limit: int, after: str | None = None) -> Sequence[AuditEntry]:
        """Entries FAILED or PARKED, oldest first, after this entry id."""

    async def retry(self, collection: str, id: str) -> Retried:
        """Mirrors one record now, parked or not.

        Raises NotFound; Conflict without a mirror; StoreUnavailable where the target does not answer.
        """

    async def discard(self, collection: str, id: str, discard: Discard) -> RecordSync:
        """Gives up the version of a record that the target rejects: the source commits what the target holds as a new
        version, and the rejected entries are delivered without their state. A record that the target never held keeps
        its content in a new version, and stays absent in the target until its next one: a known difference.

        Raises NotFound; Conflict where nothing is rejected, the difference is known already, the record was permanently
        removed or there is no mirror; StoreUnavailable where the target does not answer.
        """

    async def retry_all(self) -> int:
        """Puts every FAILED and PARKED entry back in the queue, due now; returns how many.

        Raises Conflict without a mirror.
        """

    async def history(self, collection: str, id: str) -> RecordHistory:
        """Each version of a record. Raises NotFound for a record without any."""
