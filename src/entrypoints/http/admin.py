"""/v1/admin: everybody's trash, its retention, and what this process knows about its stores."""

from datetime import timedelta

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from application.ports.retention_runs import RetentionRun
from domain.entity import Entity
from entrypoints.http.administration_shapes import (
    CacheView,
    HeapQuery,
    RetentionRunView,
    RetentionView,
    RunQuery,
    SlowQueriesView,
    SlowQueryView,
    TrashedView,
    TrashHeapsView,
    TrashHeapView,
)
from entrypoints.http.desks import AdministrationDesk
from entrypoints.http.protocol.answers import (
    NO_STORE,
    Answer,
    HttpRequest,
    instant_text,
    made_view,
    view_answer,
)
from entrypoints.http.protocol.operation import documented
from entrypoints.http.queries import read_query, require_no_query
from entrypoints.http.security.authentication import actor_of

OLDEST_FIRST = "deletedAt"


class AdministrationController(Controller):
    """For administrators; everybody else is refused."""

    path = "/v1/admin"

    @get("/trash", opt=documented("Count what is in the trash of all", answer=TrashHeapsView, also=(403,)))
    async def trash(
        self, request: HttpRequest, administration: NamedDependency[AdministrationDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        heaps = await administration.read_trash(actor)
        views = tuple(
            made_view(
                heap,
                TrashHeapView,
                oldest_deleted_at=heap.oldest_deleted_at and instant_text(heap.oldest_deleted_at),
            )
            for heap in heaps
        )
        return view_answer(TrashHeapsView(views), headers=NO_STORE)

    @get(
        "/trash/{collection:str}",
        opt=documented(
            "List the trash of one collection, oldest first",
            page_of=TrashedView,
            query=HeapQuery,
            also=(403,),
        ),
    )
    async def trash_of(
        self,
        request: HttpRequest,
        collection: FromPath[str],
        administration: NamedDependency[AdministrationDesk],
    ) -> Answer:
        actor = actor_of(request)
        wanted = administration.pages.wanted(request, read_query(request, HeapQuery), sort=OLDEST_FIRST)
        page = await administration.list_trash(actor, collection, wanted)
        days = administration.retention_days
        return administration.pages.answer(
            request, page, lambda thing: _trashed_view(collection, thing, days), headers=NO_STORE
        )

    @get("/retention", opt=documented("Read what is due to be removed", answer=RetentionView, also=(403,)))
    async def retention(
        self, request: HttpRequest, administration: NamedDependency[AdministrationDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        status = await administration.read_retention(actor)
        last = None if status.last_run is None else run_view(status.last_run)
        view = made_view(status, RetentionView, expired=dict(status.expired), last_run=last)
        return view_answer(view, headers=NO_STORE)

    @post(
        "/retention",
        status_code=200,
        opt=documented("Remove what is due now", answer=RetentionRunView, query=RunQuery, also=(403,)),
    )
    async def run_retention(
        self, request: HttpRequest, administration: NamedDependency[AdministrationDesk]
    ) -> Answer:
        actor = actor_of(request)
        query = read_query(request, RunQuery)
        run = await administration.purge(actor, is_dry_run=query.dry_run)
        return view_answer(run_view(run), headers=NO_STORE)

    @get(
        "/slow-queries", opt=documented("List slow operations of stores", answer=SlowQueriesView, also=(403,))
    )
    async def slow_queries(
        self, request: HttpRequest, administration: NamedDependency[AdministrationDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        found = administration.diagnostics.slow_queries(actor)
        view = SlowQueriesView(tuple(made_view(slow, SlowQueryView) for slow in found))
        return view_answer(view, headers=NO_STORE)

    @get("/cache", opt=documented("Read how the cache is used", answer=CacheView, also=(403,)))
    async def cache(
        self, request: HttpRequest, administration: NamedDependency[AdministrationDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        use = administration.diagnostics.cache_use(actor)
        if use is None:
            view = CacheView(is_configured=False, in_use=False, hits=0, misses=0, ratio=None)
        else:
            view = made_view(use, CacheView, is_configured=True)
        return view_answer(view, headers=NO_STORE)


def run_view(run: RetentionRun) -> RetentionRunView:
    """A run of the retention as administrators see it."""
    return made_view(run, RetentionRunView, removed=dict(run.removed))


def _trashed_view(collection: str, thing: Entity, retention_days: int) -> TrashedView:
    deleted_at = thing.deleted_at or thing.updated_at
    return made_view(
        thing,
        TrashedView,
        collection=collection,
        # A task is called by its title, everything else by its name.
        name=getattr(thing, "title", None) or getattr(thing, "name", ""),
        deleted_at=instant_text(deleted_at),
        due_at=instant_text(deleted_at + timedelta(days=retention_days)),
    )
