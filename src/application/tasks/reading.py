"""Reading tasks: one, at present or at an earlier version, and pages of them."""

from dataclasses import replace
from datetime import UTC, tzinfo

from application.access import visible_to
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.repositories import TaskFilter
from application.ports.unit_of_work import UnitOfWork
from application.tasks.access import visible_task
from application.tasks.details import (
    NO_EXPANSIONS,
    Expansions,
    TaskDetails,
    details_as_of,
    details_of,
    details_of_all,
)
from application.use_case import TimedUseCase


async def zone_of(work: UnitOfWork, actor: Actor) -> tzinfo:
    """The time zone of the actor's profile; UTC without one."""
    user = await work.users.find(actor.id)
    return UTC if user is None else user.zone


class GetTask(TimedUseCase):
    """One task, live or in the trash, at present or at an earlier version."""

    async def __call__(
        self, actor: Actor, id: str, *, version: int | None = None, expand: Expansions = NO_EXPANSIONS
    ) -> TaskDetails:
        work = self.begin(actor)
        task = await visible_task(work, actor, id)
        if version is not None:
            return await details_as_of(work, actor, await work.tasks.at_version(id, version))
        return await details_of(work, actor, task, now=self.clock.now(), expand=expand)


class ListTasks(TimedUseCase):
    """The tasks that the actor may see; with `watching` only those that they watch.

    This sets `now`, `zone` (the actor's time zone) and `visible_to` of the filters.
    """

    async def __call__(
        self,
        actor: Actor,
        filters: TaskFilter,
        page: PageRequest,
        *,
        watching: bool = False,
        expand: Expansions = NO_EXPANSIONS,
    ) -> Page[TaskDetails]:
        work, now = self.begin(actor), self.clock.now()
        filters = replace(filters, now=now, visible_to=await visible_to(work, actor))
        if filters.needs_zone:
            filters = replace(filters, zone=await zone_of(work, actor))
        if watching:
            watched = await work.watches.task_ids_of_user(actor.id)
            ids = watched if filters.ids is None else set(filters.ids).intersection(watched)
            filters = replace(filters, ids=tuple(ids))
        found = await work.tasks.matching(filters, page)
        details = {
            one.id: one for one in await details_of_all(work, actor, found.items, now=now, expand=expand)
        }
        return found.showing(lambda task: details.get(task.id))
