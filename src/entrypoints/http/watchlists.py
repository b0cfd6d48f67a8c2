"""/v1/watchlist."""

import msgspec
from litestar import Controller, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from application.tasks.watchlist import WatchedTask
from entrypoints.http.addresses import known_id
from entrypoints.http.authentication import actor_of
from entrypoints.http.desks import WatchlistDesk
from entrypoints.http.documentation import documented
from entrypoints.http.queries import WatchlistQuery, read_query, require_no_query
from entrypoints.http.rendering import NO_STORE, Answer, HttpRequest, instant_text, view_answer, view_of
from entrypoints.http.tasks import expansions_of
from entrypoints.http.views import InstantText, TaskView

NEWEST_FIRST = "-updatedAt"


class WatchedTaskView(TaskView, rename="camel", kw_only=True):
    """A task that its reader watches. `watchedAt`: since when."""

    watched_at: InstantText


class WatchlistController(Controller):
    """What the caller follows. There is one watchlist for each user, so its address names none.

    To follow or to give up says what is to be, not which version to change: If-Match is refused, and doing it again
    makes no version.
    """

    path = "/v1/watchlist"

    @get(
        opt=documented(
            "List the tasks you watch, the latest first; those you may not see and those in the trash are left out",
            page_of=WatchedTaskView,
            query=WatchlistQuery,
        )
    )
    async def list_all(self, request: HttpRequest, watchlist: NamedDependency[WatchlistDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, WatchlistQuery)
        wanted = watchlist.pages.wanted(request, query, sort=NEWEST_FIRST)
        page = await watchlist.find(actor, wanted, expand=expansions_of(query.expand))
        return watchlist.pages.answer(request, page, _watched_view, headers=NO_STORE)

    @put(
        "/{id:str}",
        opt=documented("Watch a task", answer=WatchedTaskView, also=(409,)),
    )
    async def watch(
        self, request: HttpRequest, id: FromPath[str], watchlist: NamedDependency[WatchlistDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return view_answer(_watched_view(await watchlist.watch(actor, known_id(id))))

    # The framework wants a status that allows a body; the answer brings its own.
    @delete("/{id:str}", status_code=200, opt=documented("Watch a task no longer", status=204, also=(409,)))
    async def unwatch(
        self, request: HttpRequest, id: FromPath[str], watchlist: NamedDependency[WatchlistDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        await watchlist.unwatch(actor, known_id(id))
        return Answer(status=204)


def _watched_view(watched: WatchedTask) -> WatchedTaskView:
    view = view_of(watched.details)
    return WatchedTaskView(**msgspec.structs.asdict(view), watched_at=instant_text(watched.watched_at))
