"""Purging: permanent removal of entities that have been in the trash for longer than the retention period.

Each change set removes an entity together with its dependent records, and names the versions that it read: of a purge
and a concurrent restore, one fails. So several workers may purge at the same time, and a killed worker leaves nothing
half done; the next run continues.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from application.access import require_admin
from application.actor import Actor
from application.history.removal import (
    Removal,
    gather_api_tokens,
    gather_label,
    gather_project,
    gather_sessions,
    gather_tasks,
    gather_team,
    with_trash,
)
from application.paging import Page, PageRequest, Sort
from application.ports.clock import Clock
from application.ports.retention_runs import RetentionRun, RetentionRuns
from application.ports.unit_of_work import Begin, UnitOfWork
from domain.entity import Stamp
from domain.errors import Conflict

PAGE_MAX = 100
"""How many expired entities are read, and purged, together."""
ROUNDS_MAX = 1_000
"""How many change sets one expired entity may need."""
THINGS_MAX = 10_000
"""How many expired entities of one collection one run reads; the next run continues."""


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
            return RetentionRun(
                at=stamp.at, cutoff=cutoff, removed=counts, detached=None, kept=None, is_dry_run=True
            )
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
