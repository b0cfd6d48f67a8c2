"""Whether an actor may come to a task: what every use case of tasks asks first."""

from application.access import (
    require,
    require_allowed,
    require_visible,
    with_memberships,
    with_permissions,
    without_teams,
)
from application.actor import Actor
from application.ports.unit_of_work import UnitOfWork
from domain.assignment import AssigneeType
from domain.permissions import (
    Principal,
    may_change_task,
    may_choose_executor,
    may_delete_task,
    may_end_assignment,
    may_move_task,
    may_see_task,
)
from domain.task import Task
from domain.watch import watch_id


async def visible_task(work: UnitOfWork, actor: Actor, id: str) -> Task:
    """The task, where the actor may know of it; his watch over it comes in the same call. Raises NotFound."""
    await work.load(tasks=[id], watches=[watch_id(actor.id, id)])
    task = await work.tasks.get(id)
    if not may_see_task(without_teams(actor), task):
        require_visible(may_see_task(await with_memberships(work, actor, _teams_of(task)), task))
    return task


async def changeable_task(work: UnitOfWork, actor: Actor, id: str) -> Task:
    """The task, where the actor may change it. Raises NotFound for what he must not know of, Forbidden otherwise."""
    task = await visible_task(work, actor, id)
    if not may_change_task(without_teams(actor), task):
        require(may_change_task(await principal_for(work, actor, task), task))
    return task


async def deletable_task(work: UnitOfWork, actor: Actor, id: str) -> Task:
    """The task, where the actor may move it to the trash and back; the commit relies on his teams where it is they
    that let him. Raises as `changeable_task` does.
    """
    task = await visible_task(work, actor, id)
    await require_allowed(
        work,
        actor,
        lambda principal: may_delete_task(principal, task),
        teams=_teams_of(task),
        message="Only who made a task, and whose it is, may do this.",
    )
    return task


async def require_freeable(work: UnitOfWork, actor: Actor, task: Task) -> None:
    """Raises Forbidden unless the actor may end the task's assignment; relied upon as in `deletable_task`."""
    await require_allowed(
        work, actor, lambda principal: may_end_assignment(principal, task), teams=_teams_of(task)
    )


async def require_executor_choosable(
    work: UnitOfWork, actor: Actor, task: Task, executor_id: str | None
) -> None:
    """Raises Forbidden unless the actor may say that this member does the task, or nobody; relied upon likewise."""
    await require_allowed(
        work,
        actor,
        lambda principal: may_choose_executor(principal, task, executor_id),
        teams=_teams_of(task),
    )


async def require_movable(work: UnitOfWork, actor: Actor, task: Task) -> None:
    """Raises Forbidden unless the actor may take the task into another project; relied upon as in `deletable_task`."""
    await require_allowed(
        work,
        actor,
        lambda principal: may_move_task(principal, task),
        teams=_teams_of(task),
        message="Which project a task belongs to is not yours to say.",
    )


async def principal_for(work: UnitOfWork, actor: Actor, task: Task) -> Principal:
    """The actor with the teams that matter to the task, and what he holds in them."""
    return await with_permissions(work, actor, _teams_of(task))


def _teams_of(task: Task) -> list[str | None]:
    assigned = task.assignee_id if task.assignee_type is AssigneeType.TEAM else None
    return [task.team_id, assigned]
