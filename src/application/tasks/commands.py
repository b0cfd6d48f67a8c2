"""Tasks: create, change, put off, trash, restore, roll back."""

from dataclasses import dataclass
from datetime import datetime

from application.actor import Actor
from application.ports.clock import Clock
from application.ports.display_numbers import DisplayNumbers
from application.ports.identifiers import Identifiers
from application.ports.unit_of_work import Begin, UnitOfWork
from application.retrying import retry_conflicts
from application.tasks.access import changeable_task, deletable_task
from application.tasks.changes import TaskChange, TaskWriter, retry_taken_numbers
from application.tasks.details import TaskDetails, details_of
from domain.audit import Action
from domain.entity import Stamp
from domain.errors import Conflict
from domain.task import Task, TaskChanges


@dataclass(frozen=True, slots=True)
class CreateTask:
    """A new task, in a project the actor sees or in none, under the next number."""

    begin: Begin
    clock: Clock
    identifiers: Identifiers
    numbers: DisplayNumbers

    @retry_taken_numbers
    @retry_conflicts()
    async def __call__(self, actor: Actor, changes: TaskChanges) -> TaskDetails:
        work = self.begin(actor)
        writer = TaskWriter(work, actor, Stamp(self.clock.now(), actor.id), self.numbers)
        task = await writer.save(await writer.create(self.identifiers.fresh(), changes))
        await work.commit()
        # Nobody can watch what was not there.
        return TaskDetails(task=task, in_watchlist=False, is_deferred=False)


@dataclass(frozen=True, slots=True)
class EditTask:
    """Changes fields of a task. `expected_version` None means whichever is current."""

    begin: Begin
    clock: Clock
    numbers: DisplayNumbers

    @retry_conflicts(unless="tasks")
    async def __call__(
        self, actor: Actor, id: str, changes: TaskChanges, *, expected_version: int | None
    ) -> TaskDetails:
        work = self.begin(actor)
        writer = TaskWriter(work, actor, Stamp(self.clock.now(), actor.id), self.numbers)
        change = await writer.edit(id, changes, expected_version=expected_version)
        return await _committed(writer, change)


@dataclass(frozen=True, slots=True)
class DeferTask:
    """Puts a task off until an instant ahead; with None it is no longer put off."""

    begin: Begin
    clock: Clock
    numbers: DisplayNumbers

    async def __call__(
        self, actor: Actor, id: str, until: datetime | None, *, expected_version: int | None
    ) -> TaskDetails:
        work = self.begin(actor)
        task = await changeable_task(work, actor, id)
        task.require_version(expected_version)
        writer = TaskWriter(work, actor, Stamp(self.clock.now(), actor.id), self.numbers)
        return await _committed(writer, TaskChange(task, task.defer(writer.stamp, until)))


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """Into the trash."""

    begin: Begin
    clock: Clock
    numbers: DisplayNumbers

    @retry_conflicts(unless="tasks")
    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> TaskDetails:
        work = self.begin(actor)
        writer = TaskWriter(work, actor, Stamp(self.clock.now(), actor.id), self.numbers)
        return await _committed(writer, await writer.delete(id, expected_version=expected_version))


@dataclass(frozen=True, slots=True)
class RestoreTask:
    """Out of the trash. Raises Conflict while its project is there still."""

    begin: Begin
    clock: Clock
    numbers: DisplayNumbers

    @retry_conflicts(unless="tasks")
    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> TaskDetails:
        work = self.begin(actor)
        task = await deletable_task(work, actor, id)
        task.require_version(expected_version)
        await _require_live_project(work, task)
        writer = TaskWriter(work, actor, Stamp(self.clock.now(), actor.id), self.numbers)
        return await _committed(writer, TaskChange(task, task.restore(writer.stamp)))


@dataclass(frozen=True, slots=True)
class RollBackTask:
    """The content of an earlier version as a new version."""

    begin: Begin
    clock: Clock
    numbers: DisplayNumbers

    @retry_conflicts(unless="tasks")
    async def __call__(
        self, actor: Actor, id: str, *, version: int, expected_version: int | None
    ) -> TaskDetails:
        work = self.begin(actor)
        task = await deletable_task(work, actor, id)
        task.require_version(expected_version)
        earlier = await work.tasks.at_version(id, version)
        writer = TaskWriter(work, actor, Stamp(self.clock.now(), actor.id), self.numbers)
        rolled_back = task.roll_back_to(earlier, writer.stamp)
        references = TaskChanges(
            project_id=rolled_back.project_id,
            parent_id=rolled_back.parent_id,
            label_ids=rolled_back.label_ids,
        )
        change = await writer.moved(task, rolled_back, references)
        return await _committed(writer, change, action=Action.ROLLED_BACK)


async def _require_live_project(work: UnitOfWork, task: Task) -> None:
    """Raises Conflict where the task's project is in the trash or gone; the commit relies on that it is not."""
    if task.project_id is None:
        return
    project = (await work.projects.get_many([task.project_id])).get(task.project_id)
    if project is None:
        if await work.projects.purged([task.project_id]):
            raise Conflict("Its project was removed for good, and what was in it goes, too.")
        return
    if project.is_deleted:
        raise Conflict("Its project is in the trash; restore that first.")
    work.projects.rely_on(project)


async def _committed(writer: TaskWriter, change: TaskChange, *, action: Action | None = None) -> TaskDetails:
    """Saves and commits the change; the task as its actor sees it then."""
    task = await writer.save(change, action=action)
    await writer.work.commit()
    return await details_of(writer.work, writer.actor, task, now=writer.stamp.at)
