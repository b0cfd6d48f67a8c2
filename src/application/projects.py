"""Projects: create, read, change, trash, restore, roll back."""

from dataclasses import dataclass, replace

from application.actor import Actor
from application.authorization import require, require_visible
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.repositories import ProjectFilter
from application.ports.unit_of_work import Begin, UnitOfWork
from application.repetition import repeated
from domain.audit import Action
from domain.entity import Stamp
from domain.errors import Fault, MirrorPending, RuleBroken
from domain.permissions import is_admin, may_change_project, may_see_project
from domain.project import Project, ProjectChanges


async def visible_project(work: UnitOfWork, actor: Actor, id: str) -> Project:
    """The project, where the actor may know of it. Raises NotFound."""
    project = await work.projects.get(id)
    require_visible(may_see_project(actor.id, actor.grants, project))
    return project


async def _require_owner(work: UnitOfWork, changes: ProjectChanges, *, unless: str | None = None) -> None:
    """Raises RuleBroken where the new owner is no live user; `unless` names one who needs no look."""
    owner_id = changes.get("owner_id")
    if owner_id is None or owner_id == unless:
        return
    owner = (await work.users.get_many([owner_id])).get(owner_id)
    if owner is None or owner.is_deleted:
        raise RuleBroken("The owner does not exist.", faults=[Fault("/ownerId", "is no user")])


@dataclass(frozen=True, slots=True)
class CreateProject:
    """A new project, owned by the actor."""

    begin: Begin
    clock: Clock
    identifiers: Identifiers

    async def __call__(self, actor: Actor, changes: ProjectChanges) -> Project:
        work = self.begin(actor)
        is_for_himself = changes.get("owner_id", actor.id) == actor.id
        require(is_for_himself or is_admin(actor.grants), "You may create projects for yourself only.")
        await _require_owner(work, changes, unless=actor.id)
        stamp = Stamp(self.clock.now(), actor.id)
        project = Project.create(self.identifiers.fresh(), stamp, owner_id=actor.id, changes=changes)
        work.projects.save(project)
        await work.commit()
        return project


@dataclass(frozen=True, slots=True)
class GetProject:
    """One project, also from the trash, also as it was."""

    begin: Begin

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> Project:
        work = self.begin(actor)
        project = await visible_project(work, actor, id)
        return project if version is None else await work.projects.at_version(id, version)


@dataclass(frozen=True, slots=True)
class ListProjects:
    """The projects an actor may see."""

    begin: Begin

    async def __call__(self, actor: Actor, wanted: ProjectFilter, page: PageRequest) -> Page[Project]:
        seen = wanted if is_admin(actor.grants) else replace(wanted, visible_to=actor.id)
        return await self.begin(actor).projects.matching(seen, page)


@dataclass(frozen=True, slots=True)
class EditProject:
    """Changes fields of a project. `expected_version` None means whichever is current."""

    begin: Begin
    clock: Clock

    async def __call__(
        self, actor: Actor, id: str, changes: ProjectChanges, *, expected_version: int | None
    ) -> Project:
        work = self.begin(actor)
        project = await visible_project(work, actor, id)
        require(may_change_project(actor.id, actor.grants, project))
        project.require_version(expected_version)
        await _require_owner(work, changes)
        edited = project.edit(Stamp(self.clock.now(), actor.id), changes)
        work.projects.save(edited)
        await work.commit()
        return edited


async def _delete_content(work: UnitOfWork, project_id: str, stamp: Stamp) -> None:
    for task in await work.tasks.live_in_project(project_id):
        work.tasks.save(task.delete(stamp))
    timeline = await work.timelines.of_project(project_id)
    if timeline is not None and not timeline.is_deleted:
        work.timelines.save(timeline.delete(stamp))


@dataclass(frozen=True, slots=True)
class DeleteProject:
    """Into the trash, with its live tasks and its timeline, in one change set.

    What joins the project in that very moment follows in a second one, under the same stamp, and comes back with it.
    """

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> Project:
        stamp = Stamp(self.clock.now(), actor.id)
        try:
            deleted = await repeated(
                lambda: self._delete(actor, id, stamp, expected_version=expected_version),
                where=lambda conflict: not conflict.concerns("projects", id),
            )
        except MirrorPending:
            await self._follow_up(actor, id, stamp)
            raise
        await self._follow_up(actor, id, stamp)
        return deleted

    async def _follow_up(self, actor: Actor, id: str, stamp: Stamp) -> None:
        """Takes along what joined the project between reading and commit; from the commit on nothing joins any more."""
        await repeated(lambda: self._delete_latecomers(actor, id, stamp), where=lambda _: True)

    async def _delete_latecomers(self, actor: Actor, id: str, stamp: Stamp) -> None:
        # The claim answers for the first change set, which is the one the request is about.
        work = self.begin(replace(actor, claim=None))
        await _delete_content(work, id, stamp)
        await work.commit()

    async def _delete(self, actor: Actor, id: str, stamp: Stamp, *, expected_version: int | None) -> Project:
        work = self.begin(actor)
        project = await visible_project(work, actor, id)
        require(may_change_project(actor.id, actor.grants, project))
        project.require_version(expected_version)
        deleted = project.delete(stamp)
        work.projects.save(deleted)
        await _delete_content(work, id, stamp)
        await work.commit()
        return deleted


@dataclass(frozen=True, slots=True)
class RestoreProject:
    """Out of the trash, with exactly what went there with it."""

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> Project:
        return await repeated(
            lambda: self._attempt(actor, id, expected_version=expected_version),
            where=lambda conflict: not conflict.concerns("projects", id),
        )

    async def _attempt(self, actor: Actor, id: str, *, expected_version: int | None) -> Project:
        work = self.begin(actor)
        project = await visible_project(work, actor, id)
        require(may_change_project(actor.id, actor.grants, project))
        project.require_version(expected_version)
        stamp = Stamp(self.clock.now(), actor.id)
        restored = project.restore(stamp)
        work.projects.save(restored)
        if project.deleted_at is not None:
            for task in await work.tasks.trashed_with_project(id, project.deleted_at):
                work.tasks.save(task.restore(stamp))
        timeline = await work.timelines.of_project(id)
        if timeline is not None and timeline.deleted_at == project.deleted_at:
            work.timelines.save(timeline.restore(stamp))
        await work.commit()
        return restored


@dataclass(frozen=True, slots=True)
class RollBackProject:
    """The content of an earlier version as a new version."""

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor, id: str, *, version: int, expected_version: int | None) -> Project:
        work = self.begin(actor)
        project = await visible_project(work, actor, id)
        require(may_change_project(actor.id, actor.grants, project))
        project.require_version(expected_version)
        earlier = await work.projects.at_version(id, version)
        rolled_back = project.roll_back_to(earlier, Stamp(self.clock.now(), actor.id))
        work.projects.save(rolled_back, action=Action.ROLLED_BACK)
        await work.commit()
        return rolled_back
