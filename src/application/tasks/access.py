"""Access to tasks: the checks with which every use case of tasks begins."""

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
    """The task, loaded together with the actor's watch of it. Raises NotFound if the actor may not see it."""
    await work.load(tasks=[id], watches=[watch_id(actor.id, id)])
    task = await work.tasks.get(id)
    if not may_see_task(without_teams(actor), task):
        require_visible(may_see_task(await with_memberships(work, actor, teams_of(task)), task))
    return task


async def changeable_task(work: UnitOfWork, actor: Actor, id: str) -> Task:
    """The task, if the actor may edit it. Raises NotFound if they may not see it, Forbidden otherwise."""
    task = await visible_task(work, actor, id)
    if not may_change_task(without_teams(actor), task):
        require(may_change_task(await principal_for(work, actor, task), task))
    return task


async def deletable_task(work: UnitOfWork, actor: Actor, id: str) -> Task:
    """The task, if the actor may delete and restore it; the commit checks this again. Raises as `changeable_task`."""
    task = await visible_task(work, actor, id)
    await require_allowed(
        work,
        actor,
        lambda principal: may_delete_task(principal, task),
        teams=teams_of(task),
        message="Only the task's creator or owner can do this.",
    )
    return task


async def require_can_unassign(work: UnitOfWork, actor: Actor, task: Task) -> None:
    """Raises Forbidden unless the actor may end the task's assignment, now and at the commit."""
    await require_allowed(
        work, actor, lambda principal: may_end_assignment(principal, task), teams=teams_of(task)
    )


async def require_can_choose_executor(
    work: UnitOfWork, actor: Actor, task: Task, executor_id: str | None
) -> None:
    """Raises Forbidden unless the actor may name this executor (None: nobody), now and at the commit."""
    await require_allowed(
        work,
        actor,
        lambda principal: may_choose_executor(principal, task, executor_id),
        teams=teams_of(task),
    )


async def require_can_move(work: UnitOfWork, actor: Actor, task: Task) -> None:
    """Raises Forbidden unless the actor may move the task to another project, now and at the commit."""
    await require_allowed(
        work,
        actor,
        lambda principal: may_move_task(principal, task),
        teams=teams_of(task),
        message="Only the task's creator or owner can move it to another project.",
    )


async def principal_for(work: UnitOfWork, actor: Actor, task: Task) -> Principal:
    """The actor's principal with permissions in the teams on which access to the task depends."""
    return await with_permissions(work, actor, teams_of(task))


def teams_of(task: Task) -> list[str | None]:
    """The teams on which access to the task depends."""
    assigned = task.assignee_id if task.assignee_type is AssigneeType.TEAM else None
    return [task.team_id, assigned]
