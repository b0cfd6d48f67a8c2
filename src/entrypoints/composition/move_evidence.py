"""What the move knows about the equality of both stores of this process, and how it finds out."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from adapters.migration.evidence import keep_evidence, load_evidence, load_horizon, still_holds
from adapters.migration.quarantine import Quarantine
from adapters.migration.ranges import Ranges, keep_ranges, letters_of, load_ranges
from adapters.migration.recheck import Point, Recheck, point_of, point_of_takeover
from adapters.migration.row_counts import RowCounts
from adapters.migration.skipped import without_skipped
from adapters.migration.verification import Verifier
from adapters.ownership.control import Ownership, Peer
from application.ports.clock import Clock
from application.ports.key_coverage import KeyCoverage
from application.ports.migration import OnProgress, Verification
from domain.errors import Conflict
from domain.migration import NO_TARGET, Phase
from entrypoints.composition.store_stack import StoreStack
from entrypoints.composition.stores import CompleteStore


class MoveEvidence:
    """Compares the stores of this process and keeps the result in the source."""

    def __init__(self, stack: StoreStack, *, clock: Clock) -> None:
        self._stack = stack
        self._clock = clock
        self._ranges: Ranges | None = None

    async def verify(self, on_progress: OnProgress, *, is_incremental: bool = False) -> Verification:
        """Compares both stores and keeps the result as evidence. Raises Conflict and StoreUnavailable.

        An incremental one skips the ranges that have not changed in either store since they were equal.
        """
        known = await load_ranges(self._stack.source) if is_incremental else None
        found, point = await self.compare(on_progress, known=known)
        await self.keep(found, point)
        return found

    async def compare(
        self, on_progress: OnProgress, *, known: Ranges | None = None
    ) -> tuple[Verification, Point]:
        """A verification of both stores as they are now, and where they stood when it began; not stored as evidence."""
        owner = (await self._stack.ownership.required()).ownership
        source, target = self._stack.direction.raw_source, raw_target_of(self._stack)
        point = await point_of(source, target, at=self._clock.now())
        verifier = Verifier(source, target, clock=self._clock)
        found = await verifier.verify(
            on_progress, incarnation=peer_of(owner).incarnation, epoch=owner.since, known=known
        )
        self._ranges = verifier.ranges
        quarantined = await Quarantine(self._stack.source).all()
        found = await without_skipped(found, source, target, quarantined)
        return replace(found, started_at=point.at), point

    async def keep(self, found: Verification, point: Point) -> None:
        """Keeps a verification as evidence. Raises StoreUnavailable."""
        await keep_evidence(self._stack.source, found, point)
        if self._ranges is not None:
            await keep_ranges(self._stack.source, self._ranges, as_of=found.ended_at)

    async def coverage(self, collection: str, *, buckets: int) -> KeyCoverage:
        """What is known of the key ranges of a collection; nothing without evidence that still holds."""
        owner = (await self._stack.ownership.required()).ownership
        evidence = await load_evidence(self._stack.source)
        ranges = await load_ranges(self._stack.source)
        if evidence is None or ranges is None or not still_holds(evidence, owner):
            return KeyCoverage(collection=collection, buckets="", as_of=None)
        known = ranges.of(collection, incarnation=evidence.incarnation, epoch=evidence.epoch)
        differing = [one.id for one in evidence.differences if one.collection == collection]
        return KeyCoverage(
            collection=collection,
            buckets=letters_of(known, differing, buckets=buckets),
            as_of=ranges.as_of if known else None,
        )

    async def recheck(self) -> Recheck | None:
        """What compares the changes since the last comparison, before the ownership moves. None without evidence: then
        a guard says so.
        """
        owner = (await self._stack.ownership.required()).ownership
        source, target = self._stack.direction.raw_source, raw_target_of(self._stack)
        point = await self._equal_point(owner)
        if point is None and owner.phase is Phase.CUT_OVER:
            # The former owner was equal when it gave up the ownership.
            point = await point_of_takeover(target, since=owner.since, at=self._clock.now())
        if point is None:
            return None
        evidence = await load_evidence(self._stack.source)
        counts = RowCounts(
            source,
            target,
            clock=self._clock,
            compare=partial(self._compared, owner),
            skipped=() if evidence is None else evidence.skipped,
        )
        return Recheck(source, target, since=point, clock=self._clock, counts=counts)

    async def _compared(self, owner: Ownership, collections: Sequence[str]) -> Verification:
        """A verification of some collections, not stored as evidence."""
        source, target = self._stack.direction.raw_source, raw_target_of(self._stack)
        found = await Verifier(source, target, clock=self._clock).verify(
            lambda _: None,
            incarnation=peer_of(owner).incarnation,
            epoch=owner.since,
            collections=collections,
        )
        return await without_skipped(found, source, target, await Quarantine(self._stack.source).all())

    async def _equal_point(self, owner: Ownership) -> Point | None:
        evidence = await load_evidence(self._stack.source)
        if evidence is None or not evidence.is_clean or not still_holds(evidence, owner):
            return None
        return await load_horizon(self._stack.source, evidence)


def raw_target_of(stack: StoreStack) -> CompleteStore:
    """The store that receives the mirror. Raises Conflict for a single store."""
    target = stack.direction.raw_target
    if target is None:
        raise Conflict(NO_TARGET)
    return target


def peer_of(owner: Ownership) -> Peer:
    """The target as the owner knows it. Raises Conflict where they were never compared."""
    if owner.peer is None:
        raise Conflict("The target was never compared with the source. See: tandem doctor")
    return owner.peer
