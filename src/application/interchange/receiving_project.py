"""The project that receives the tasks of an import."""

from dataclasses import replace

from application.actor import Actor
from application.paging import LIMIT_MAX, PageRequest, Sort
from application.ports.repositories import ProjectFilter
from application.ports.unit_of_work import UnitOfWork
from application.projects.access import require_changeable
from domain.audit import Action
from domain.entity import Stamp, derived_id
from domain.errors import Conflict, Forbidden, NotFound, Purged, RuleBroken
from domain.name import normalized
from domain.project import Project

NAMESAKE_PAGES_MAX = 100
PARAMETER = "project"
"""The name of the parameter, in a query and of a command."""


async def receiving_project(
    work: UnitOfWork, actor: Actor, stamp: Stamp, *, format_name: str, name: str
) -> tuple[Project, bool]:
    """The actor's project of that name, or the project of an earlier import, which may have another name by now, or a
    new one (True). A project that the actor may not change any more is none of these.

    Raises Conflict if it was permanently removed, and as `require_receiving`.
    """
    id_ = derived_id(format_name, "project", actor.id, name)
    project = await _namesake(work, actor, name, deleted=False)
    if project is None:
        earlier = await _earlier(work, id_)
        is_usable = earlier is not None and await _is_changeable(work, actor, earlier)
        project = earlier if is_usable else await _namesake(work, actor, name, deleted=True)
        if earlier is not None and not is_usable:
            id_ = derived_id(format_name, "project", actor.id, name, stamp.at.isoformat())
    if project is None:
        project = _new_project(id_, stamp, actor, name)
        work.projects.save(project, action=Action.IMPORTED)
        return project, True
    await require_receiving(work, actor, project)
    return project, False


async def _earlier(work: UnitOfWork, id_: str) -> Project | None:
    try:
        return await work.projects.get(id_)
    except Purged as error:
        raise Conflict("The project of this name was permanently removed; choose another name.") from error
    except NotFound:
        return None


async def _is_changeable(work: UnitOfWork, actor: Actor, project: Project) -> bool:
    try:
        await require_changeable(work, actor, project)
    except Forbidden:
        return False
    return True


def _new_project(id_: str, stamp: Stamp, actor: Actor, name: str) -> Project:
    """Raises RuleBroken, whose violations are those of the parameter that holds the name."""
    try:
        return Project.create(id_, stamp, owner_id=actor.id, changes={"name": name})
    except RuleBroken as error:
        violations = [replace(each, pointer=f"/{PARAMETER}") for each in error.violations]
        raise RuleBroken(error.message.replace("/name", f"/{PARAMETER}"), violations=violations) from error


async def require_receiving(work: UnitOfWork, actor: Actor, project: Project) -> None:
    """Raises Forbidden unless the actor may change the project, now and at the commit; Conflict if it is deleted."""
    await require_changeable(work, actor, project)
    if project.is_deleted:
        raise Conflict("The project of this name is in the trash; restore it, or choose another name.")


async def _namesake(work: UnitOfWork, actor: Actor, name: str, *, deleted: bool) -> Project | None:
    filters = ProjectFilter(owner_id=actor.id, text=name, deleted=deleted)
    page = PageRequest(limit=LIMIT_MAX, sort=Sort("createdAt"))
    for _ in range(NAMESAKE_PAGES_MAX):
        found = await work.projects.matching(filters, page)
        for project in found.items:
            if normalized(project.name) == name:
                return project
        if found.next is None:
            return None
        page = replace(page, after=found.next)
    raise Conflict("Too many projects have names like this one; choose another name.")
