"""Where today's program looks for things, and what it takes to put there what an older version left elsewhere."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from adapters.repositories.generic import StoredRepository
from adapters.repositories.unit_of_work import StoredUnitOfWork
from domain.entity import Stamp
from domain.task import ownership_in
from domain.team import Membership
from domain.watch import Watch

K = TypeVar("K", Watch, Membership)

Place = Callable[[StoredUnitOfWork, Sequence[str], Stamp], Awaitable[int]]
"""Takes those of the things that are out of place into a unit of work, in place; answers how many they are."""


async def place_tasks(work: StoredUnitOfWork, ids: Sequence[str], stamp: Stamp) -> int:
    """Tasks repeat their project's owner and team, and their live assignment: older versions knew neither.

    A task without a project, or whose project was removed for good, keeps its ownership; one without an assignment says
    whatever it says.
    """
    tasks = await work.tasks.get_many(ids)
    wanted = {task.project_id for task in tasks.values() if task.project_id is not None}
    projects = await work.projects.get_many(sorted(wanted))
    assignments = await work.assignments.of_tasks(tasks)
    count = 0
    for task in tasks.values():
        project = None if task.project_id is None else projects.get(task.project_id)
        assignment = assignments.get(task.id)
        placed = task.put_in_place(
            stamp, task.ownership if project is None else ownership_in(project), assignment
        )
        if placed is task:
            continue
        work.tasks.save(placed)
        if project is not None:
            work.projects.require_unchanged(project)
        if assignment is not None:
            work.assignments.require_unchanged(assignment)
        count += 1
    return count


async def place_watches(work: StoredUnitOfWork, ids: Sequence[str], stamp: Stamp) -> int:
    """A watch has the id that follows from its user and its task."""
    strays = _strays(await _many(work.watches, ids))
    if not strays:
        return 0
    every = await work.watches.ever_of_tasks({stray.task_id for stray in strays})
    return await _under_own_ids(
        work.watches, [*strays, *every], stamp, renewed=lambda watch: watch.under_own_id(stamp)
    )


async def place_memberships(work: StoredUnitOfWork, ids: Sequence[str], stamp: Stamp) -> int:
    """A membership has the id that follows from its team and its user, and holds what every membership holds."""
    strays = _strays(await _many(work.memberships, ids))
    team_ids = sorted({stray.team_id for stray in strays})
    teams = await work.teams.get_many(team_ids)
    every = [one for team_id in team_ids for one in await work.memberships.ever_of_team(team_id)]

    def renewed(membership: Membership) -> Membership:
        team = teams.get(membership.team_id)
        owns = team is not None and team.owner_id == membership.user_id
        return membership.under_own_id(stamp, owns=owns)

    return await _under_own_ids(work.memberships, [*strays, *every], stamp, renewed=renewed)


async def _many(repository: StoredRepository[K], ids: Sequence[str]) -> Iterable[K]:
    return (await repository.get_many(ids)).values()


def _strays(things: Iterable[K]) -> list[K]:
    return [thing for thing in things if thing.id != thing.own_id]


async def _under_own_ids(
    repository: StoredRepository[K], things: Sequence[K], stamp: Stamp, *, renewed: Callable[[K], K]
) -> int:
    """Moves the strays among things under their own ids; answers how many strays there were.

    Several may mean the same: what lies under the own id counts, since people changed that one last; else the live
    stray, or the newest. What was removed for good under the own id does not come back.
    """
    rivals: dict[str, dict[str, K]] = {}
    for stray in _strays(things):
        rivals.setdefault(stray.own_id, {})[stray.id] = stray
    taken = {*await repository.get_many(rivals), *await repository.purged(rivals)}
    for own_id, strays in rivals.items():
        newest = max(strays.values(), key=lambda one: (not one.is_deleted, one.updated_at, one.id))
        if own_id not in taken:
            repository.save_under_new_id(newest, renewed(newest))
        for stray in strays.values():
            repository.erase(stray, stamp)
    return sum(map(len, rivals.values()))
