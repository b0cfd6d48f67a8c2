"""The project that receives the tasks of an import."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from application.actor import Actor
from application.paging import LIMIT_MAX, PageRequest, Sort
from application.ports.repositories import ProjectFilter
from application.ports.unit_of_work import UnitOfWork
from application.projects.access import require_changeable
from domain.audit import Action
from domain.entity import Stamp, derived_id
from domain.errors import Conflict, Forbidden, RuleBroken
from domain.name import normalized
from domain.project import Project

NAMESAKE_PAGES_MAX = 100
EARLIER_MAX = 100
"""How many projects of one name the imports of a user may make; all but one were renamed, handed over or removed."""
PARAMETER = "project"
"""The name of the parameter, in a query and of a command."""


async def receiving_project(
    work: UnitOfWork, actor: Actor, stamp: Stamp, *, format_name: str, name: str
) -> tuple[Project, bool]:
    """The project for the tasks, and whether it is new. The first of these that there is:

    1. the actor's live project of that name;
    2. the live project of an earlier import that still has the name and that the actor may change;
    3. a new project, unless the actor's project of that name is in the trash.

    Raises Conflict for the one in the trash, and if imports have made EARLIER_MAX projects of the name.
    """
    earlier, free_id = await _earlier(work, actor, format_name, name)
    project = await _namesake(work, actor, name, deleted=False)
    project = project or await _changeable(work, actor, earlier)
    project = project or await _namesake(work, actor, name, deleted=True)
    if project is None:
        project = _new_project(free_id, stamp, actor, name)
        work.projects.save(project, action=Action.IMPORTED)
        return project, True
    await require_receiving(work, actor, project)
    return project, False


async def _earlier(
    work: UnitOfWork, actor: Actor, format_name: str, name: str
) -> tuple[list[Project], str | None]:
    """The live projects of earlier imports that still have the name, and the first id that no import has used; None if
    there is none.

    An id stays used when its project is renamed, handed over or removed, so the tasks of a new project of the name,
    whose ids follow from that of the project, are others.
    """
    earlier: list[Project] = []
    for number in range(EARLIER_MAX):
        distinction = [str(number)] if number else []
        id_ = derived_id(format_name, "project", *distinction, actor.id, name)
        project = await work.projects.find(id_)
        if project is None and not await work.projects.purged([id_]):
            return earlier, id_
        if project is not None and not project.is_deleted and normalized(project.name) == name:
            earlier.append(project)
    return earlier, None


async def _changeable(work: UnitOfWork, actor: Actor, projects: Sequence[Project]) -> Project | None:
    """The first one that the actor may change, now and at the commit."""
    for project in projects:
        with suppress(Forbidden):
            await require_changeable(work, actor, project)
            return project
    return None


def _new_project(id_: str | None, stamp: Stamp, actor: Actor, name: str) -> Project:
    """Raises RuleBroken, whose violations are those of the parameter that holds the name; Conflict without an id."""
    if id_ is None:
        raise Conflict("Imports have made too many projects of this name; choose another name.")
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
    if not name:
        # An empty text would match every project.
        return None
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
