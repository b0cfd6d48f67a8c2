"""Watchlists: follow a task, give it up, list what one follows."""

from dataclasses import dataclass
from datetime import datetime

from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.unit_of_work import Begin, UnitOfWork
from application.repetition import repeated
from application.seen_task import NO_PARTS, Parts, SeenTask, seen_task, seen_tasks
from application.standing import audience_of
from application.task_access import visible_task
from domain.entity import Stamp
from domain.errors import VersionConflict
from domain.permissions import Standing, may_see_task
from domain.task import Task
from domain.watch import Watch, watch_id


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedTask:
    """A task, and since when its reader watches it."""

    seen: SeenTask
    watched_at: datetime


@dataclass(frozen=True, slots=True)
class ListWatched:
    """What the actor watches, as long as he may see it; what is in the trash is left out.

    The page counts watches, so it may show fewer tasks than it was asked for; so may its total.
    """

    begin: Begin
    clock: Clock

    async def __call__(
        self, actor: Actor, page: PageRequest, *, parts: Parts = NO_PARTS
    ) -> Page[WatchedTask]:
        work = self.begin(actor)
        found = await work.watches.page_of_user(actor.id, page)
        tasks = await _visible_tasks(work, actor, [watch.task_id for watch in found.items])
        seen = await seen_tasks(work, actor, tasks, now=self.clock.now(), parts=parts)
        by_id = {one.id: one for one in seen}
        return found.showing(lambda watch: _watched(watch, by_id.get(watch.task_id)))


def _watched(watch: Watch, seen: SeenTask | None) -> WatchedTask | None:
    return None if seen is None else WatchedTask(seen=seen, watched_at=watch.began_at)


async def _visible_tasks(work: UnitOfWork, actor: Actor, ids: list[str]) -> list[Task]:
    """Those of the tasks that the actor may see, in this order, without the trash: two calls to the store."""
    found = await work.tasks.get_many(ids)
    audience = await audience_of(work, actor)
    standing = Standing(actor.id, actor.grants, {team_id: frozenset() for team_id in audience.team_ids})
    tasks = [found[id_] for id_ in ids if id_ in found]
    return [task for task in tasks if not task.is_deleted and may_see_task(standing, task)]


@dataclass(frozen=True, slots=True)
class WatchTask:
    """Follows a task. Makes no version where the actor follows it already. Raises Conflict for one in the trash."""

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor, task_id: str) -> WatchedTask:
        # Whatever crossed this: to follow is what the caller asked for, not which version to follow.
        return await repeated(lambda: self._attempt(actor, task_id), where=_is_any)

    async def _attempt(self, actor: Actor, task_id: str) -> WatchedTask:
        work = self.begin(actor)
        task = await visible_task(work, actor, task_id)
        stamp = Stamp(self.clock.now(), actor.id)
        watch = await _watch_over(work, actor, task_id)
        if watch is None or watch.is_deleted:
            task.require_live()
            watch = _taken_up(watch, stamp, task_id=task_id)
            work.watches.save(watch)
            # Purging a task takes its watches along; none may slip in between.
            work.tasks.rely_on(task)
            await work.commit()
        seen = await seen_task(work, actor, task, now=stamp.at)
        return WatchedTask(seen=seen, watched_at=watch.began_at)


@dataclass(frozen=True, slots=True)
class UnwatchTask:
    """Gives up following a task, also one that the actor may not see any more. Makes no version where he follows it
    not. Raises NotFound for a task he must not know of, unless he follows it.
    """

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor, task_id: str) -> None:
        await repeated(lambda: self._attempt(actor, task_id), where=_is_any)

    async def _attempt(self, actor: Actor, task_id: str) -> None:
        work = self.begin(actor)
        await work.load(tasks=[task_id], watches=[watch_id(actor.id, task_id)])
        watch = await _watch_over(work, actor, task_id)
        if watch is None or watch.is_deleted:
            await visible_task(work, actor, task_id)
            return
        work.watches.save(watch.delete(Stamp(self.clock.now(), actor.id)))
        await work.commit()


async def _watch_over(work: UnitOfWork, actor: Actor, task_id: str) -> Watch | None:
    wanted = watch_id(actor.id, task_id)
    return (await work.watches.get_many([wanted])).get(wanted)


def _taken_up(watch: Watch | None, stamp: Stamp, *, task_id: str) -> Watch:
    return Watch.create(stamp, user_id=stamp.by, task_id=task_id) if watch is None else watch.restore(stamp)


def _is_any(_conflict: VersionConflict) -> bool:
    return True
