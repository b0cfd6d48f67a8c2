"""Steps shared by the use cases of assignments, within one unit of work."""

from application.access import is_allowed, require_allowed
from application.actor import Actor
from application.ports.unit_of_work import UnitOfWork
from application.tasks.access import teams_of, visible_task
from application.tasks.changes import TaskChange, TaskWriter
from domain.assignment import Assignee, AssigneeType, TaskAssignment, assignment_id
from domain.errors import RuleBroken, Violation
from domain.permissions import may_give_task, may_give_to_team
from domain.task import Task
from domain.team import membership_id


async def visible_assignment(work: UnitOfWork, actor: Actor, id: str) -> tuple[TaskAssignment, Task]:
    """The assignment and its task. Raises NotFound if the actor may not see the task."""
    assignment = await work.assignments.get(id)
    return assignment, await visible_task(work, actor, assignment.task_id)


async def assign_task(writer: TaskWriter, task: Task, assignee: Assignee) -> tuple[Task, TaskAssignment]:
    """Saves the assigned task, the end of its present assignment and the new one; nothing if it is the same assignee.
    The task is saved first, because a repeated request looks for its entry.

    Raises Conflict for a task in the trash, Forbidden if the actor may not assign it, RuleBroken for an assignee that
    does not exist or that the actor may not choose.
    """
    task.require_live()
    work, stamp = writer.work, writer.stamp
    # Also for an unassigned task: a record of an older version may have an assignment without a copy in its task.
    current = await work.assignments.of_task(task.id)
    if current is not None and current.assignee == assignee == task.assignee:
        return task, current
    await _load_assignee(work, writer.actor, assignee)
    # Checked again by the commit: a user who is being removed from the team must not take a task of it.
    await require_allowed(
        work,
        writer.actor,
        lambda principal: may_give_task(principal, task, assignee),
        teams=teams_of(task),
        message="You cannot assign this task to others.",
    )
    await _require_assignee(writer, task, assignee)
    id_ = assignment_id(task.id, task.version + 1)
    assignment = TaskAssignment.create(id_, stamp, task_id=task.id, assignee=assignee)
    assigned = await writer.save(TaskChange(task, task.assigned(stamp, assignment)))
    if current is not None:
        work.assignments.save(current.end(stamp))
    work.assignments.save(assignment)
    return assigned, assignment


async def unassign_task(writer: TaskWriter, task: Task) -> Task:
    """Saves the task without an assignee. Raises Conflict for a task in the trash."""
    return await writer.save(TaskChange(task, task.assigned(writer.stamp, None)))


async def require_member(work: UnitOfWork, team_id: str, user_id: str) -> None:
    """Raises RuleBroken unless the user is a member of the team, now and at the commit: the tasks of a member who
    leaves are reassigned, and this one must be among them.
    """
    membership = await work.memberships.find(membership_id(team_id, user_id))
    if membership is None or membership.is_deleted:
        violation = Violation("/executorId", "is not a member of the team")
        raise RuleBroken("The executor must be a member of the assigned team.", violations=[violation])
    work.memberships.require_unchanged(membership)


async def _load_assignee(work: UnitOfWork, actor: Actor, assignee: Assignee) -> None:
    if assignee.type is AssigneeType.USER:
        await work.load(users=[assignee.id])
    else:
        await work.load(teams=[assignee.id], memberships=[membership_id(assignee.id, actor.id)])


async def _require_assignee(writer: TaskWriter, task: Task, assignee: Assignee) -> None:
    """Raises RuleBroken unless it is a live user, or a live team that the actor may assign the task to, now and at the
    commit.
    """
    work = writer.work
    if assignee.type is AssigneeType.USER:
        user = await work.users.find(assignee.id)
        if user is None or user.is_deleted:
            raise _unknown("is not a user")
        return
    team = await work.teams.find(assignee.id)
    is_permitted = await is_allowed(
        work,
        writer.actor,
        lambda principal: may_give_to_team(principal, task, assignee.id),
        teams=[assignee.id],
    )
    if team is None or team.is_deleted or not is_permitted:
        raise _unknown("is not one of your teams")
    work.teams.require_unchanged(team)


def _unknown(message: str) -> RuleBroken:
    return RuleBroken("The assignee does not exist.", violations=[Violation("/assigneeId", message)])
