"""Whether an actor may come to a task: what every use case of tasks asks first."""

from application.actor import Actor
from application.authorization import require, require_visible
from application.ports.unit_of_work import UnitOfWork
from application.standing import alone, belonging_in, rely_on_standing, standing_in
from domain.assignment import AssigneeType
from domain.permissions import Standing, may_change_task, may_delete_task, may_move_task, may_see_task
from domain.task import Task
from domain.watch import watch_id


async def visible_task(work: UnitOfWork, actor: Actor, id: str) -> Task:
    """The task, where the actor may know of it; his watch over it comes in the same call. Raises NotFound."""
    await work.load(tasks=[id], watches=[watch_id(actor.id, id)])
    task = await work.tasks.get(id)
    if not may_see_task(alone(actor), task):
        require_visible(may_see_task(await belonging_in(work, actor, _teams_of(task)), task))
    return task


async def changeable_task(work: UnitOfWork, actor: Actor, id: str) -> Task:
    """The task, where the actor may change it. Raises NotFound for what he must not know of, Forbidden otherwise."""
    task = await visible_task(work, actor, id)
    if not may_change_task(alone(actor), task):
        require(may_change_task(await standing_for(work, actor, task), task))
    return task


async def deletable_task(work: UnitOfWork, actor: Actor, id: str) -> Task:
    """The task, where the actor may move it to the trash and back; the commit relies on his teams where it is they
    that let him. Raises as `changeable_task` does.
    """
    task = await visible_task(work, actor, id)
    if not may_delete_task(alone(actor), task):
        may_delete = may_delete_task(await standing_for(work, actor, task), task)
        require(may_delete, "Only who made a task, and whose it is, may do this.")
        await rely_on_standing(work, actor, _teams_of(task))
    return task


async def require_movable(work: UnitOfWork, actor: Actor, task: Task) -> None:
    """Raises Forbidden unless the actor may take the task into another project; relied upon as in `deletable_task`."""
    if not may_move_task(alone(actor), task):
        may_move = may_move_task(await standing_for(work, actor, task), task)
        require(may_move, "Which project a task belongs to is not yours to say.")
        await rely_on_standing(work, actor, _teams_of(task))


async def standing_for(work: UnitOfWork, actor: Actor, task: Task) -> Standing:
    """The actor with the teams that matter to the task, and what he holds in them."""
    return await standing_in(work, actor, _teams_of(task))


def _teams_of(task: Task) -> list[str | None]:
    assigned = task.assignee_id if task.assignee_type is AssigneeType.TEAM else None
    return [task.team_id, assigned]
