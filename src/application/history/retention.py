"""Purging: permanent removal of entities that have been in the trash for longer than the retention period.

Each change set removes an entity together with its dependent records, and names the versions that it read: of a purge
and a concurrent restore, one fails. So several workers may purge at the same time, and a killed worker leaves nothing
half done. If an entity is too large for one change set, the first one prevents its restoration, and the rest follows in
this run or the next.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from application.access import require_admin
from application.actor import Actor
from application.paging import Page, PageRequest, Sort
from application.ports.clock import Clock
from application.ports.repositories import Repository
from application.ports.retention_runs import RetentionRun, RetentionRuns
from application.ports.unit_of_work import Begin, UnitOfWork
from domain.entity import Entity, Stamp
from domain.errors import Conflict
from domain.task import Task

PAGE_MAX = 100
"""How many expired entities are read, and purged, together."""
PARTS_MAX = 200
"""How many tasks or projects of an expired entity one change set removes or changes."""
ROUNDS_MAX = 1_000
"""How many change sets one expired entity may need."""
THINGS_MAX = 10_000
"""How many expired entities of one collection one run reads; the next run continues."""


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


Gather = Callable[[Removal, Sequence[str]], Awaitable[bool]]
"""Adds expired entities, by id, with their dependent records to a change set; False if more must follow."""
Expired = Callable[[UnitOfWork, PageRequest], Awaitable[Page[Any]]]
"""A page of expired entities."""


@dataclass(frozen=True, slots=True)
class RetentionStatus:
    """The retention period, the expired entities by collection, and the last run (None before the first)."""

    retention_days: int
    cutoff: datetime
    expired: Mapping[str, int]
    last_run: RetentionRun | None


@dataclass(frozen=True, slots=True)
class PurgeExpired:
    """Purges entities that were deleted more than `retention_days` ago, API tokens that ended as long ago, and expired
    sessions.
    """

    begin: Begin
    clock: Clock
    runs: RetentionRuns
    retention_days: int

    async def __call__(self, actor: Actor, *, is_dry_run: bool = False) -> RetentionRun:
        """The run, or in a dry run its expected counts. Raises Forbidden unless the actor is an administrator."""
        require_admin(actor)
        stamp = Stamp(self.clock.now(), actor.id)
        cutoff = stamp.at - timedelta(days=self.retention_days)
        if is_dry_run:
            counts = await expired_counts(self.begin(actor), cutoff, stamp.at)
            return RetentionRun(at=stamp.at, cutoff=cutoff, removed=counts, is_dry_run=True)
        sweep = _Sweep(self.begin, actor, stamp, cutoff)
        await sweep.go_through(lambda work, page: work.projects.trashed_before(cutoff, page), gather_project)
        await sweep.go_through(
            lambda work, page: work.tasks.trashed_before(cutoff, page), gather_tasks, together=PAGE_MAX
        )
        await sweep.go_through(lambda work, page: work.labels.trashed_before(cutoff, page), gather_label)
        await sweep.go_through(lambda work, page: work.teams.trashed_before(cutoff, page), gather_team)
        await sweep.go_through(
            lambda work, page: work.sessions.over_before(stamp.at, page),
            gather_sessions,
            together=PAGE_MAX,
            sort="expiresAt",
        )
        await sweep.go_through(
            lambda work, page: work.api_tokens.trashed_before(cutoff, page),
            gather_api_tokens,
            together=PAGE_MAX,
        )
        await sweep.go_through(
            lambda work, page: work.api_tokens.expired_before(cutoff, page),
            gather_api_tokens,
            together=PAGE_MAX,
            sort="expiresAt",
        )
        run = sweep.run()
        await self.runs.note(run)
        return run


@dataclass(slots=True)
class _Sweep:
    """One run over all expired entities."""

    begin: Begin
    actor: Actor
    stamp: Stamp
    cutoff: datetime
    removed: Counter[str] = field(default_factory=Counter)
    detached: int = 0
    kept: int = 0
    is_complete: bool = True

    async def go_through(
        self, expired: Expired, gather: Gather, *, together: int = 1, sort: str = "deletedAt"
    ) -> None:
        """Purges every expired entity of one collection, `together` in one change set."""
        page = PageRequest(limit=PAGE_MAX, sort=Sort(sort))
        for _ in range(THINGS_MAX // PAGE_MAX):
            found = await expired(self.begin(self.actor), page)
            ids = [thing.id for thing in found.items]
            for start in range(0, len(ids), together):
                await self._remove(gather, ids[start : start + together])
            if found.next is None:
                return
            page = PageRequest(limit=PAGE_MAX, sort=Sort(sort), after=found.next)
        self.is_complete = False

    async def _remove(self, gather: Gather, ids: Sequence[str]) -> None:
        """Purges the entities. If one of them changes concurrently, each has its own change set."""
        try:
            for _ in range(ROUNDS_MAX):
                if await self._round(gather, ids):
                    return
            self.is_complete = False
        except Conflict:
            if len(ids) == 1:
                self.kept += 1
                return
            for id in ids:
                await self._remove(gather, [id])

    async def _round(self, gather: Gather, ids: Sequence[str]) -> bool:
        removal = Removal(self.begin(self.actor), self.stamp, self.cutoff)
        is_all = await gather(removal, ids)
        await removal.work.commit()
        self.removed += removal.removed
        self.detached += removal.detached
        self.kept += removal.kept
        return is_all

    def run(self) -> RetentionRun:
        """The result."""
        return RetentionRun(
            at=self.stamp.at,
            cutoff=self.cutoff,
            removed=dict(self.removed),
            detached=self.detached,
            kept=self.kept,
            is_complete=self.is_complete,
        )


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


@dataclass(frozen=True, slots=True)
class ReadRetention:
    """The expired entities and the last run."""

    begin: Begin
    clock: Clock
    runs: RetentionRuns
    retention_days: int

    async def __call__(self, actor: Actor) -> RetentionStatus:
        """Raises Forbidden unless the actor is an administrator."""
        require_admin(actor)
        now = self.clock.now()
        cutoff = now - timedelta(days=self.retention_days)
        expired = await expired_counts(self.begin(actor), cutoff, now)
        return RetentionStatus(self.retention_days, cutoff, expired, await self.runs.last())


async def expired_counts(work: UnitOfWork, cutoff: datetime, now: datetime) -> dict[str, int]:
    """How many entities have expired, by collection."""
    page = PageRequest(limit=1, sort=Sort("deletedAt"), with_total=True)
    counts = {
        collection: (await repository.trashed_before(cutoff, page)).total or 0
        for collection, repository in with_trash(work).items()
    }
    by_end = PageRequest(limit=1, sort=Sort("expiresAt"), with_total=True)
    over = await work.sessions.over_before(now, by_end)
    deleted = await work.api_tokens.trashed_before(cutoff, page)
    expired = await work.api_tokens.expired_before(cutoff, by_end)
    tokens = (deleted.total or 0) + (expired.total or 0)
    return {**counts, "sessions": over.total or 0, "api_tokens": tokens}


def with_trash(work: UnitOfWork) -> dict[str, Repository[Any]]:
    """The repositories of the collections with a trash, by collection."""
    return {"projects": work.projects, "tasks": work.tasks, "labels": work.labels, "teams": work.teams}
