"""Projects: create, read, edit, delete, restore and roll back."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace

from application.access import is_allowed, require, visible_to, without_teams
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.identifiers import Identifiers
from application.ports.repositories import ProjectFilter
from application.ports.unit_of_work import UnitOfWork
from application.projects.access import changeable_project, visible_project
from application.retrying import retry_conflicts, with_concurrent_additions
from application.rollback import RollBack, missing_violations
from application.trash import Delete, Finish, ResourceType, Restore
from application.use_case import TimedUseCase, UseCase
from domain.entity import Stamp
from domain.errors import RuleBroken, Violation
from domain.permissions import (
    is_admin,
    may_give_project,
    may_put_in_team,
)
from domain.project import Project, ProjectChanges
from domain.task import ownership_in
from domain.team import membership_id


async def _require_valid_ownership(
    work: UnitOfWork, actor: Actor, changes: ProjectChanges, *, project: Project | None = None
) -> None:
    """Raises RuleBroken if the new owner is not a live user or the new team is not one of the actor's teams, Forbidden
    if the actor may not change the ownership.
    """
    owner_id, team_id = changes.get("owner_id"), changes.get("team_id")
    violations: list[Violation] = []
    if project is not None and _changes_ownership(project, changes):
        require(
            may_give_project(without_teams(actor), project),
            "Only the project's owner can change its owner or team.",
        )
    if owner_id is not None and owner_id != actor.id:
        owner = await work.users.find(owner_id)
        if owner is None or owner.is_deleted:
            violations += await missing_violations(work.users, {"/ownerId": owner_id}, "is not a user")
    if team_id is not None and (project is None or team_id != project.team_id):
        violations += await _team_violations(work, actor, team_id)
    if violations:
        raise RuleBroken("The new owner or team does not exist.", violations=violations)


def _changes_ownership(project: Project, changes: ProjectChanges) -> bool:
    is_other_owner = changes.get("owner_id", project.owner_id) != project.owner_id
    return is_other_owner or changes.get("team_id", project.team_id) != project.team_id


async def _team_violations(work: UnitOfWork, actor: Actor, team_id: str) -> list[Violation]:
    """The violations of a project's new team: none if it is live and one of the actor's teams, which the commit checks
    again.
    """
    await work.load(teams=[team_id], memberships=[membership_id(team_id, actor.id)])
    team = await work.teams.find(team_id)
    is_permitted = await is_allowed(
        work, actor, lambda principal: may_put_in_team(principal, team_id), teams=[team_id]
    )
    if team is not None and not team.is_deleted and is_permitted:
        work.teams.require_unchanged(team)
        return []
    return await missing_violations(work.teams, {"/teamId": team_id}, "is not one of your teams")


@dataclass(frozen=True, slots=True)
class CreateProject(TimedUseCase):
    """Creates a project. The actor owns it; administrators may name another owner."""

    identifiers: Identifiers

    @retry_conflicts()
    async def __call__(self, actor: Actor, changes: ProjectChanges) -> Project:
        work = self.begin(actor)
        is_own = changes.get("owner_id", actor.id) == actor.id
        require(is_own or is_admin(actor.grants), "Only an administrator can create projects for others.")
        await _require_valid_ownership(work, actor, changes)
        stamp = self.stamp(actor)
        project = Project.create(self.identifiers.fresh(), stamp, owner_id=actor.id, changes=changes)
        work.projects.save(project)
        await work.commit()
        return project


class GetProject(UseCase):
    """One project, live or in the trash, at present or at an earlier version."""

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> Project:
        work = self.begin(actor)
        project = await visible_project(work, actor, id)
        return project if version is None else await work.projects.at_version(id, version)


class ListProjects(UseCase):
    """The projects that the actor may see."""

    async def __call__(self, actor: Actor, filters: ProjectFilter, page: PageRequest) -> Page[Project]:
        work = self.begin(actor)
        filters = replace(filters, visible_to=await visible_to(work, actor))
        return await work.projects.matching(filters, page)


async def _update_ownership(work: UnitOfWork, before: Project | None, project: Project, stamp: Stamp) -> None:
    """Copies a changed ownership to the project's tasks, live or in the trash."""
    if before is not None and ownership_in(before) == ownership_in(project):
        return
    for task in await work.tasks.of_project(project.id):
        work.tasks.save(task.change_ownership(stamp, ownership_in(project)))


async def _require_earlier_ownership(
    work: UnitOfWork, actor: Actor, project: Project, rolled_back: Project
) -> None:
    changes: ProjectChanges = {}
    if rolled_back.owner_id != project.owner_id:
        changes["owner_id"] = rolled_back.owner_id
    if rolled_back.team_id != project.team_id:
        changes["team_id"] = rolled_back.team_id
    await _require_valid_ownership(work, actor, changes, project=project)


async def _delete_content(work: UnitOfWork, project_id: str, stamp: Stamp) -> None:
    for task in await work.tasks.live_in_project(project_id):
        work.tasks.save(task.delete(stamp))
    timeline = await work.timelines.of_project(project_id)
    if timeline is not None and not timeline.is_deleted:
        work.timelines.save(timeline.delete(stamp))


async def _restore_content(work: UnitOfWork, deleted: Project, stamp: Stamp) -> None:
    if deleted.trash_stamp is None:
        return
    for task in await work.tasks.trashed_by(deleted.id, deleted.trash_stamp):
        work.tasks.save(task.restore(stamp))
    timeline = await work.timelines.of_project(deleted.id)
    if timeline is not None and timeline.trash_stamp == deleted.trash_stamp:
        work.timelines.save(timeline.restore(stamp))


PROJECTS = ResourceType(
    collection="projects",
    repository=lambda work: work.projects,
    load_for_change=changeable_project,
    delete_content=_delete_content,
    restore_content=_restore_content,
    trashed_content=lambda work, id, stamp: work.tasks.trashed_by(id, stamp),
    check=_require_earlier_ownership,
    update_content=_update_ownership,
)


class EditProject(TimedUseCase):
    """Changes fields of a project. `expected_version` None accepts any version.

    A changed ownership is copied to its tasks; tasks that others add meanwhile follow in a second change set.
    """

    async def __call__(
        self, actor: Actor, id: str, changes: ProjectChanges, *, expected_version: int | None
    ) -> Project:
        stamp = self.stamp(actor)

        def edit() -> Awaitable[Project]:
            return self._edit(actor, id, changes, stamp, expected_version=expected_version)

        if changes.keys().isdisjoint(("owner_id", "team_id")):
            return await edit()
        return await with_concurrent_additions(
            edit, self.begin, actor, lambda work: PROJECTS.update_additions(work, id, stamp)
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
        await _require_valid_ownership(work, actor, changes, project=project)
        edited = project.edit(stamp, changes)
        work.projects.save(edited)
        await _update_ownership(work, project, edited, stamp)
        await work.commit()
        return edited


class DeleteProject(Delete[Project]):
    """Moves a project with its live tasks and its timeline to the trash."""

    resource = PROJECTS


class FinishProjects(Finish[Project]):
    """Completes deletions and ownership changes of projects that a crash interrupted."""

    resource = PROJECTS


class RestoreProject(Restore[Project]):
    """Restores a project with the tasks and the timeline that were deleted with it."""

    resource = PROJECTS


class RollBackProject(RollBack[Project]):
    """Stores the content of an earlier version as a new version; a changed ownership is copied to its tasks."""

    resource = PROJECTS
