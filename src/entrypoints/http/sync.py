"""/v1/sync: the state of the mirror, for administrators."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from application.actor import Actor
from application.operations import OperateSync
from application.paging import Page, PageRequest, Position
from application.ports.synchronisation import (
    BreakerState,
    RecordHistory,
    Retried,
    RetryOutcome,
    VersionStatus,
)
from domain.audit import Action, AuditEntry, SyncStatus
from entrypoints.http.protocol.answers import instant_text, made_view
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import Body, Id, InstantText, PageQuery


class FailureQuery(PageQuery):
    """A page of failures, oldest first."""

    usual_order = "id"


class CollectionSyncView(Struct, rename="camel"):
    """The mirroring of one collection: the number of entries by status, and latencies."""

    collection: str
    synced: int
    pending: int
    failed: int
    parked: int
    oldest_pending_age_ms: int | None
    mirror_latency_p50_ms: int | None
    mirror_latency_p99_ms: int | None


class SyncTotalsView(Struct, rename="camel"):
    """The totals of all collections."""

    synced: int
    pending: int
    failed: int
    parked: int
    oldest_pending_age_ms: int | None


class BreakerView(Struct, rename="camel"):
    """Whether requests call the target; if not, why, since when, and when it is tried again."""

    state: BreakerState
    reason: str | None
    since: InstantText | None
    retry_at: InstantText | None


class BlockedTableView(Struct, rename="camel"):
    """A table of the target that accepts nothing at present, and the number of entries that wait for it."""

    table: str
    cause: str
    since: InstantText
    waiting: int


class SyncMetricsView(Struct, rename="camel"):
    """The state of the mirror. `lagMs` is the age of the oldest entry that waits to be delivered."""

    source: str
    target: str | None
    mode: str
    paused: bool
    target_reachable: bool
    lag_ms: int
    rate_per_second: int
    eta_seconds: int | None
    breaker: BreakerView
    blocked_tables: tuple[BlockedTableView, ...]
    totals: SyncTotalsView
    collections: tuple[CollectionSyncView, ...]


class RecordSyncView(Struct, rename="camel"):
    """The versions of a record in both stores; null if the store does not contain the record. If the target could not
    be read, `isTargetRead` is false, its version is null, and `lastError` says why.
    """

    collection: str
    id: Id
    status: SyncStatus
    source_version: int | None
    target_version: int | None
    attempts: int
    last_error: str | None
    next_attempt_at: InstantText | None
    is_target_read: bool


class RetriedView(RecordSyncView):
    """What a retry of one record did, why if it did not deliver, and the versions afterwards."""

    outcome: RetryOutcome
    detail: str | None


class DiscardBody(Body):
    """Why a version that the target rejects is given up."""

    reason: Annotated[str, Meta(min_length=1, max_length=500, examples=["The old title was a test."])]


class FailureView(Struct, rename="camel"):
    """An audit entry that could not be mirrored."""

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
    """The number of entries that will be retried."""

    requeued: int


class VersionStatusView(Struct, rename="camel"):
    """One version of a record and its mirror status; `inTarget` is null where the target could not be read."""

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
    in_target: bool | None


class SyncHistoryView(Struct, rename="camel"):
    """The versions of a record, newest first, and why the target could not be read."""

    items: tuple[VersionStatusView, ...]
    target_trouble: str | None


class SyncController(Controller, path="/v1/sync", stored=False, also=(403,)):
    """Metrics, failures, retries and histories of the mirror."""

    operate: OperateSync

    @operation("GET", "/metrics", summary="Read mirror metrics", view=SyncMetricsView)
    async def metrics(self, actor: Actor) -> SyncMetricsView:
        return made_view(await self.operate.metrics(actor), SyncMetricsView)

    @operation(
        "GET",
        "/status/{collection}/{id}",
        summary="Compare the versions of a record in both stores",
        view=RecordSyncView,
    )
    async def status(self, actor: Actor, collection: str, id: str) -> RecordSyncView:
        return made_view(await self.operate.status(actor, collection, id), RecordSyncView)

    @operation(
        "GET",
        "/failures",
        summary="List entries that could not be mirrored",
        page_of=FailureView,
        query=FailureQuery,
    )
    async def failures(self, actor: Actor, page: PageRequest) -> Page[FailureView]:
        after = None if page.after is None else page.after.id
        # One more than the limit, to find out whether there is a next page.
        found = await self.operate.failures(actor, limit=page.limit + 1, after=after)
        items = found[: page.limit]
        following = Position(None, items[-1].id) if len(found) > page.limit else None
        return Page(items=list(map(failure_view, items)), next=following)

    @operation("POST", "/failures/retry", summary="Retry all failures", view=RequeuedView, also=(409,))
    async def retry_all(self, actor: Actor) -> RequeuedView:
        return RequeuedView(await self.operate.retry_all(actor))

    @operation(
        "POST",
        "/failures/{collection}/{id}/retry",
        summary="Mirror a record now",
        view=RetriedView,
        also=(409,),
    )
    async def retry(self, actor: Actor, collection: str, id: str) -> RetriedView:
        return retried_view(await self.operate.retry(actor, collection, id))

    @operation(
        "POST",
        "/failures/{collection}/{id}/discard",
        summary="Give up a version that the target rejects",
        view=RecordSyncView,
        also=(409,),
    )
    async def discard(self, actor: Actor, collection: str, id: str, body: DiscardBody) -> RecordSyncView:
        record = await self.operate.discard(actor, collection, id, body.reason)
        return made_view(record, RecordSyncView)

    @operation(
        "GET",
        "/history/{collection}/{id}",
        summary="List the versions of a record with their mirror status",
        view=SyncHistoryView,
    )
    async def history(self, actor: Actor, collection: str, id: str) -> SyncHistoryView:
        return history_view(await self.operate.history(actor, collection, id))


def retried_view(retried: Retried) -> RetriedView:
    """The view of a retry."""
    return made_view(retried.record, RetriedView, outcome=retried.outcome, detail=retried.detail)


def failure_view(entry: AuditEntry) -> FailureView:
    """The view of an entry that could not be mirrored."""
    return made_view(
        entry,
        FailureView,
        entry_id=entry.id,
        id=entry.entity_id,
        status=entry.sync_status or SyncStatus.FAILED,
        attempts=entry.sync_attempts,
        last_error=entry.sync_error,
        next_attempt_at=_instant(entry.sync_next_at),
    )


def history_view(history: RecordHistory) -> SyncHistoryView:
    """The view of the history of a record."""
    return SyncHistoryView(tuple(map(version_status_view, history.versions)), history.target_trouble)


def version_status_view(version: VersionStatus) -> VersionStatusView:
    """The view of one version in the history of a record."""
    entry = version.entry
    return made_view(
        entry,
        VersionStatusView,
        status=entry.sync_status,
        attempts=entry.sync_attempts,
        last_error=entry.sync_error,
        mirrored_at=_instant(entry.synced_at),
        in_source=version.in_source,
        in_target=version.in_target,
    )


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant_text(instant)


SYNC = Resource(controllers=(SyncController,))
