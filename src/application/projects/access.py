"""Whether an actor may come to a project: what every use case of projects, and of what is in them, asks first."""

from application.access import require_allowed, require_visible, with_memberships, without_teams
from application.actor import Actor
from application.ports.unit_of_work import UnitOfWork
from domain.permissions import may_change_project, may_see_project
from domain.project import Project


async def visible_project(work: UnitOfWork, actor: Actor, id: str) -> Project:
    """The project, where the actor may know of it. Raises NotFound."""
    project = await work.projects.get(id)
    if not may_see_project(without_teams(actor), project):
        require_visible(may_see_project(await with_memberships(work, actor, [project.team_id]), project))
    return project


async def changeable_project(work: UnitOfWork, actor: Actor, id: str) -> Project:
    """The project, where the actor may change it and its timeline; the commit relies on what lets him. Raises NotFound
    for what he must not know of, Forbidden otherwise.
    """
    project = await visible_project(work, actor, id)
    await require_changeable(work, actor, project)
    return project


async def require_changeable(work: UnitOfWork, actor: Actor, project: Project) -> None:
    """Raises Forbidden unless the actor may change the project; relied upon as in `changeable_project`."""
    await require_allowed(
        work,
        actor,
        lambda principal: may_change_project(principal, project),
        teams=[project.team_id],
        message="You may not change the project.",
    )
