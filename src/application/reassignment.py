"""Reassigning the tasks of a member who leaves a team, within one unit of work."""

from collections.abc import Mapping

from application.ports.unit_of_work import UnitOfWork
from domain.assignment import Assignee, AssigneeType, TaskAssignment, assignment_id
from domain.entity import Stamp
from domain.task import Task, TaskStatus
from domain.team import membership_id


async def reassign_tasks(work: UnitOfWork, team_id: str, user_id: str, stamp: Stamp) -> None:
    """Removes the member as executor of the team's tasks, and assigns their own tasks of the team's projects to the
    team.

    This includes tasks in the trash: they must not return as the former member's. A task that is done keeps its
    executor.
    """
    taken = await work.assignments.executed_by(user_id, team_id)
    tasks = await work.tasks.get_many(assignment.task_id for assignment in taken)
    for assignment in taken:
        task = tasks.get(assignment.task_id)
        # If task and assignment differ, both were changed after the assignments were read, and that commit decides.
        if task is not None and task.executor_id == user_id and task.status is not TaskStatus.DONE:
            _save(work, task, assignment.executed_by(stamp, None), stamp)
    own = await work.tasks.given_in_team(user_id, team_id)
    live = await work.assignments.of_tasks(task.id for task in own)
    for task in own:
        _assign_to_team(work, task, live, stamp)


async def reassign_added_tasks(work: UnitOfWork, team_id: str, user_id: str, stamp: Stamp) -> None:
    """As `reassign_tasks`, for tasks taken between reading and commit; nothing if the user has rejoined since."""
    membership = await work.memberships.find(membership_id(team_id, user_id))
    if membership is not None and membership.is_deleted:
        work.memberships.require_unchanged(membership)
        await reassign_tasks(work, team_id, user_id, stamp)


async def reopened_assignment(work: UnitOfWork, task: Task, stamp: Stamp) -> TaskAssignment | None:
    """The changed assignment of a task that was reopened, without an executor who has left the team; None if the
    executor is still a member, which the commit checks again.
    """
    if task.executor_id is None or task.assignee_id is None:
        return None
    membership = await work.memberships.find(membership_id(task.assignee_id, task.executor_id))
    if membership is not None and not membership.is_deleted:
        work.memberships.require_unchanged(membership)
        return None
    assignment = await work.assignments.of_task(task.id)
    return None if assignment is None else assignment.executed_by(stamp, None)


def _assign_to_team(work: UnitOfWork, task: Task, live: Mapping[str, TaskAssignment], stamp: Stamp) -> None:
    current = live.get(task.id)
    if task.team_id is None or current is None or current.assignee != task.assignee:
        return
    assignment = TaskAssignment.create(
        assignment_id(task.id, task.version + 1),
        stamp,
        task_id=task.id,
        assignee=Assignee(task.team_id, AssigneeType.TEAM),
        executor_id=current.assignee_id if task.status is TaskStatus.DONE else None,
    )
    work.assignments.save(current.end(stamp))
    _save(work, task, assignment, stamp)


def _save(work: UnitOfWork, task: Task, assignment: TaskAssignment, stamp: Stamp) -> None:
    work.assignments.save(assignment)
    work.tasks.save(task.with_assignment(stamp, assignment))
