"""/v1/admin: the trash of all users, its retention, and what this process knows about its stores."""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from application.actor import Actor
from application.history.retention import PurgeExpired, ReadRetention
from application.history.trash import ListTrash, ReadTrash
from application.operations import ReadDiagnostics
from application.paging import Page, PageRequest
from application.ports.retention_runs import RetentionRun
from domain.entity import Entity
from entrypoints.http.protocol.answers import instant_text, made_view
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import Id, InstantText, ListQuery, Query

Ratio = Annotated[float, Meta(ge=0, le=1)]


class RunQuery(Query, rename="camel"):
    """How to run."""

    dry_run: bool = False


class CollectionTrashQuery(ListQuery, rename="camel"):
    """A page of the trash of one collection, oldest first."""

    usual_order = "deletedAt"


class TrashHeapView(Struct, rename="camel"):
    """How much of one collection is in the trash, and since when the oldest of it."""

    collection: str
    count: int
    oldest_deleted_at: InstantText | None


class TrashHeapsView(Struct):
    """The trash of all users, by collection."""

    items: tuple[TrashHeapView, ...]


class TrashedView(Struct, rename="camel"):
    """Something in the trash; once `dueAt` is past, the next run removes it for good."""

    collection: str
    id: Id
    version: int
    name: str
    deleted_at: InstantText
    deleted_by: Id | None
    due_at: InstantText


class RetentionRunView(Struct, rename="camel"):
    """What one run removed, by collection (in a dry run: what has expired, without what would go along).

    `detached` counts what stays and lost a label, a parent or a team that is gone. `kept` waits for another run:
    somebody changed it in the same moment, or something in it still lives. The next run completes what is not.
    """

    at: InstantText
    cutoff: InstantText
    removed: dict[str, int]
    detached: int
    kept: int
    is_complete: bool
    is_dry_run: bool


class RetentionView(Struct, rename="camel"):
    """How long the trash keeps things, what is due by collection, and the last run."""

    retention_days: int
    cutoff: InstantText
    expired: dict[str, int]
    last_run: RetentionRunView | None


class SlowQueryView(Struct, rename="camel"):
    """One operation of a store that took long; never with what values."""

    at: InstantText
    store: str
    operation: str
    collection: str
    outcome: str
    duration_ms: float


class SlowQueriesView(Struct):
    """The newest slow operations of the process that answers, newest first."""

    items: tuple[SlowQueryView, ...]


class CacheView(Struct, rename="camel"):
    """How the process that answers uses its cache. `ratio` is null as long as nothing was asked for."""

    is_configured: bool
    in_use: bool
    hits: int
    misses: int
    ratio: Ratio | None


class AdminController(Controller, path="/v1/admin", stored=False, also=(403,)):
    """For administrators; everybody else is refused."""

    read_trash: ReadTrash
    list_trash: ListTrash
    read_retention: ReadRetention
    purge_expired: PurgeExpired
    read_diagnostics: ReadDiagnostics
    retention_days: int

    @operation("GET", "/trash", summary="Count what is in the trash of all", view=TrashHeapsView)
    async def trash(self, actor: Actor) -> TrashHeapsView:
        views = [
            made_view(
                each,
                TrashHeapView,
                oldest_deleted_at=each.oldest_deleted_at and instant_text(each.oldest_deleted_at),
            )
            for each in await self.read_trash(actor)
        ]
        return TrashHeapsView(tuple(views))

    @operation(
        "GET",
        "/trash/{collection}",
        summary="List the trash of one collection, oldest first",
        page_of=TrashedView,
        query=CollectionTrashQuery,
    )
    async def trash_of(self, actor: Actor, collection: str, page: PageRequest) -> Page[TrashedView]:
        found = await self.list_trash(actor, collection, page)
        return found.showing(lambda entity: _trashed_view(collection, entity, self.retention_days))

    @operation("GET", "/retention", summary="Read what is due to be removed", view=RetentionView)
    async def retention(self, actor: Actor) -> RetentionView:
        status = await self.read_retention(actor)
        last = None if status.last_run is None else _run_view(status.last_run)
        return made_view(status, RetentionView, expired=dict(status.expired), last_run=last)

    @operation("POST", "/retention", summary="Remove what is due now", view=RetentionRunView)
    async def run_retention(self, actor: Actor, query: RunQuery) -> RetentionRunView:
        return _run_view(await self.purge_expired(actor, is_dry_run=query.dry_run))

    @operation("GET", "/slow-queries", summary="List slow operations of stores", view=SlowQueriesView)
    async def slow_queries(self, actor: Actor) -> SlowQueriesView:
        found = self.read_diagnostics.slow_queries(actor)
        return SlowQueriesView(tuple(made_view(slow, SlowQueryView) for slow in found))

    @operation("GET", "/cache", summary="Read how the cache is used", view=CacheView)
    async def cache(self, actor: Actor) -> CacheView:
        use = self.read_diagnostics.cache_use(actor)
        if use is None:
            return CacheView(is_configured=False, in_use=False, hits=0, misses=0, ratio=None)
        return made_view(use, CacheView, is_configured=True)


def _run_view(run: RetentionRun) -> RetentionRunView:
    return made_view(run, RetentionRunView, removed=dict(run.removed))


def _trashed_view(collection: str, entity: Entity, retention_days: int) -> TrashedView:
    deleted_at = entity.deleted_at or entity.updated_at
    return made_view(
        entity,
        TrashedView,
        collection=collection,
        # A task has a title, everything else a name.
        name=getattr(entity, "title", None) or getattr(entity, "name", ""),
        deleted_at=instant_text(deleted_at),
        due_at=instant_text(deleted_at + timedelta(days=retention_days)),
    )


ADMIN = Resource(controllers=(AdminController,))
