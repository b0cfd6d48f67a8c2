"""/v1/watchlist."""

import msgspec

from application.actor import Actor
from application.paging import Page, PageRequest
from application.tasks.watchlist import ListWatched, UnwatchTask, WatchedTask, WatchTask
from entrypoints.http.protocol.answers import instant_text
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import Id, InstantText
from entrypoints.http.tasks.queries import WatchlistQuery, expansions_of
from entrypoints.http.tasks.schemas import TaskView, task_view


class WatchedTaskView(TaskView, kw_only=True):
    """A watched task. `watchedAt` is the time when the caller started to watch it."""

    watched_at: InstantText


class WatchEntryView(msgspec.Struct, rename="camel"):
    """The fields of a watch in audit entries; a watch has no other view."""

    user_id: Id
    task_id: Id
    is_deleted: bool
    deleted_at: InstantText | None
    deleted_by: Id | None


class WatchlistController(Controller, path="/v1/watchlist"):
    """The watchlist of the caller. Each user has one, so the address contains no id.

    Watching is idempotent: it does not support If-Match, and repeating it creates no version.
    """

    list_watched: ListWatched
    watch_task: WatchTask
    unwatch_task: UnwatchTask

    @operation(
        "GET",
        summary="List watched tasks, most recently watched first, without deleted tasks and tasks you may not see",
        page_of=WatchedTaskView,
        stored=False,
    )
    async def list_all(self, actor: Actor, query: WatchlistQuery, page: PageRequest) -> Page[WatchedTask]:
        return await self.list_watched(actor, page, expand=expansions_of(query.expand))

    @operation("PUT", "/{id}", summary="Watch a task", view=WatchedTaskView, tagged=False, also=(409,))
    async def watch(self, actor: Actor, id: str) -> WatchedTask:
        return await self.watch_task(actor, id)

    @operation("DELETE", "/{id}", summary="Stop watching a task", status=204, also=(409,))
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
