"""/v1/sync: the mirror, for administrators."""

from datetime import datetime

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from application.paging import Page, Position
from application.ports.synchronisation import RecordSync, SyncMetrics, VersionStatus
from domain.audit import AuditEntry, SyncStatus
from entrypoints.http.addresses import known_collection, known_id
from entrypoints.http.authentication import actor_of
from entrypoints.http.desks import MirrorDesk
from entrypoints.http.documentation import documented
from entrypoints.http.queries import PageQuery, read_query, require_no_query
from entrypoints.http.rendering import NO_STORE, Answer, HttpRequest, instant_text, made_view, view_answer
from entrypoints.http.views import (
    CollectionSyncView,
    FailureView,
    RecordSyncView,
    RequeuedView,
    SyncHistoryView,
    SyncMetricsView,
    SyncTotalsView,
    VersionStatusView,
)

OLDEST_FIRST = "id"


class SyncController(Controller):
    """Lag, failures, retries and histories."""

    path = "/v1/sync"

    @get("/metrics", opt=documented("Read how far the mirror is", answer=SyncMetricsView, also=(403,)))
    async def metrics(self, request: HttpRequest, mirror: NamedDependency[MirrorDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return view_answer(metrics_view(await mirror.operate.metrics(actor)), headers=NO_STORE)

    @get(
        "/status/{collection:str}/{id:str}",
        opt=documented("Read one record on both sides", answer=RecordSyncView, also=(403,)),
    )
    async def status(
        self,
        request: HttpRequest,
        collection: FromPath[str],
        id: FromPath[str],
        mirror: NamedDependency[MirrorDesk],
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        known = known_collection(collection), known_id(id)
        return _record_answer(await mirror.operate.status(actor, *known))

    @get(
        "/failures",
        opt=documented("List what could not be mirrored", page_of=FailureView, query=PageQuery, also=(403,)),
    )
    async def failures(self, request: HttpRequest, mirror: NamedDependency[MirrorDesk]) -> Answer:
        actor = actor_of(request)
        wanted = mirror.pages.wanted(request, read_query(request, PageQuery), sort=OLDEST_FIRST)
        after = None if wanted.after is None else wanted.after.id
        # One more than asked for tells whether there is a next page.
        found = await mirror.operate.failures(actor, limit=wanted.limit + 1, after=after)
        items = found[: wanted.limit]
        following = Position(None, items[-1].id) if len(found) > wanted.limit else None
        return mirror.pages.answer(
            request, Page(items=items, next=following), _failure_view, headers=NO_STORE
        )

    @post(
        "/failures/retry",
        status_code=200,
        opt=documented("Retry all failures", answer=RequeuedView, also=(403,)),
    )
    async def retry_all(self, request: HttpRequest, mirror: NamedDependency[MirrorDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return view_answer(RequeuedView(await mirror.operate.retry_all(actor)), headers=NO_STORE)

    @post(
        "/failures/{collection:str}/{id:str}/retry",
        status_code=200,
        opt=documented("Mirror one record now", answer=RecordSyncView, also=(403,)),
    )
    async def retry(
        self,
        request: HttpRequest,
        collection: FromPath[str],
        id: FromPath[str],
        mirror: NamedDependency[MirrorDesk],
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        known = known_collection(collection), known_id(id)
        return _record_answer(await mirror.operate.retry(actor, *known))

    @get(
        "/history/{collection:str}/{id:str}",
        opt=documented("Read where each version of a record is", answer=SyncHistoryView, also=(403,)),
    )
    async def history(
        self,
        request: HttpRequest,
        collection: FromPath[str],
        id: FromPath[str],
        mirror: NamedDependency[MirrorDesk],
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        known = known_collection(collection), known_id(id)
        versions = await mirror.operate.history(actor, *known)
        return view_answer(SyncHistoryView(tuple(map(_version_status_view, versions))), headers=NO_STORE)


def metrics_view(metrics: SyncMetrics) -> SyncMetricsView:
    """The mirror's numbers, with their totals."""
    rows = tuple(made_view(row, CollectionSyncView) for row in metrics.collections)
    ages = [row.oldest_pending_age_ms for row in rows if row.oldest_pending_age_ms is not None]
    totals = SyncTotalsView(
        synced=sum(row.synced for row in rows),
        pending=sum(row.pending for row in rows),
        failed=sum(row.failed for row in rows),
        parked=sum(row.parked for row in rows),
        oldest_pending_age_ms=max(ages, default=None),
    )
    return made_view(metrics, SyncMetricsView, totals=totals, collections=rows)


def _record_answer(record: RecordSync) -> Answer:
    return view_answer(made_view(record, RecordSyncView), headers=NO_STORE)


def _failure_view(entry: AuditEntry) -> FailureView:
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


def _version_status_view(version: VersionStatus) -> VersionStatusView:
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
