"""Tasks: create, edit, defer, delete, restore and roll back."""

from dataclasses import dataclass
from datetime import datetime

from application.actor import Actor
from application.ports.display_numbers import DisplayNumbers
from application.ports.identifiers import Identifiers
from application.ports.unit_of_work import UnitOfWork
from application.retrying import retry_conflicts
from application.tasks.access import changeable_task, deletable_task
from application.tasks.changes import TaskChange, TaskUseCase, TaskWriter, retry_taken_numbers
from application.tasks.details import TaskDetails, details_of
from application.use_case import TimedUseCase
from domain.audit import Action
from domain.errors import Conflict
from domain.task import Task, TaskChanges


@dataclass(frozen=True, slots=True)
class CreateTask(TimedUseCase):
    """Creates a task with the next number, in a project that the actor may see or in none."""

    identifiers: Identifiers
    numbers: DisplayNumbers

    @retry_taken_numbers
    @retry_conflicts()
    async def __call__(self, actor: Actor, changes: TaskChanges) -> TaskDetails:
        work = self.begin(actor)
        writer = TaskWriter(work, actor, self.stamp(actor), self.numbers)
        task = await writer.save(await writer.create(self.identifiers.fresh(), changes))
        await work.commit()
        # Nobody can watch a task before it exists.
        return TaskDetails(task=task, in_watchlist=False, is_deferred=False)


class EditTask(TaskUseCase):
    """Changes fields of a task. `expected_version` None accepts any version."""

    @retry_conflicts(unless="tasks")
    async def __call__(
        self, actor: Actor, id: str, changes: TaskChanges, *, expected_version: int | None
    ) -> TaskDetails:
        writer = self.writer(actor)
        return await _commit(writer, await writer.edit(id, changes, expected_version=expected_version))


class DeferTask(TaskUseCase):
    """Defers a task until a future time; with None it is no longer deferred."""

    async def __call__(
        self, actor: Actor, id: str, until: datetime | None, *, expected_version: int | None
    ) -> TaskDetails:
        writer = self.writer(actor)
        task = await changeable_task(writer.work, actor, id)
        task.require_version(expected_version)
        return await _commit(writer, TaskChange(task, task.defer(writer.stamp, until)))


class DeleteTask(TaskUseCase):
    """Moves a task to the trash."""

    @retry_conflicts(unless="tasks")
    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> TaskDetails:
        writer = self.writer(actor)
        return await _commit(writer, await writer.delete(id, expected_version=expected_version))


class RestoreTask(TaskUseCase):
    """Restores a task from the trash. Raises Conflict if its project is in the trash or gone."""

    @retry_conflicts(unless="tasks")
    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> TaskDetails:
        writer = self.writer(actor)
        task = await deletable_task(writer.work, actor, id)
        task.require_version(expected_version)
        await _require_live_project(writer.work, task)
        return await _commit(writer, TaskChange(task, task.restore(writer.stamp)))


class RollBackTask(TaskUseCase):
    """Stores the content of an earlier version as a new version."""

    @retry_conflicts(unless="tasks")
    async def __call__(
        self, actor: Actor, id: str, *, version: int, expected_version: int | None
    ) -> TaskDetails:
        writer = self.writer(actor)
        task = await deletable_task(writer.work, actor, id)
        task.require_version(expected_version)
        earlier = await writer.work.tasks.at_version(id, version)
        rolled_back = task.roll_back_to(earlier, writer.stamp)
        references = TaskChanges(
            project_id=rolled_back.project_id,
            parent_id=rolled_back.parent_id,
            label_ids=rolled_back.label_ids,
            links=rolled_back.links,
        )
        change = await writer.moved(task, rolled_back, references)
        return await _commit(writer, change, action=Action.ROLLED_BACK)


async def _require_live_project(work: UnitOfWork, task: Task) -> None:
    """Raises Conflict if the task's project is in the trash or gone, now or at the commit."""
    if task.project_id is None:
        return
    project = await work.projects.find(task.project_id)
    if project is None:
        if await work.projects.purged([task.project_id]):
            raise Conflict("The task's project was permanently removed, so the task cannot be restored.")
        return
    if project.is_deleted:
        raise Conflict("The task's project is in the trash; restore the project first.")
    work.projects.require_unchanged(project)


async def _commit(writer: TaskWriter, change: TaskChange, *, action: Action | None = None) -> TaskDetails:
    """Saves and commits the change; answers the task's details for the actor."""
    task = await writer.save(change, action=action)
    await writer.work.commit()
    return await details_of(writer.work, writer.actor, task, now=writer.stamp.at)
