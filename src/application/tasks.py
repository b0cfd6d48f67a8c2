"""Tasks: create, read, change, trash, restore, roll back."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from application.actor import Actor
from application.authorization import require, require_visible
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.repositories import TaskFilter
from application.ports.unit_of_work import Begin, UnitOfWork
from application.repetition import is_of_project, repeated
from domain.audit import Action
from domain.entity import Stamp
from domain.errors import Conflict, Fault, RuleBroken
from domain.permissions import is_admin, may_change_project, may_change_task, may_see_project, may_see_task
from domain.project import Project
from domain.task import Task, TaskChanges

PARENT_DEPTH_MAX = 100


async def visible_task(work: UnitOfWork, actor: Actor, id: str) -> Task:
    """The task, where the actor may know of it. Raises NotFound."""
    task = await work.tasks.get(id)
    if task.created_by == actor.id:
        return task
    project = await _project_of(work, task.project_id)
    require_visible(may_see_task(actor.id, actor.grants, task, project))
    return task


async def changeable_task(work: UnitOfWork, actor: Actor, id: str) -> Task:
    """The task, where the actor may change it. Raises NotFound for what he must not know of, Forbidden otherwise."""
    task = await visible_task(work, actor, id)
    project = await _project_of(work, task.project_id)
    require(
        may_change_task(actor.id, actor.grants, task, project),
        "Only the project's owner may change its tasks.",
    )
    return task


async def _project_of(work: UnitOfWork, project_id: str | None) -> Project | None:
    if project_id is None:
        return None
    return (await work.projects.get_many([project_id])).get(project_id)


async def _require_references(work: UnitOfWork, actor: Actor, task_id: str, changes: TaskChanges) -> None:
    """Raises RuleBroken naming every label, project and parent that does not exist for this actor.

    The commit relies on the project alone: a live task in a trashed project would never come back or go with it.
    Labels and parents may go to the trash in the meantime, as they may a moment later: the reference stays, and is
    whole again once they are restored.
    """
    faults: list[Fault] = []
    project_id = changes.get("project_id")
    if project_id is not None:
        project = await _project_of(work, project_id)
        if project is None or project.is_deleted or not may_change_project(actor.id, actor.grants, project):
            faults.append(Fault("/projectId", "is no project of yours"))
        else:
            work.projects.rely_on(project)
    label_ids = changes.get("label_ids", ())
    labels = await work.labels.get_many(label_ids) if label_ids else {}
    for index, label_id in enumerate(label_ids):
        if label_id not in labels or labels[label_id].is_deleted:
            faults.append(Fault(f"/labelIds/{index}", "is no label"))
    parent_id = changes.get("parent_id")
    if parent_id is not None:
        faults += await _parent_faults(work, actor, task_id, parent_id)
    if faults:
        raise RuleBroken("The task refers to something that is not there.", faults=faults)


async def _parent_faults(work: UnitOfWork, actor: Actor, task_id: str, parent_id: str) -> Iterable[Fault]:
    ancestor = (await work.tasks.get_many([parent_id])).get(parent_id)
    if ancestor is None or ancestor.is_deleted:
        return [Fault("/parentId", "is no task")]
    project = await _project_of(work, ancestor.project_id)
    if not may_see_task(actor.id, actor.grants, ancestor, project):
        return [Fault("/parentId", "is no task")]
    for _ in range(PARENT_DEPTH_MAX):
        if ancestor.id == task_id:
            return [Fault("/parentId", "would make the task its own ancestor")]
        if ancestor.parent_id is None:
            return []
        above = (await work.tasks.get_many([ancestor.parent_id])).get(ancestor.parent_id)
        if above is None:
            return []
        ancestor = above
    return [Fault("/parentId", f"is nested deeper than {PARENT_DEPTH_MAX} tasks")]


@dataclass(frozen=True, slots=True)
class CreateTask:
    """A new task, in a project the actor may change or in none."""

    begin: Begin
    clock: Clock
    identifiers: Identifiers

    async def __call__(self, actor: Actor, changes: TaskChanges) -> Task:
        return await repeated(
            lambda: self._attempt(actor, changes),
            where=is_of_project,
        )

    async def _attempt(self, actor: Actor, changes: TaskChanges) -> Task:
        work = self.begin(actor)
        task = Task.create(self.identifiers.fresh(), Stamp(self.clock.now(), actor.id), changes)
        await _require_references(work, actor, task.id, changes)
        work.tasks.save(task)
        await work.commit()
        return task


@dataclass(frozen=True, slots=True)
class GetTask:
    """One task, also from the trash, also as it was."""

    begin: Begin

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> Task:
        work = self.begin(actor)
        task = await visible_task(work, actor, id)
        return task if version is None else await work.tasks.at_version(id, version)


@dataclass(frozen=True, slots=True)
class ListTasks:
    """The tasks of one project the actor may see, or those he made; administrators see all."""

    begin: Begin

    async def __call__(self, actor: Actor, wanted: TaskFilter, page: PageRequest) -> Page[Task]:
        work = self.begin(actor)
        if not is_admin(actor.grants):
            project = await _project_of(work, wanted.project_id)
            owns_project = project is not None and may_see_project(actor.id, actor.grants, project)
            if not owns_project and wanted.created_by not in (None, actor.id):
                return Page(items=(), next=None, total=0 if page.with_total else None)
            if not owns_project:
                wanted = replace(wanted, created_by=actor.id)
        return await work.tasks.matching(wanted, page)


@dataclass(frozen=True, slots=True)
class EditTask:
    """Changes fields of a task. `expected_version` None means whichever is current."""

    begin: Begin
    clock: Clock

    async def __call__(
        self, actor: Actor, id: str, changes: TaskChanges, *, expected_version: int | None
    ) -> Task:
        return await repeated(
            lambda: self._attempt(actor, id, changes, expected_version=expected_version),
            where=is_of_project,
        )

    async def _attempt(
        self, actor: Actor, id: str, changes: TaskChanges, *, expected_version: int | None
    ) -> Task:
        work = self.begin(actor)
        task = await changeable_task(work, actor, id)
        task.require_version(expected_version)
        edited = task.edit(Stamp(self.clock.now(), actor.id), changes)
        await _require_references(work, actor, id, changes)
        work.tasks.save(edited)
        await work.commit()
        return edited


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """Into the trash."""

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> Task:
        work = self.begin(actor)
        task = await changeable_task(work, actor, id)
        task.require_version(expected_version)
        deleted = task.discard(Stamp(self.clock.now(), actor.id))
        work.tasks.save(deleted)
        await work.commit()
        return deleted


@dataclass(frozen=True, slots=True)
class RestoreTask:
    """Out of the trash. Raises Conflict while its project is there still."""

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> Task:
        return await repeated(
            lambda: self._attempt(actor, id, expected_version=expected_version),
            where=is_of_project,
        )

    async def _attempt(self, actor: Actor, id: str, *, expected_version: int | None) -> Task:
        work = self.begin(actor)
        task = await changeable_task(work, actor, id)
        task.require_version(expected_version)
        project = await _project_of(work, task.project_id)
        if project is not None and project.is_deleted:
            raise Conflict("Its project is in the trash; restore that first.")
        if project is not None:
            work.projects.rely_on(project)
        restored = task.restore(Stamp(self.clock.now(), actor.id))
        work.tasks.save(restored)
        await work.commit()
        return restored


@dataclass(frozen=True, slots=True)
class RollBackTask:
    """The content of an earlier version as a new version."""

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor, id: str, *, version: int, expected_version: int | None) -> Task:
        return await repeated(
            lambda: self._attempt(actor, id, version=version, expected_version=expected_version),
            where=is_of_project,
        )

    async def _attempt(self, actor: Actor, id: str, *, version: int, expected_version: int | None) -> Task:
        work = self.begin(actor)
        task = await changeable_task(work, actor, id)
        task.require_version(expected_version)
        earlier = await work.tasks.at_version(id, version)
        rolled_back = task.roll_back_to(earlier, Stamp(self.clock.now(), actor.id))
        await _require_references(
            work,
            actor,
            id,
            {
                "project_id": rolled_back.project_id,
                "parent_id": rolled_back.parent_id,
                "label_ids": rolled_back.label_ids,
            },
        )
        work.tasks.save(rolled_back, action=Action.ROLLED_BACK)
        await work.commit()
        return rolled_back
