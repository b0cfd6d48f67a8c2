"""The steps that use cases of assignments have in common, within one unit of work."""

from application.access import is_allowed, require_allowed
from application.actor import Actor
from application.ports.unit_of_work import UnitOfWork
from application.tasks.access import visible_task
from application.tasks.changes import TaskChange, TaskWriter
from domain.assignment import Assignee, AssigneeType, TaskAssignment, assignment_id
from domain.errors import Fault, RuleBroken
from domain.permissions import may_give_task, may_give_to_team
from domain.task import Task
from domain.team import membership_id


async def visible_assignment(work: UnitOfWork, actor: Actor, id: str) -> tuple[TaskAssignment, Task]:
    """The assignment and its task, where the actor may know of the task. Raises NotFound."""
    assignment = await work.assignments.get(id)
    return assignment, await visible_task(work, actor, assignment.task_id)


async def give_task(writer: TaskWriter, task: Task, assignee: Assignee) -> tuple[Task, TaskAssignment]:
    """Saves the task given to somebody, the end of what was before, and the new assignment; where he has it already,
    nothing. The task is saved first: it is what a repeated request finds again.

    Raises Conflict for a task in the trash, Forbidden where it is not the actor's to give, RuleBroken for an assignee
    that is not there for him.
    """
    task.require_live()
    work, stamp = writer.work, writer.stamp
    # Asked also where the task says nobody: one from an older version may have an assignment that it does not repeat.
    current = await work.assignments.of_task(task.id)
    if current is not None and current.assignee == assignee == task.assignee:
        return task, current
    given_now = task.assignee_id if task.assignee_type is AssigneeType.TEAM else None
    await _load_assignee(work, writer.actor, assignee)
    # Relied upon, since who takes a task while he is removed from its team would keep it.
    await require_allowed(
        work,
        writer.actor,
        lambda principal: may_give_task(principal, task, assignee),
        teams=[task.team_id, given_now],
        message="Who does this task is not yours to say.",
    )
    await _require_assignee(writer, task, assignee)
    id_ = assignment_id(task.id, task.version + 1)
    assignment = TaskAssignment.create(id_, stamp, task_id=task.id, assignee=assignee)
    assigned = await writer.save(TaskChange(task, task.assigned(stamp, assignment)))
    if current is not None:
        work.assignments.save(current.end(stamp))
    work.assignments.save(assignment)
    return assigned, assignment


async def free_task(writer: TaskWriter, task: Task) -> Task:
    """Saves the task given to nobody. Raises Conflict for a task in the trash."""
    return await writer.save(TaskChange(task, task.assigned(writer.stamp, None)))


async def require_member(work: UnitOfWork, team_id: str, user_id: str) -> None:
    """Raises RuleBroken unless the user belongs to the team. The commit relies on it: who leaves hands back what he had
    taken over, and finds it there.
    """
    id_ = membership_id(team_id, user_id)
    membership = (await work.memberships.get_many([id_])).get(id_)
    if membership is None or membership.is_deleted:
        fault = Fault("/executorId", "is no member of the team")
        raise RuleBroken("Only a member of the team can take its task over.", faults=[fault])
    work.memberships.rely_on(membership)


async def _load_assignee(work: UnitOfWork, actor: Actor, assignee: Assignee) -> None:
    if assignee.type is AssigneeType.USER:
        await work.load(users=[assignee.id])
    else:
        await work.load(teams=[assignee.id], memberships=[membership_id(assignee.id, actor.id)])


async def _require_assignee(writer: TaskWriter, task: Task, assignee: Assignee) -> None:
    """Raises RuleBroken unless it is a live user, or a live team that this actor may give the task to; the commit
    relies on the team, and on what lets him.
    """
    work = writer.work
    if assignee.type is AssigneeType.USER:
        user = (await work.users.get_many([assignee.id])).get(assignee.id)
        if user is None or user.is_deleted:
            raise _nobody("is no user")
        return
    team = (await work.teams.get_many([assignee.id])).get(assignee.id)
    is_his = await is_allowed(
        work,
        writer.actor,
        lambda principal: may_give_to_team(principal, task, assignee.id),
        teams=[assignee.id],
    )
    if team is None or team.is_deleted or not is_his:
        raise _nobody("is no team of yours")
    work.teams.rely_on(team)


def _nobody(message: str) -> RuleBroken:
    return RuleBroken("The assignee does not exist.", faults=[Fault("/assigneeId", message)])
