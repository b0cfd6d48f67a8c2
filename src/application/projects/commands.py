"""Projects: create, read, change, trash, restore, roll back."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace

from application.access import audience_of, is_allowed, require, without_teams
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.repositories import ProjectFilter
from application.ports.unit_of_work import Begin, UnitOfWork
from application.projects.access import changeable_project, visible_project
from application.retrying import retry_conflicts, with_concurrent_additions
from application.rollback import RollBack, missing_faults
from application.trash import Delete, Finish, Kind, Restore
from domain.entity import Stamp
from domain.errors import Fault, RuleBroken
from domain.permissions import (
    is_admin,
    may_give_project,
    may_put_in_team,
    sees_everything,
)
from domain.project import Project, ProjectChanges
from domain.task import ownership_in
from domain.team import membership_id


async def _require_hands(
    work: UnitOfWork, actor: Actor, changes: ProjectChanges, *, project: Project | None = None
) -> None:
    """Raises RuleBroken where the new owner is no live user or the new team none of the actor's, Forbidden where the
    project is not his to give away.
    """
    owner_id, team_id = changes.get("owner_id"), changes.get("team_id")
    faults: list[Fault] = []
    if project is not None and _are_other_hands(project, changes):
        require(may_give_project(without_teams(actor), project), "Only its owner gives a project away.")
    if owner_id is not None and owner_id != actor.id:
        owner = (await work.users.get_many([owner_id])).get(owner_id)
        if owner is None or owner.is_deleted:
            faults += await missing_faults(work.users, {"/ownerId": owner_id}, "is no user")
    if team_id is not None and (project is None or team_id != project.team_id):
        faults += await _team_faults(work, actor, team_id)
    if faults:
        raise RuleBroken("The project would be in hands that are not there.", faults=faults)


def _are_other_hands(project: Project, changes: ProjectChanges) -> bool:
    is_other_owner = changes.get("owner_id", project.owner_id) != project.owner_id
    return is_other_owner or changes.get("team_id", project.team_id) != project.team_id


async def _team_faults(work: UnitOfWork, actor: Actor, team_id: str) -> list[Fault]:
    """What is wrong with a team that a project is put in; the commit relies on one that is right, and on it that the
    actor belongs to it.
    """
    await work.load(teams=[team_id], memberships=[membership_id(team_id, actor.id)])
    team = (await work.teams.get_many([team_id])).get(team_id)
    is_his = await is_allowed(
        work, actor, lambda principal: may_put_in_team(principal, team_id), teams=[team_id]
    )
    if team is not None and not team.is_deleted and is_his:
        work.teams.rely_on(team)
        return []
    return await missing_faults(work.teams, {"/teamId": team_id}, "is no team of yours")


@dataclass(frozen=True, slots=True)
class CreateProject:
    """A new project, owned by the actor unless an administrator names another owner."""

    begin: Begin
    clock: Clock
    identifiers: Identifiers

    @retry_conflicts()
    async def __call__(self, actor: Actor, changes: ProjectChanges) -> Project:
        work = self.begin(actor)
        is_for_himself = changes.get("owner_id", actor.id) == actor.id
        require(is_for_himself or is_admin(actor.grants), "You may create projects for yourself only.")
        await _require_hands(work, actor, changes)
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

    async def __call__(self, actor: Actor, filters: ProjectFilter, page: PageRequest) -> Page[Project]:
        work = self.begin(actor)
        if not sees_everything(actor.grants):
            filters = replace(filters, visible_to=await audience_of(work, actor))
        return await work.projects.matching(filters, page)


async def _move_tasks(work: UnitOfWork, before: Project | None, project: Project, stamp: Stamp) -> bool:
    """Its tasks, those in the trash included, go with a project into other hands."""
    if before is not None and ownership_in(before) == ownership_in(project):
        return False
    for task in await work.tasks.of_project(project.id):
        work.tasks.save(task.change_ownership(stamp, ownership_in(project)))
    return True


async def _require_earlier_hands(
    work: UnitOfWork, actor: Actor, project: Project, rolled_back: Project
) -> None:
    hands: ProjectChanges = {}
    if rolled_back.owner_id != project.owner_id:
        hands["owner_id"] = rolled_back.owner_id
    if rolled_back.team_id != project.team_id:
        hands["team_id"] = rolled_back.team_id
    await _require_hands(work, actor, hands, project=project)


async def _delete_content(work: UnitOfWork, project_id: str, stamp: Stamp) -> None:
    for task in await work.tasks.live_in_project(project_id):
        work.tasks.save(task.delete(stamp))
    timeline = await work.timelines.of_project(project_id)
    if timeline is not None and not timeline.is_deleted:
        work.timelines.save(timeline.delete(stamp))


async def _restore_content(work: UnitOfWork, deleted: Project, stamp: Stamp) -> None:
    """Exactly what went there with it: that went under the same stamp."""
    if deleted.trash_stamp is None:
        return
    for task in await work.tasks.trashed_by(deleted.id, deleted.trash_stamp):
        work.tasks.save(task.restore(stamp))
    timeline = await work.timelines.of_project(deleted.id)
    if timeline is not None and timeline.trash_stamp == deleted.trash_stamp:
        work.timelines.save(timeline.restore(stamp))


PROJECTS = Kind(
    collection="projects",
    of=lambda work: work.projects,
    reach=changeable_project,
    delete_content=_delete_content,
    restore_content=_restore_content,
    trashed_content=lambda work, id, stamp: work.tasks.trashed_by(id, stamp),
    check=_require_earlier_hands,
    move_content=_move_tasks,
)


@dataclass(frozen=True, slots=True)
class EditProject:
    """Changes fields of a project. `expected_version` None means whichever is current.

    Into other hands it takes its tasks along; what joins it in that very moment follows in a second change set.
    """

    begin: Begin
    clock: Clock

    async def __call__(
        self, actor: Actor, id: str, changes: ProjectChanges, *, expected_version: int | None
    ) -> Project:
        stamp = Stamp(self.clock.now(), actor.id)

        def edit() -> Awaitable[Project]:
            return self._edit(actor, id, changes, stamp, expected_version=expected_version)

        if changes.keys().isdisjoint(("owner_id", "team_id")):
            return await edit()
        return await with_concurrent_additions(
            edit, self.begin, actor, lambda work: PROJECTS.move_latecomers(work, id, stamp)
        )

    @retry_conflicts(unless="projects")
    async def _edit(
        self,
        actor: Actor,
        id: str,
        changes: ProjectChanges,
        stamp: Stamp,
        *,
        expected_version: int | None,
    ) -> Project:
        work = self.begin(actor)
        project = await changeable_project(work, actor, id)
        project.require_version(expected_version)
        await _require_hands(work, actor, changes, project=project)
        edited = project.edit(stamp, changes)
        work.projects.save(edited)
        await _move_tasks(work, project, edited, stamp)
        await work.commit()
        return edited


class DeleteProject(Delete[Project]):
    """Into the trash, with its live tasks and its timeline."""

    kind = PROJECTS


class FinishProjects(Finish[Project]):
    """Tasks and timelines that a crash cut off from a project that moved or went to the trash follow it."""

    kind = PROJECTS


class RestoreProject(Restore[Project]):
    """Out of the trash, with exactly the tasks and the timeline that went there with it."""

    kind = PROJECTS


class RollBackProject(RollBack[Project]):
    """The content of an earlier version as a new version; into other hands it takes its tasks along."""

    kind = PROJECTS
