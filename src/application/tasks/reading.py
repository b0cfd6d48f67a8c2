"""Reading tasks: one, as it is or as it was, and pages of them."""

from dataclasses import dataclass, replace

from application.access import audience_of
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.repositories import TaskFilter
from application.ports.unit_of_work import Begin
from application.tasks.access import visible_task
from application.tasks.details import (
    NO_EXPANSIONS,
    Expansions,
    TaskDetails,
    details_as_of,
    details_of,
    details_of_all,
)
from domain.permissions import sees_everything


@dataclass(frozen=True, slots=True)
class GetTask:
    """One task, also from the trash, also as it was."""

    begin: Begin
    clock: Clock

    async def __call__(
        self, actor: Actor, id: str, *, version: int | None = None, expand: Expansions = NO_EXPANSIONS
    ) -> TaskDetails:
        work = self.begin(actor)
        task = await visible_task(work, actor, id)
        if version is not None:
            return await details_as_of(work, actor, await work.tasks.at_version(id, version))
        return await details_of(work, actor, task, now=self.clock.now(), expand=expand)


@dataclass(frozen=True, slots=True)
class ListTasks:
    """The tasks that the actor may see; with `watching` only those that he watches.

    The filter's `now` and `visible_to` are set here.
    """

    begin: Begin
    clock: Clock

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
        filters = replace(filters, now=now)
        if not sees_everything(actor.grants):
            filters = replace(filters, visible_to=await audience_of(work, actor))
        if watching:
            filters = replace(filters, ids=await work.watches.task_ids_of_user(actor.id))
        found = await work.tasks.matching(filters, page)
        seen = {one.id: one for one in await details_of_all(work, actor, found.items, now=now, expand=expand)}
        return found.showing(lambda task: seen.get(task.id))
