"""What a purge removes with an expired entity, and what loses its reference to it, in one change set.

If an entity is too large for one change set, the first one prevents its restoration, and the rest follows.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from application.ports.repositories import Repository
from application.ports.unit_of_work import UnitOfWork
from domain.entity import Entity, Stamp
from domain.task import Task

PARTS_MAX = 200
"""How many tasks or projects of an expired entity one change set removes or changes."""


@dataclass(slots=True)
class Removal:
    """The removals of one change set, with their counts."""

    work: UnitOfWork
    stamp: Stamp
    cutoff: datetime
    removed: Counter[str] = field(default_factory=Counter)
    detached: int = 0
    kept: int = 0

    def erase(self, collection: str, repository: Repository[Any], things: Iterable[Entity]) -> None:
        """Adds the removal of entities to the change set."""
        for thing in things:
            repository.erase(thing, self.stamp)
            self.removed[collection] += 1

    def detach(self, repository: Repository[Any], things: Iterable[Entity]) -> None:
        """Adds entities that lose a reference to a removed one."""
        for thing in things:
            repository.save(thing)
            self.detached += 1

    async def expired(self, collection: str, ids: Sequence[str]) -> list[Any]:
        """The entities that are still in the trash and have expired.

        The time in the trash of another service does not count: an entity that came from there in the trash begins its
        time here with this change set.
        """
        repository = with_trash(self.work)[collection]
        found = await repository.get_many(ids)
        expired = []
        for thing in found.values():
            if not self.has_expired(thing):
                continue
            if await self._was_trashed_here(collection, thing):
                expired.append(thing)
            else:
                repository.save(thing.begin_time_in_trash(self.stamp))
                self.kept += 1
        return expired

    async def _was_trashed_here(self, collection: str, thing: Entity) -> bool:
        """Whether the audit trail knows the deletion. Here it makes a later version than the first, except in an
        import, which leaves an entry.
        """
        return thing.version > 1 or await self.work.audit.of_version(collection, thing.id, 1) is not None

    def has_expired(self, thing: Entity) -> bool:
        """Whether an entity has been in the trash for the retention period."""
        return thing.deleted_at is not None and thing.deleted_at < self.cutoff


async def gather_tasks(removal: Removal, ids: Sequence[str]) -> bool:
    """Tasks with their assignments and watches; their subtasks lose the parent.

    Tasks of a deleted project wait for the project, so that a restored project is complete.
    """
    tasks: list[Task] = await removal.expired("tasks", ids)
    projects = await removal.work.projects.get_many(task.project_id for task in tasks if task.project_id)
    waiting = {project.id for project in projects.values() if project.is_deleted}
    await _take_tasks(removal, [task for task in tasks if task.project_id not in waiting])
    return True


async def _take_tasks(removal: Removal, tasks: Sequence[Task]) -> None:
    ids = {task.id for task in tasks}
    if not ids:
        return
    work = removal.work
    removal.erase("task_assignments", work.assignments, await work.assignments.ever_of_tasks(ids))
    removal.erase("watchlists", work.watches, await work.watches.ever_of_tasks(ids))
    children = await work.tasks.children_of(sorted(ids))
    orphans = [child for child in children if child.id not in ids]
    removal.detach(work.tasks, [orphan.lose_parent(removal.stamp) for orphan in orphans])
    removal.erase("tasks", work.tasks, tasks)


async def gather_project(removal: Removal, ids: Sequence[str]) -> bool:
    """A project with its timeline and tasks; tasks beyond PARTS_MAX are purged as expired tasks."""
    work = removal.work
    for project in await removal.expired("projects", ids):
        lasting = await work.tasks.of_project_since(project.id, removal.cutoff, limit=PARTS_MAX)
        if lasting:
            # A crash while the project was deleted left them live: they get their own time in the trash.
            for task in lasting:
                if not task.is_deleted:
                    work.tasks.save(task.delete(removal.stamp))
            removal.kept += 1
            return True
        await _take_tasks(removal, await work.tasks.some_of_project(project.id, limit=PARTS_MAX))
        timeline = await work.timelines.of_project(project.id)
        removal.erase("timelines", work.timelines, [] if timeline is None else [timeline])
        removal.erase("projects", work.projects, [project])
    return True


async def gather_label(removal: Removal, ids: Sequence[str]) -> bool:
    """A label; its tasks lose it."""
    work = removal.work
    for label in await removal.expired("labels", ids):
        tasks = await work.tasks.carrying(label.id, limit=PARTS_MAX + 1)
        removal.detach(work.tasks, [task.lose_label(removal.stamp, label.id) for task in tasks[:PARTS_MAX]])
        if len(tasks) > PARTS_MAX:
            work.labels.require_unchanged(label)
            return False
        removal.erase("labels", work.labels, [label])
    return True


async def gather_team(removal: Removal, ids: Sequence[str]) -> bool:
    """A team with its memberships; its projects and tasks lose the team, and its assignments end."""
    work, stamp = removal.work, removal.stamp
    for team in await removal.expired("teams", ids):
        memberships = await work.memberships.ever_of_team(team.id)
        if memberships:
            # The memberships first, because a team without its owner cannot be restored.
            removal.erase("team_members", work.memberships, memberships)
            work.teams.require_unchanged(team)
            return False
        projects = await work.projects.of_team(team.id, limit=PARTS_MAX)
        if projects:
            removal.detach(work.projects, [project.lose_team(stamp) for project in projects])
            work.teams.require_unchanged(team)
            return False
        tasks = await work.tasks.of_team(team.id, limit=PARTS_MAX + 1)
        removal.detach(work.tasks, [task.lose_team(stamp, team.id) for task in tasks[:PARTS_MAX]])
        given = await work.assignments.ever_of_tasks([task.id for task in tasks[:PARTS_MAX]])
        for assignment in given:
            if assignment.assignee_id == team.id and not assignment.is_deleted:
                work.assignments.save(assignment.end(stamp))
        if len(tasks) > PARTS_MAX:
            work.teams.require_unchanged(team)
            return False
        removal.erase("teams", work.teams, [team])
    return True


async def gather_sessions(removal: Removal, ids: Sequence[str]) -> bool:
    """Sessions that can no longer be refreshed."""
    found = await removal.work.sessions.get_many(ids)
    over = [session for session in found.values() if session.expires_at < removal.stamp.at]
    removal.erase("sessions", removal.work.sessions, over)
    return True


async def gather_api_tokens(removal: Removal, ids: Sequence[str]) -> bool:
    """API tokens that were deleted or expired before the retention period."""
    found = await removal.work.api_tokens.get_many(ids)
    over = [
        token
        for token in found.values()
        if removal.has_expired(token) or (token.expires_at is not None and token.expires_at < removal.cutoff)
    ]
    removal.erase("api_tokens", removal.work.api_tokens, over)
    return True


def with_trash(work: UnitOfWork) -> dict[str, Repository[Any]]:
    """The repositories of the collections with a trash, by collection."""
    return {"projects": work.projects, "tasks": work.tasks, "labels": work.labels, "teams": work.teams}
