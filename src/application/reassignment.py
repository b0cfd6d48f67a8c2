"""What becomes of a team's tasks when somebody who does them leaves it, within one unit of work."""

from collections.abc import Mapping

from application.ports.unit_of_work import UnitOfWork
from domain.assignment import Assignee, AssigneeType, TaskAssignment, assignment_id
from domain.entity import Stamp
from domain.task import Task, TaskStatus
from domain.team import membership_id


async def hand_back(work: UnitOfWork, team_id: str, user_id: str, stamp: Stamp) -> None:
    """What he took over waits for somebody else, and what was given to him alone goes to the team. Tasks in the trash
    as well: they must not come back as his. What is done stays his work, though he sees it no more.
    """
    taken = await work.assignments.executed_by(user_id, team_id)
    tasks = await work.tasks.get_many(assignment.task_id for assignment in taken)
    for assignment in taken:
        task = tasks.get(assignment.task_id)
        # Where the two differ, somebody changed both since the assignments were read, and his commit decides.
        if task is not None and task.executor_id == user_id and task.status is not TaskStatus.DONE:
            _repeat(work, task, assignment.executed_by(stamp, None), stamp)
    own = await work.tasks.given_in_team(user_id, team_id)
    live = await work.assignments.of_tasks(task.id for task in own)
    for task in own:
        _give_to_team(work, task, live, stamp)


async def hand_back_late(work: UnitOfWork, team_id: str, user_id: str, stamp: Stamp) -> None:
    """Hands back what he took over between reading and commit, unless he has come back since."""
    id = membership_id(team_id, user_id)
    membership = (await work.memberships.get_many([id])).get(id)
    if membership is not None and membership.is_deleted:
        work.memberships.rely_on(membership)
        await hand_back(work, team_id, user_id, stamp)


async def waiting_again(work: UnitOfWork, task: Task, stamp: Stamp) -> TaskAssignment | None:
    """The assignment of a task that is open again, handed back where whoever did it has left the team meanwhile; None
    where he goes on. The commit relies on him.
    """
    if task.executor_id is None or task.assignee_id is None:
        return None
    id = membership_id(task.assignee_id, task.executor_id)
    membership = (await work.memberships.get_many([id])).get(id)
    if membership is not None and not membership.is_deleted:
        work.memberships.rely_on(membership)
        return None
    assignment = await work.assignments.of_task(task.id)
    return None if assignment is None else assignment.executed_by(stamp, None)


def _give_to_team(work: UnitOfWork, task: Task, live: Mapping[str, TaskAssignment], stamp: Stamp) -> None:
    current = live.get(task.id)
    if task.team_id is None or current is None or current.assignee != task.assignee:
        return
    given = TaskAssignment.create(
        assignment_id(task.id, task.version + 1),
        stamp,
        task_id=task.id,
        assignee=Assignee(task.team_id, AssigneeType.TEAM),
        executor_id=current.assignee_id if task.status is TaskStatus.DONE else None,
    )
    work.assignments.save(current.end(stamp))
    _repeat(work, task, given, stamp)


def _repeat(work: UnitOfWork, task: Task, assignment: TaskAssignment, stamp: Stamp) -> None:
    work.assignments.save(assignment)
    work.tasks.save(task.with_assignment(stamp, assignment))
