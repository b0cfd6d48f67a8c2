"""Reading tasks: one, as it is or as it was, and pages of them."""

from dataclasses import dataclass, replace

from application.access import audience_of
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.repositories import TaskFilter
from application.ports.unit_of_work import Begin
from application.tasks.access import visible_task
from application.tasks.details import NO_PARTS, Parts, SeenTask, seen_as_it_was, seen_task, seen_tasks
from domain.permissions import sees_everything


@dataclass(frozen=True, slots=True)
class GetTask:
    """One task, also from the trash, also as it was."""

    begin: Begin
    clock: Clock

    async def __call__(
        self, actor: Actor, id: str, *, version: int | None = None, parts: Parts = NO_PARTS
    ) -> SeenTask:
        work = self.begin(actor)
        task = await visible_task(work, actor, id)
        if version is not None:
            return await seen_as_it_was(work, actor, await work.tasks.at_version(id, version))
        return await seen_task(work, actor, task, now=self.clock.now(), parts=parts)


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
        wanted: TaskFilter,
        page: PageRequest,
        *,
        watching: bool = False,
        parts: Parts = NO_PARTS,
    ) -> Page[SeenTask]:
        work, now = self.begin(actor), self.clock.now()
        wanted = replace(wanted, now=now)
        if not sees_everything(actor.grants):
            wanted = replace(wanted, visible_to=await audience_of(work, actor))
        if watching:
            wanted = replace(wanted, ids=await work.watches.task_ids_of_user(actor.id))
        found = await work.tasks.matching(wanted, page)
        seen = {one.id: one for one in await seen_tasks(work, actor, found.items, now=now, parts=parts)}
        return found.showing(lambda task: seen.get(task.id))
