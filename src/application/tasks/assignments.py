"""Assignments of tasks: create, choose an executor, end.

A task holds a copy of its live assignment, so both change in one change set, and the task's version orders changes.
"""

from dataclasses import replace

from application.access import visible_to
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.repositories import TaskFilter
from application.retrying import retry_conflicts
from application.tasks.access import require_can_choose_executor, require_can_unassign, visible_task
from application.tasks.assigning import assign_task, require_member, unassign_task, visible_assignment
from application.tasks.changes import TaskChange, TaskUseCase
from application.tasks.details import TaskDetails, details_of
from application.use_case import UseCase
from domain.assignment import Assignee, TaskAssignment, assignment_id
from domain.errors import NotFound, RuleBroken, Violation


class AssignTask(TaskUseCase):
    """Assigns a task to a user or a team and ends its present assignment; the same assignee changes nothing."""

    @retry_conflicts(unless="tasks")
    async def __call__(
        self, actor: Actor, task_id: str, assignee: Assignee, *, expected_version: int | None
    ) -> TaskDetails:
        writer = self.writer(actor)
        task = await visible_task(writer.work, actor, task_id)
        task.require_version(expected_version)
        assigned, _ = await assign_task(writer, task, assignee)
        await writer.work.commit()
        return await details_of(writer.work, actor, assigned, now=writer.stamp.at)


class UnassignTask(TaskUseCase):
    """Ends the assignment of a task. Raises NotFound for an unassigned task."""

    @retry_conflicts(unless="tasks")
    async def __call__(self, actor: Actor, task_id: str, *, expected_version: int | None) -> TaskDetails:
        writer = self.writer(actor)
        work = writer.work
        task = await visible_task(work, actor, task_id)
        task.require_version(expected_version)
        assignment = None if task.assignee is None else await work.assignments.of_task(task_id)
        if assignment is None:
            raise NotFound("This task is not assigned to anybody.")
        await require_can_unassign(work, actor, task)
        unassigned = await unassign_task(writer, task)
        work.assignments.save(assignment.end(writer.stamp))
        await work.commit()
        return await details_of(work, actor, unassigned, now=writer.stamp.at)


class CreateAssignment(TaskUseCase):
    """As AssignTask, but answers the assignment. Raises RuleBroken if the actor may not see the task."""

    @retry_conflicts(unless="tasks")
    async def __call__(self, actor: Actor, task_id: str, assignee: Assignee) -> TaskAssignment:
        writer = self.writer(actor)
        try:
            task = await visible_task(writer.work, actor, task_id)
        except NotFound as error:
            violation = Violation("/taskId", "is not a task")
            raise RuleBroken("The task does not exist.", violations=[violation]) from error
        _, assignment = await assign_task(writer, task, assignee)
        await writer.work.commit()
        return assignment


class GetAssignment(UseCase):
    """One assignment, live or ended, for everybody who may see its task."""

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> TaskAssignment:
        work = self.begin(actor)
        assignment, _ = await visible_assignment(work, actor, id)
        return assignment if version is None else await work.assignments.at_version(id, version)


class GetMadeAssignment(UseCase):
    """Version 1 of the assignment made with a version of its task: the response to a repeated request."""

    async def __call__(self, actor: Actor, task_id: str, *, version: int | None = None) -> TaskAssignment:
        work = self.begin(actor)
        task = await visible_task(work, actor, task_id)
        id_ = assignment_id(task.id, task.version if version is None else version)
        return await work.assignments.at_version(id_, 1)


class ListAssignments(UseCase):
    """The live assignments of live tasks that the actor may see, in the order of the tasks."""

    async def __call__(self, actor: Actor, filters: TaskFilter, page: PageRequest) -> Page[TaskAssignment]:
        work = self.begin(actor)
        filters = replace(filters, is_assigned=True, visible_to=await visible_to(work, actor))
        tasks = await work.tasks.matching(filters, page)
        found = await work.assignments.of_tasks([task.id for task in tasks.items])
        return tasks.showing(lambda task: found.get(task.id))


class ChooseExecutor(TaskUseCase):
    """Names the member of the assigned team who does the task; with None nobody does."""

    @retry_conflicts(unless="task_assignments")
    async def __call__(
        self, actor: Actor, id: str, executor_id: str | None, *, expected_version: int | None
    ) -> TaskAssignment:
        writer = self.writer(actor)
        work = writer.work
        assignment, task = await visible_assignment(work, actor, id)
        assignment.require_version(expected_version)
        changed = assignment.executed_by(writer.stamp, executor_id)
        await require_can_choose_executor(work, actor, task, executor_id)
        if executor_id is not None and changed is not assignment:
            await require_member(work, assignment.assignee_id, executor_id)
        work.assignments.save(changed)
        await writer.save(TaskChange(task, task.assigned(writer.stamp, changed)))
        await work.commit()
        return changed


class EndAssignment(TaskUseCase):
    """As UnassignTask, for an assignment."""

    @retry_conflicts(unless="task_assignments")
    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> TaskAssignment:
        writer = self.writer(actor)
        work = writer.work
        assignment, task = await visible_assignment(work, actor, id)
        assignment.require_version(expected_version)
        await require_can_unassign(work, actor, task)
        ended = assignment.end(writer.stamp)
        work.assignments.save(ended)
        await unassign_task(writer, task)
        await work.commit()
        return ended
