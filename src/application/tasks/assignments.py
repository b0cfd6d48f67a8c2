"""Assignments: who is to do a task, the member of a team who takes it over, and how it ends.

A task repeats its live assignment, so both always change in one change set. Its version decides who comes first.
"""

from dataclasses import dataclass, replace

from application.access import audience_of
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.display_numbers import DisplayNumbers
from application.ports.repositories import TaskFilter
from application.ports.unit_of_work import Begin
from application.retrying import retry_conflicts
from application.tasks.access import require_executor_choosable, require_freeable, visible_task
from application.tasks.assigning import free_task, give_task, require_member, visible_assignment
from application.tasks.changes import TaskChange, TaskWriter
from application.tasks.details import TaskDetails, details_of
from domain.assignment import Assignee, TaskAssignment, assignment_id
from domain.entity import Stamp
from domain.errors import Fault, NotFound, RuleBroken
from domain.permissions import sees_everything


@dataclass(frozen=True, slots=True)
class AssignTask:
    """Gives a task to a user or a team; what it was before ends. Where that is so already, nothing changes."""

    begin: Begin
    clock: Clock
    numbers: DisplayNumbers

    @retry_conflicts(unless="tasks")
    async def __call__(
        self, actor: Actor, task_id: str, assignee: Assignee, *, expected_version: int | None
    ) -> TaskDetails:
        work = self.begin(actor)
        task = await visible_task(work, actor, task_id)
        task.require_version(expected_version)
        writer = TaskWriter(work, actor, Stamp(self.clock.now(), actor.id), self.numbers)
        assigned, _ = await give_task(writer, task, assignee)
        await work.commit()
        return await details_of(work, actor, assigned, now=writer.stamp.at)


@dataclass(frozen=True, slots=True)
class UnassignTask:
    """Ends the assignment of a task. Raises NotFound where it has none."""

    begin: Begin
    clock: Clock
    numbers: DisplayNumbers

    @retry_conflicts(unless="tasks")
    async def __call__(self, actor: Actor, task_id: str, *, expected_version: int | None) -> TaskDetails:
        work = self.begin(actor)
        task = await visible_task(work, actor, task_id)
        task.require_version(expected_version)
        assignment = None if task.assignee is None else await work.assignments.of_task(task_id)
        if assignment is None:
            raise NotFound("This task is assigned to nobody.")
        await require_freeable(work, actor, task)
        writer = TaskWriter(work, actor, Stamp(self.clock.now(), actor.id), self.numbers)
        freed = await free_task(writer, task)
        work.assignments.save(assignment.end(writer.stamp))
        await work.commit()
        return await details_of(work, actor, freed, now=writer.stamp.at)


@dataclass(frozen=True, slots=True)
class CreateAssignment:
    """What AssignTask does, answered with the assignment. Raises RuleBroken for a task that is not there for him."""

    begin: Begin
    clock: Clock
    numbers: DisplayNumbers

    @retry_conflicts(unless="tasks")
    async def __call__(self, actor: Actor, task_id: str, assignee: Assignee) -> TaskAssignment:
        work = self.begin(actor)
        try:
            task = await visible_task(work, actor, task_id)
        except NotFound as error:
            fault = Fault("/taskId", "is no task")
            raise RuleBroken("The task does not exist.", faults=[fault]) from error
        writer = TaskWriter(work, actor, Stamp(self.clock.now(), actor.id), self.numbers)
        _, assignment = await give_task(writer, task, assignee)
        await work.commit()
        return assignment


@dataclass(frozen=True, slots=True)
class GetAssignment:
    """One assignment, also one that is over, for whoever may see its task."""

    begin: Begin

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> TaskAssignment:
        work = self.begin(actor)
        assignment, _ = await visible_assignment(work, actor, id)
        return assignment if version is None else await work.assignments.at_version(id, version)


@dataclass(frozen=True, slots=True)
class GetMadeAssignment:
    """The assignment that came with a version of its task, as it was then: what a repeated request is answered with."""

    begin: Begin

    async def __call__(self, actor: Actor, task_id: str, *, version: int | None = None) -> TaskAssignment:
        work = self.begin(actor)
        task = await visible_task(work, actor, task_id)
        id_ = assignment_id(task.id, task.version if version is None else version)
        return await work.assignments.at_version(id_, 1)


@dataclass(frozen=True, slots=True)
class ListAssignments:
    """The live assignments of live tasks that the actor may see, in the order of their tasks."""

    begin: Begin

    async def __call__(self, actor: Actor, filters: TaskFilter, page: PageRequest) -> Page[TaskAssignment]:
        work = self.begin(actor)
        filters = replace(filters, is_assigned=True)
        if not sees_everything(actor.grants):
            filters = replace(filters, visible_to=await audience_of(work, actor))
        tasks = await work.tasks.matching(filters, page)
        found = await work.assignments.of_tasks([task.id for task in tasks.items])
        return tasks.showing(lambda task: found.get(task.id))


@dataclass(frozen=True, slots=True)
class ChooseExecutor:
    """Which member of its team does a task; None hands it back to the team."""

    begin: Begin
    clock: Clock
    numbers: DisplayNumbers

    @retry_conflicts(unless="task_assignments")
    async def __call__(
        self, actor: Actor, id: str, executor_id: str | None, *, expected_version: int | None
    ) -> TaskAssignment:
        work = self.begin(actor)
        assignment, task = await visible_assignment(work, actor, id)
        assignment.require_version(expected_version)
        writer = TaskWriter(work, actor, Stamp(self.clock.now(), actor.id), self.numbers)
        changed = assignment.executed_by(writer.stamp, executor_id)
        await require_executor_choosable(work, actor, task, executor_id)
        if executor_id is not None and changed is not assignment:
            await require_member(work, assignment.assignee_id, executor_id)
        work.assignments.save(changed)
        await writer.save(TaskChange(task, task.assigned(writer.stamp, changed)))
        await work.commit()
        return changed


@dataclass(frozen=True, slots=True)
class EndAssignment:
    """What UnassignTask does, by the assignment."""

    begin: Begin
    clock: Clock
    numbers: DisplayNumbers

    @retry_conflicts(unless="task_assignments")
    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> TaskAssignment:
        work = self.begin(actor)
        assignment, task = await visible_assignment(work, actor, id)
        assignment.require_version(expected_version)
        await require_freeable(work, actor, task)
        writer = TaskWriter(work, actor, Stamp(self.clock.now(), actor.id), self.numbers)
        ended = assignment.end(writer.stamp)
        work.assignments.save(ended)
        await free_task(writer, task)
        await work.commit()
        return ended
