"""The watchlist: watch a task, stop watching it, list the watched tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from application.access import audience_of
from application.actor import Actor
from application.paging import Page, PageRequest, Position, Sort
from application.ports.repositories import Audience, TaskFilter
from application.ports.unit_of_work import UnitOfWork
from application.retrying import retry_conflicts
from application.tasks.access import visible_task
from application.tasks.details import NO_EXPANSIONS, Expansions, TaskDetails, details_of, details_of_all
from application.use_case import TimedUseCase
from domain.entity import Stamp
from domain.permissions import Principal, may_see_task, sees_everything
from domain.task import Task
from domain.watch import Watch, watch_id

WATCHES_MAX = 20_000
"""How many of a user's watches their watchlist reads."""
LOOKED_AT_ONCE = 1_000
"""How many of them are read together after the first ones, if some of those are not visible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedTask:
    """A task, and the time when the reader began to watch it."""

    details: TaskDetails
    watched_at: datetime


class ListWatched(TimedUseCase):
    """The live tasks that the actor watches and may see, the latest watch first.

    The page, its total and its continuation count visible tasks only. If a user watches more than WATCHES_MAX tasks,
    the latest are listed.
    """

    async def __call__(
        self, actor: Actor, page: PageRequest, *, expand: Expansions = NO_EXPANSIONS
    ) -> Page[WatchedTask]:
        work = self.begin(actor)
        audience = await audience_of(work, actor)
        watches = await _watches_of(work, actor)
        total = await _total(work, actor, audience, watches) if page.with_total else None
        following = [watch for watch in watches if _is_after(watch, page.after)]
        # One more than the page holds shows whether another page follows.
        found = await _visible_tasks(work, actor, audience, following, enough=page.limit + 1)
        shown = list(found.items())[: page.limit]
        details = await details_of_all(
            work, actor, [task for _, task in shown], now=self.clock.now(), expand=expand
        )
        positions = [Position(watch.began_at, watch.id) for watch, _ in shown]
        return Page(
            items=[
                WatchedTask(details=one, watched_at=watch.began_at)
                for (watch, _), one in zip(shown, details, strict=True)
            ],
            next=positions[-1] if len(found) > page.limit else None,
            total=total,
            positions=positions,
        )


async def _watches_of(work: UnitOfWork, actor: Actor) -> list[Watch]:
    """The actor's watches, the latest first: one call to the store."""
    latest = PageRequest(sort=Sort("updatedAt", descending=True), limit=WATCHES_MAX)
    watches = (await work.watches.page_of_user(actor.id, latest)).items
    # A watch that was moved to its derived id began before it was updated.
    return sorted(watches, key=lambda watch: (watch.began_at, watch.id), reverse=True)


def _is_after(watch: Watch, position: Position | None) -> bool:
    return position is None or (watch.began_at, watch.id) < (position.value, position.id)


async def _total(work: UnitOfWork, actor: Actor, audience: Audience, watches: Sequence[Watch]) -> int:
    return await work.tasks.count(
        TaskFilter(
            ids=tuple(watch.task_id for watch in watches),
            visible_to=None if sees_everything(actor.grants) else audience,
        )
    )


async def _visible_tasks(
    work: UnitOfWork, actor: Actor, audience: Audience, watches: Sequence[Watch], *, enough: int
) -> dict[Watch, Task]:
    """The first `enough` live tasks that the actor may see, by watch and in this order.

    One call to the store if all of them are visible, and one more for every LOOKED_AT_ONCE watches after those.
    """
    principal = Principal(actor.id, actor.grants, {team_id: frozenset() for team_id in audience.team_ids})
    visible: dict[Watch, Task] = {}
    start, step = 0, enough
    while start < len(watches) and len(visible) < enough:
        part = watches[start : start + step]
        start, step = start + step, LOOKED_AT_ONCE
        tasks = await work.tasks.get_many(watch.task_id for watch in part)
        for watch in part:
            task = tasks.get(watch.task_id)
            if task is not None and not task.is_deleted and may_see_task(principal, task):
                visible[watch] = task
    return visible


class WatchTask(TimedUseCase):
    """Watches a task. Makes no version if the actor already watches it. Raises Conflict for a task in the trash."""

    @retry_conflicts()
    async def __call__(self, actor: Actor, task_id: str) -> WatchedTask:
        work = self.begin(actor)
        task = await visible_task(work, actor, task_id)
        stamp = self.stamp(actor)
        watch = await _watch_over(work, actor, task_id)
        if watch is None or watch.is_deleted:
            task.require_live()
            watch = _resumed(watch, stamp, task_id=task_id)
            work.watches.save(watch)
            # A purge removes a task with its watches; none may be added meanwhile.
            work.tasks.require_unchanged(task)
            await work.commit()
        details = await details_of(work, actor, task, now=stamp.at)
        return WatchedTask(details=details, watched_at=watch.began_at)


class UnwatchTask(TimedUseCase):
    """Stops watching a task, also one that the actor may no longer see. Makes no version if they do not watch it.
    Raises NotFound for a task that they neither watch nor may see.
    """

    @retry_conflicts()
    async def __call__(self, actor: Actor, task_id: str) -> None:
        work = self.begin(actor)
        await work.load(tasks=[task_id], watches=[watch_id(actor.id, task_id)])
        watch = await _watch_over(work, actor, task_id)
        if watch is None or watch.is_deleted:
            await visible_task(work, actor, task_id)
            return
        work.watches.save(watch.delete(self.stamp(actor)))
        await work.commit()


async def _watch_over(work: UnitOfWork, actor: Actor, task_id: str) -> Watch | None:
    return await work.watches.find(watch_id(actor.id, task_id))


def _resumed(watch: Watch | None, stamp: Stamp, *, task_id: str) -> Watch:
    return Watch.create(stamp, user_id=stamp.by, task_id=task_id) if watch is None else watch.restore(stamp)
