"""Removing for good what has been in the trash for too long: nothing that goes this way comes back.

Each change set removes a thing together with all that means nothing without it, and names the versions it read: where
somebody restores it in that very moment one of the two finds the other's version and gives way. So several workers may
do this at once, and a killed one leaves nothing half done. Of what is too large for one change set the first makes sure
that nobody restores the rest: it follows in this run, or in the next.
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
"""How many expired things are looked at, and removed, in one go."""
PARTS_MAX = 200
"""How many tasks, and projects, that belong to an expired thing one change set removes or changes."""
ROUNDS_MAX = 1_000
"""How many change sets one expired thing may need."""
THINGS_MAX = 10_000
"""How many expired things of one kind one run looks at; the next run goes on."""


@dataclass(slots=True)
class Removal:
    """What one change set removes, and how much of it there is."""

    work: UnitOfWork
    stamp: Stamp
    cutoff: datetime
    removed: Counter[str] = field(default_factory=Counter)
    detached: int = 0
    kept: int = 0

    def erase(self, collection: str, repository: Repository[Any], things: Iterable[Entity]) -> None:
        """Takes things into the change set."""
        for thing in things:
            repository.erase(thing, self.stamp)
            self.removed[collection] += 1

    def detach(self, repository: Repository[Any], things: Iterable[Entity]) -> None:
        """Takes things that stay, and lost what is removed, into the change set."""
        for thing in things:
            repository.save(thing)
            self.detached += 1

    async def expired(self, repository: Repository[Any], ids: Sequence[str]) -> list[Any]:
        """Those of the things that are in the trash still, and long enough."""
        found = await repository.get_many(ids)
        return [thing for thing in found.values() if self.has_expired(thing)]

    def has_expired(self, thing: Entity) -> bool:
        """Whether a thing is in the trash, and long enough."""
        return thing.deleted_at is not None and thing.deleted_at < self.cutoff


Gather = Callable[[Removal, Sequence[str]], Awaitable[bool]]
"""Takes expired things, by id, and what belongs to them into a change set; whether that is all of it."""
Expired = Callable[[UnitOfWork, PageRequest], Awaitable[Page[Any]]]
"""A page of expired things."""


@dataclass(frozen=True, slots=True)
class RetentionStatus:
    """How long the trash keeps things, how many are due by collection, and the last run (None before the first)."""

    retention_days: int
    cutoff: datetime
    expired: Mapping[str, int]
    last_run: RetentionRun | None


@dataclass(frozen=True, slots=True)
class PurgeExpired:
    """Removes what went into the trash more than `retention_days` ago, and sessions whose time is over."""

    begin: Begin
    clock: Clock
    runs: RetentionRuns
    retention_days: int

    async def __call__(self, actor: Actor, *, is_dry_run: bool = False) -> RetentionRun:
        """What was removed, or would be. Raises Forbidden unless an administrator asks."""
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
        run = sweep.run()
        await self.runs.note(run)
        return run


@dataclass(slots=True)
class _Sweep:
    """One run over everything that has expired."""

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
        """Removes every expired thing of one kind, so many in one change set."""
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
        """Where one of several is being changed right now, the others go without it."""
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
        """What became of it."""
        return RetentionRun(
            at=self.stamp.at,
            cutoff=self.cutoff,
            removed=dict(self.removed),
            detached=self.detached,
            kept=self.kept,
            is_complete=self.is_complete,
        )


async def gather_tasks(removal: Removal, ids: Sequence[str]) -> bool:
    """Tasks, with who was to do them and who watched them; tasks below them stand on their own from now on.

    What is in the trash with its project waits for it: whoever restores a project finds all of it.
    """
    tasks: list[Task] = await removal.expired(removal.work.tasks, ids)
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
    """A project, with its timeline and its tasks; those beyond PARTS_MAX are removed as tasks that have expired."""
    work = removal.work
    for project in await removal.expired(work.projects, ids):
        lasting = await work.tasks.of_project_since(project.id, removal.cutoff, limit=PARTS_MAX)
        if lasting:
            # A process that died while it deleted the project left them live: they get their own time in the trash.
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
    """A label; tasks that carry it lose it."""
    work = removal.work
    for label in await removal.expired(work.labels, ids):
        tasks = await work.tasks.carrying(label.id, limit=PARTS_MAX + 1)
        removal.detach(work.tasks, [task.lose_label(removal.stamp, label.id) for task in tasks[:PARTS_MAX]])
        if len(tasks) > PARTS_MAX:
            work.labels.require_unchanged(label)
            return False
        removal.erase("labels", work.labels, [label])
    return True


async def gather_team(removal: Removal, ids: Sequence[str]) -> bool:
    """A team, with its memberships; its projects stay with their owners, and its tasks are nobody's to do."""
    work, stamp = removal.work, removal.stamp
    for team in await removal.expired(work.teams, ids):
        memberships = await work.memberships.ever_of_team(team.id)
        if memberships:
            # First of all, since nobody restores a team without its owner.
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
    """Sessions that nobody can refresh any more."""
    found = await removal.work.sessions.get_many(ids)
    over = [session for session in found.values() if session.expires_at < removal.stamp.at]
    removal.erase("sessions", removal.work.sessions, over)
    return True


@dataclass(frozen=True, slots=True)
class ReadRetention:
    """What waits to be removed, and what the last run did."""

    begin: Begin
    clock: Clock
    runs: RetentionRuns
    retention_days: int

    async def __call__(self, actor: Actor) -> RetentionStatus:
        """Raises Forbidden unless an administrator asks."""
        require_admin(actor)
        now = self.clock.now()
        cutoff = now - timedelta(days=self.retention_days)
        expired = await expired_counts(self.begin(actor), cutoff, now)
        return RetentionStatus(self.retention_days, cutoff, expired, await self.runs.last())


async def expired_counts(work: UnitOfWork, cutoff: datetime, now: datetime) -> dict[str, int]:
    """How many things have expired, by collection."""
    page = PageRequest(limit=1, sort=Sort("deletedAt"), with_total=True)
    counts = {
        collection: (await repository.trashed_before(cutoff, page)).total or 0
        for collection, repository in with_trash(work).items()
    }
    over = await work.sessions.over_before(now, PageRequest(limit=1, sort=Sort("expiresAt"), with_total=True))
    return {**counts, "sessions": over.total or 0}


def with_trash(work: UnitOfWork) -> dict[str, Repository[Any]]:
    """The repositories of everything that people move to the trash, by collection."""
    return {"projects": work.projects, "tasks": work.tasks, "labels": work.labels, "teams": work.teams}
