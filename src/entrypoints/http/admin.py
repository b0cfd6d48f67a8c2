"""/v1/admin: the trash of all users, its retention, and diagnostics of this process and its stores."""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from application.actor import Actor
from application.history.retention import PurgeExpired, ReadRetention
from application.history.trash import ListTrash, ReadTrash
from application.operations import ReadDiagnostics
from application.paging import Page, PageRequest
from domain.entity import Entity
from entrypoints.http.protocol.answers import instant_text, made_view
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import Id, InstantText, ListQuery, Query

Ratio = Annotated[float, Meta(ge=0, le=1)]


class RunQuery(Query):
    """Options of a retention run."""

    dry_run: bool = False


class CollectionTrashQuery(ListQuery):
    """A page of the trash of one collection, oldest first."""

    usual_order = "deletedAt"


class TrashHeapView(Struct, rename="camel"):
    """The number of deleted records in one collection, and when the oldest was deleted."""

    collection: str
    count: int
    oldest_deleted_at: InstantText | None


class TrashHeapsView(Struct):
    """The trash of all users by collection."""

    items: tuple[TrashHeapView, ...]


class TrashedView(Struct, rename="camel"):
    """A record in the trash. After `dueAt` the next retention run permanently removes it."""

    collection: str
    id: Id
    version: int
    name: str
    deleted_at: InstantText
    deleted_by: Id | None
    due_at: InstantText


class RetentionRunView(Struct, rename="camel"):
    """The result of one retention run: removed records by collection (in a dry run: expired ones, without dependents).

    `detached` counts remaining records that lost a reference to a removed label, parent or team. `kept` counts expired
    records that wait for the next run because they changed during this one or still contain active records; a dry run
    cannot know either, so both are null. If `isComplete` is false, the next run continues.
    """

    at: InstantText
    cutoff: InstantText
    removed: dict[str, int]
    detached: int | None
    kept: int | None
    is_complete: bool
    is_dry_run: bool


class RetentionView(Struct, rename="camel"):
    """The retention period of the trash, the expired records by collection, and the last run."""

    retention_days: int
    cutoff: InstantText
    expired: dict[str, int]
    last_run: RetentionRunView | None


class SlowQueryView(Struct, rename="camel"):
    """A slow operation of a store, without any stored values."""

    at: InstantText
    store: str
    operation: str
    collection: str
    outcome: str
    duration_ms: float


class SlowQueriesView(Struct):
    """The latest slow operations of the answering process, newest first."""

    items: tuple[SlowQueryView, ...]


class CacheView(Struct, rename="camel"):
    """Cache statistics of the answering process. `ratio` is null before the first read."""

    is_configured: bool
    in_use: bool
    hits: int
    misses: int
    ratio: Ratio | None


class AdminController(Controller, path="/v1/admin", stored=False, also=(403,)):
    """Operations for administrators; all other users get 403."""

    read_trash: ReadTrash
    list_trash: ListTrash
    read_retention: ReadRetention
    purge_expired: PurgeExpired
    read_diagnostics: ReadDiagnostics
    retention_days: int

    @operation("GET", "/trash", summary="Count the trash of all users by collection", view=TrashHeapsView)
    async def trash(self, actor: Actor) -> TrashHeapsView:
        return TrashHeapsView(tuple(made_view(heap, TrashHeapView) for heap in await self.read_trash(actor)))

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

    @operation(
        "GET", "/retention", summary="Read the retention period and the expired records", view=RetentionView
    )
    async def retention(self, actor: Actor) -> RetentionView:
        return made_view(await self.read_retention(actor), RetentionView)

    @operation("POST", "/retention", summary="Permanently remove expired records now", view=RetentionRunView)
    async def run_retention(self, actor: Actor, query: RunQuery) -> RetentionRunView:
        return made_view(await self.purge_expired(actor, is_dry_run=query.dry_run), RetentionRunView)

    @operation("GET", "/slow-queries", summary="List slow store operations", view=SlowQueriesView)
    async def slow_queries(self, actor: Actor) -> SlowQueriesView:
        found = self.read_diagnostics.slow_queries(actor)
        return SlowQueriesView(tuple(made_view(slow, SlowQueryView) for slow in found))

    @operation("GET", "/cache", summary="Read cache statistics", view=CacheView)
    async def cache(self, actor: Actor) -> CacheView:
        use = self.read_diagnostics.cache_use(actor)
        if use is None:
            return CacheView(is_configured=False, in_use=False, hits=0, misses=0, ratio=None)
        return made_view(use, CacheView, is_configured=True)


def _trashed_view(collection: str, entity: Entity, retention_days: int) -> TrashedView:
    deleted_at = entity.deleted_at or entity.updated_at
    return made_view(
        entity,
        TrashedView,
        collection=collection,
        # A task has a title, all other entities have a name.
        name=getattr(entity, "title", None) or getattr(entity, "name", ""),
        deleted_at=instant_text(deleted_at),
        due_at=instant_text(deleted_at + timedelta(days=retention_days)),
    )


ADMIN = Resource(controllers=(AdminController,))
