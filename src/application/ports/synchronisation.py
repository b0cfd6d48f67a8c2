"""The mirror, as an operator sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
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
    mirror_latency_p50_ms: float | None
    mirror_latency_p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncMetrics:
    """The whole mirror: source and target, the mode, whether the target answers, and each collection."""

    source: str
    target: str | None
    mode: str
    paused: bool
    target_reachable: bool
    collections: Sequence[CollectionSync]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSync:
    """One record on both sides. Versions are None where the store does not hold it."""

    collection: str
    id: str
    status: SyncStatus
    source_version: int | None
    target_version: int | None
    attempts: int
    last_error: str | None
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStatus:
    """One version of a record: its audit entry, and which stores hold it."""

    entry: AuditEntry
    in_source: bool
    in_target: bool


class Synchronisation(Protocol):
    """Lag, failures and differences by name, and the ways to repair them."""

    async def metrics(self) -> SyncMetrics:
        """Counts per collection, at most a second old; `synced` at most a minute."""
        ...

    async def status(self, collection: str, id: str) -> RecordSync:
        """One record on both sides. Raises NotFound where the source does not hold it."""
        ...

    async def failures(self, *, limit: int, after: str | None = None) -> Sequence[AuditEntry]:
        """Entries FAILED or PARKED, oldest first, after this entry id."""
        ...

    async def retry(self, collection: str, id: str) -> RecordSync:
        """Mirrors one record now, parked or not. Raises NotFound; StoreUnavailable where the target does not answer."""
        ...

    async def retry_all(self) -> int:
        """Puts every FAILED and PARKED entry back in the queue, due now; returns how many."""
        ...

    async def history(self, collection: str, id: str) -> Sequence[VersionStatus]:
        """Each version of a record, newest first. Raises NotFound for a record without any."""
        ...
