"""/v1/watchlist."""

import msgspec

from application.actor import Actor
from application.paging import Page, PageRequest
from application.tasks.watchlist import ListWatched, UnwatchTask, WatchedTask, WatchTask
from entrypoints.http.protocol.answers import instant_text
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import Id, InstantText
from entrypoints.http.tasks.schemas import TaskView, WatchlistQuery, expansions_of, task_view


class WatchedTaskView(TaskView, rename="camel", kw_only=True):
    """A task that its reader watches. `watchedAt`: since when."""

    watched_at: InstantText


class WatchEntryView(msgspec.Struct, rename="camel"):
    """What audit entries show of a watch, which has no view of its own."""

    user_id: Id
    task_id: Id
    is_deleted: bool
    deleted_at: InstantText | None
    deleted_by: Id | None


class WatchlistController(Controller, path="/v1/watchlist"):
    """What the caller follows. There is one watchlist for each user, so its address names none.

    Watching says what is to be, not which version to change: it does not support If-Match, and repeating it makes no
    version.
    """

    list_watched: ListWatched
    watch_task: WatchTask
    unwatch_task: UnwatchTask

    @operation(
        "GET",
        summary="List the tasks you watch, the latest first; those you may not see and those in the trash are left out",
        page_of=WatchedTaskView,
        stored=False,
    )
    async def list_all(self, actor: Actor, query: WatchlistQuery, page: PageRequest) -> Page[WatchedTask]:
        return await self.list_watched(actor, page, expand=expansions_of(query.expand))

    @operation("PUT", "/{id}", summary="Watch a task", view=WatchedTaskView, tagged=False, also=(409,))
    async def watch(self, actor: Actor, id: str) -> WatchedTask:
        return await self.watch_task(actor, id)

    @operation("DELETE", "/{id}", summary="Watch a task no longer", status=204, also=(409,))
    async def unwatch(self, actor: Actor, id: str) -> None:
        await self.unwatch_task(actor, id)


def _watched_view(watched: WatchedTask) -> WatchedTaskView:
    view = task_view(watched.details)
    return WatchedTaskView(**msgspec.structs.asdict(view), watched_at=instant_text(watched.watched_at))


WATCHLIST = Resource(
    controllers=(WatchlistController,),
    collection="watchlists",
    view=WatchEntryView,
    views={WatchedTask: _watched_view},
)
