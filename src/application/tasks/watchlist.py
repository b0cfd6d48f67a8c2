"""Watchlists: follow a task, give it up, list what one follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from application.access import audience_of
from application.actor import Actor
from application.paging import Page, PageRequest, Position, Sort
from application.ports.clock import Clock
from application.ports.repositories import Audience, TaskFilter
from application.ports.unit_of_work import Begin, UnitOfWork
from application.retrying import retry_conflicts
from application.tasks.access import visible_task
from application.tasks.details import NO_EXPANSIONS, Expansions, TaskDetails, details_of, details_of_all
from domain.entity import Stamp
from domain.errors import VersionConflict
from domain.permissions import Principal, may_see_task, sees_everything
from domain.task import Task
from domain.watch import Watch, watch_id

WATCHES_MAX = 20_000
"""The most watches of one user that his watchlist looks at."""
LOOKED_AT_ONCE = 1_000
"""How many of them are looked at together once some could not be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedTask:
    """A task, and since when its reader watches it."""

    details: TaskDetails
    watched_at: datetime


@dataclass(frozen=True, slots=True)
class ListWatched:
    """What the actor watches and may see, the latest first; what is in the trash is left out.

    The page, its total and whether more follows count what is shown and nothing else. Of somebody who watches more
    than WATCHES_MAX tasks these are the latest.
    """

    begin: Begin
    clock: Clock

    async def __call__(
        self, actor: Actor, page: PageRequest, *, expand: Expansions = NO_EXPANSIONS
    ) -> Page[WatchedTask]:
        work = self.begin(actor)
        audience = await audience_of(work, actor)
        watches = await _watches_of(work, actor)
        total = await _total(work, actor, audience, watches) if page.with_total else None
        following = [watch for watch in watches if _is_after(watch, page.after)]
        # One more than is shown tells whether there is more.
        found = await _visible_tasks(work, actor, audience, following, enough=page.limit + 1)
        shown = list(found.items())[: page.limit]
        seen = await details_of_all(
            work, actor, [task for _, task in shown], now=self.clock.now(), expand=expand
        )
        positions = [Position(watch.began_at, watch.id) for watch, _ in shown]
        return Page(
            items=[
                WatchedTask(details=one, watched_at=watch.began_at)
                for (watch, _), one in zip(shown, seen, strict=True)
            ],
            next=positions[-1] if len(found) > page.limit else None,
            total=total,
            positions=positions,
        )


async def _watches_of(work: UnitOfWork, actor: Actor) -> list[Watch]:
    """What the actor watches, the latest first: one call to the store."""
    latest = PageRequest(sort=Sort("updatedAt", descending=True), limit=WATCHES_MAX)
    watches = (await work.watches.page_of_user(actor.id, latest)).items
    # One that was brought under its own id began before it was updated.
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

    One call to the store where all of them may be seen, and one more for each LOOKED_AT_ONCE watches after those.
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


@dataclass(frozen=True, slots=True)
class WatchTask:
    """Follows a task. Makes no version where the actor follows it already. Raises Conflict for one in the trash."""

    begin: Begin
    clock: Clock

    # Whatever crossed this: to follow is what the caller asked for, not which version to follow.
    @retry_conflicts()
    async def __call__(self, actor: Actor, task_id: str) -> WatchedTask:
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
        details = await details_of(work, actor, task, now=stamp.at)
        return WatchedTask(details=details, watched_at=watch.began_at)


@dataclass(frozen=True, slots=True)
class UnwatchTask:
    """Gives up following a task, also one that the actor may not see any more. Makes no version where he follows it
    not. Raises NotFound for a task he must not know of, unless he follows it.
    """

    begin: Begin
    clock: Clock

    @retry_conflicts()
    async def __call__(self, actor: Actor, task_id: str) -> None:
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
