"""Compares two stores all the time, at a low rate, and keeps up to when they are known to be equal.

A pass compares everything. Between its end and the next one, what has changed is compared every few seconds, so that
the horizon of the evidence stays a few seconds behind the present. A difference replaces the evidence at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from adapters.migration.comparing import COMPARED, differ_still
from adapters.migration.differing import StoresDiffer
from adapters.migration.evidence import (
    keep_evidence,
    keep_horizon,
    load_evidence,
    load_horizon,
    still_holds,
)
from adapters.migration.quarantine import Quarantine
from adapters.migration.recheck import (
    Point,
    PointedSource,
    Recheck,
    point_of,
)
from adapters.migration.skipped import without_skipped
from adapters.migration.verification import CONTINUOUS, Verifier
from adapters.ownership.control import Gate, Ownership
from adapters.records.record_store import RecordStore
from application.ports.clock import Clock
from application.ports.migration import DIFFERENCES_MAX, Verification
from domain.migration import Phase

PAGE = 50
"""Records of each store that are compared at once: requests of the same process wait for it, about 2 ms."""
PASS_EVERY = timedelta(minutes=10)
"""The least time between the beginnings of two passes."""
FILLED = frozenset({Phase.BACKFILLED, Phase.VERIFIED, Phase.READING, Phase.CUT_OVER})
"""The phases in which the target holds everything, so that a comparison says something."""


Change = Callable[[Callable[[Ownership], Ownership]], Awaitable[Ownership]]


class Continuous:
    """Verifies one pair of stores in their present roles. `owned` is the source as it takes the evidence, `rate` bounds
    the records per second of a pass. `change` changes the record of the owner, and returns it.
    """

    def __init__(
        self,
        source: PointedSource,
        target: PointedSource,
        *,
        owned: RecordStore,
        change: Change,
        clock: Clock,
        rate: int,
    ) -> None:
        self._source, self._target = source, target
        self._owned, self._change = owned, change
        self._clock = clock
        self._rate = rate
        self._recheck: Recheck | None = None
        self._pass: asyncio.Task[None] | None = None

    async def tick(self) -> None:
        """Moves the horizon to now, and begins a pass where one is due. Raises StoreUnavailable, also for a pass."""
        self._require_no_failure()
        owner = await self._owner()
        if owner.phase not in FILLED or owner.gate is not Gate.OPEN or owner.move is not None:
            await self.stop()
            return
        evidence = await load_evidence(self._owned)
        if evidence is None or not still_holds(evidence, owner):
            self._begin(owner)
            return
        is_out_of_date = not await (
            self._advance(evidence)
            if evidence.is_clean
            else differ_still(self._source, self._target, evidence.differences)
        )
        is_due = self._clock.now() - evidence.started_at >= PASS_EVERY
        if is_out_of_date or is_due:
            self._begin(owner)

    async def _owner(self) -> Ownership:
        return await self._change(lambda now: now)

    async def stop(self) -> None:
        """Ends the pass under way; the next one begins anew."""
        running, self._pass = self._pass, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def until_passed(self) -> None:
        """Waits for the end of the pass under way. Raises its error."""
        if self._pass is not None:
            await self._pass

    def _begin(self, owner: Ownership) -> None:
        if self._pass is None:
            self._pass = asyncio.create_task(self._run(owner), name="continuous verification")

    def _require_no_failure(self) -> None:
        if self._pass is not None and self._pass.done():
            ended, self._pass = self._pass, None
            ended.result()

    async def _advance(self, evidence: Verification) -> bool:
        """Whether everything that changed since the horizon is equal."""
        point = await load_horizon(self._owned, evidence)
        if point is None:
            return False
        if self._recheck is None or self._recheck.point != point:
            self._recheck = Recheck(self._source, self._target, since=point, clock=self._clock)
        try:
            await self._recheck.advance()
        except StoresDiffer as found:
            self._recheck = None
            await self._keep_differences(evidence, found, point)
            return False
        if self._recheck.is_complete:
            await keep_horizon(self._owned, evidence, self._recheck.point)
        return True

    async def _keep_differences(self, evidence: Verification, found: StoresDiffer, point: Point) -> None:
        """The evidence is green no more. Where only a count has moved, the guard says so."""
        if not found.differences or await load_evidence(self._owned) != evidence:
            return
        counts = dict.fromkeys(COMPARED, 0)
        for one in found.differences:
            counts[one.collection] += 1
        worse = replace(
            evidence,
            collections=tuple(
                replace(row, differences=counts[row.collection]) for row in evidence.collections
            ),
            differences=found.differences[:DIFFERENCES_MAX],
            difference_count=len(found.differences),
        )
        await keep_evidence(self._owned, worse, point)
        await self._change(Ownership.found_unequal)

    async def _run(self, owner: Ownership) -> None:
        peer = owner.peer
        if peer is None:
            return
        point = await point_of(self._source, self._target, at=self._clock.now())
        verifier = Verifier(self._source, self._target, clock=self._clock, page=PAGE)
        found = await verifier.verify(
            lambda _: None, incarnation=peer.incarnation, epoch=owner.since, rate=self._rate
        )
        quarantined = await Quarantine(self._owned).all()
        found = await without_skipped(found, self._source, self._target, quarantined)
        await self._keep(replace(found, started_at=point.at, mode=CONTINUOUS), point)

    async def _keep(self, found: Verification, point: Point) -> None:
        """Keeps the evidence of a pass, unless it is void, or a newer verification has ended meanwhile."""
        if not still_holds(found, await self._owner()):
            return
        known = await load_evidence(self._owned)
        if known is not None and known.started_at > found.started_at:
            return
        horizon = await load_horizon(self._owned, known)
        # Everything up to the former horizon was equal, if the former evidence was green up to it.
        is_later = (
            known is not None
            and horizon is not None
            and known.is_clean
            and (known.incarnation, known.epoch) == (found.incarnation, found.epoch)
            and horizon.foreign == point.foreign
            and horizon.at > point.at
        )
        await keep_evidence(self._owned, found, horizon if is_later and horizon is not None else point)
        if not found.is_clean:
            await self._change(Ownership.found_unequal)
