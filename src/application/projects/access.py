"""Access to projects: the checks with which every use case of projects and their content begins."""

from application.access import require_allowed, require_visible, with_memberships, without_teams
from application.actor import Actor
from application.ports.unit_of_work import UnitOfWork
from domain.permissions import may_change_project, may_see_project
from domain.project import Project


async def visible_project(work: UnitOfWork, actor: Actor, id: str) -> Project:
    """The project. Raises NotFound if the actor may not see it."""
    project = await work.projects.get(id)
    if not may_see_project(without_teams(actor), project):
        require_visible(may_see_project(await with_memberships(work, actor, [project.team_id]), project))
    return project


async def changeable_project(work: UnitOfWork, actor: Actor, id: str) -> Project:
    """The project, if the actor may change it and its timeline; the commit checks this again. Raises NotFound if they
    may not see it, Forbidden otherwise.
    """
    project = await visible_project(work, actor, id)
    await require_changeable(work, actor, project)
    return project


async def require_changeable(work: UnitOfWork, actor: Actor, project: Project) -> None:
    """Raises Forbidden unless the actor may change the project, now and at the commit."""
    await require_allowed(
        work,
        actor,
        lambda principal: may_change_project(principal, project),
        teams=[project.team_id],
        message="Only the project's owner, or members of its team with CHANGE_PROJECTS, can change it.",
    )
