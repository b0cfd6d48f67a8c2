"""Where the move stands, from the control records and both stores."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from adapters.migration.checkpoints import Destination, checkpoints_of
from adapters.migration.evidence import load_evidence, load_horizon, still_holds
from adapters.migration.guards import Situation, Soak, guards_of, newest_step, processes_of
from adapters.migration.quarantine import Quarantine
from adapters.migration.recheck import foreign_trouble, is_edited
from adapters.migration.steps import steps_of
from adapters.ownership.control import Ownership
from adapters.records.criteria import EVERYTHING
from adapters.records.foreign_changes import foreign_changes_of
from adapters.records.lanes import Positions
from adapters.records.record_store import RecordStore
from adapters.records.revisions import flaws_of
from adapters.records.specs import ENTITY_SPECS
from application.ports.clock import Clock
from application.ports.migration import CollectionMove, MoveProcess, MoveStatus
from application.ports.schema import SchemaFlaw
from domain.errors import StoreUnavailable
from domain.migration import NEXT, Phase, Route, Step
from entrypoints.composition.backfill_runs import is_backfill_paused
from entrypoints.composition.store_stack import StoreStack

STEPS_SHOWN_MAX = 50


class MoveReader:
    """Reads; changes nothing."""

    def __init__(self, stack: StoreStack, *, soak_seconds: int, clock: Clock) -> None:
        self._stack = stack
        self._soak_seconds = soak_seconds
        self._clock = clock

    async def situation(self) -> Situation:
        """What the guards look at. Raises StoreUnavailable where the source does not answer."""
        stack, direction = self._stack, self._stack.direction
        trouble = await direction.target_trouble()
        verification = await load_evidence(stack.source)
        horizon = await load_horizon(stack.source, verification)
        counts = await self._foreign_changes() if horizon is not None and trouble is None else None
        return Situation(
            owner=(await stack.ownership.required()).ownership,
            metrics=await stack.synchronisation.metrics(),
            target_trouble=trouble,
            verification=verification,
            quarantined=await Quarantine(stack.source).all(),
            processes=await self._processes(can_read_target=trouble is None),
            steps=await steps_of(stack.source),
            edited=None if horizon is None or counts is None else foreign_trouble(horizon, counts),
            is_edited=horizon is not None and counts is not None and is_edited(horizon, counts),
            horizon=None if horizon is None else horizon.at,
            flaws=await self._flaws(can_read_target=trouble is None),
            soak=Soak(
                seconds=self._soak_seconds,
                now=self._clock.now(),
                reads=stack.read_routing.reads_at_target,
            ),
        )

    async def _flaws(self, *, can_read_target: bool) -> Mapping[str, Sequence[SchemaFlaw] | None]:
        source, target = self._stack.direction.raw_source, self._stack.direction.raw_target
        found: dict[str, Sequence[SchemaFlaw] | None] = {source.name: await flaws_of(source)}
        if target is not None:
            found[target.name] = None
            if can_read_target:
                with suppress(StoreUnavailable):
                    found[target.name] = await flaws_of(target)
        return found

    async def _foreign_changes(self) -> Mapping[str, int | None] | None:
        """What each store has counted; None where the target does not answer, which other guards show."""
        source, target = self._stack.direction.raw_source, self._stack.direction.raw_target
        found = {source.name: await foreign_changes_of(source)}
        if target is not None:
            try:
                found[target.name] = await foreign_changes_of(target)
            except StoreUnavailable:
                return None
        return found

    async def status(self) -> MoveStatus:
        """The whole move. Raises StoreUnavailable where the source does not answer."""
        situation = await self.situation()
        owner, direction = situation.owner, self._stack.direction
        step = Step.ROLL_BACK if owner.phase is Phase.CUT_OVER else Step.CUT_OVER
        is_single = direction.raw_target is None
        return MoveStatus(
            phase=owner.phase,
            epoch=owner.epoch,
            owner=owner.owner,
            source=direction.raw_source.name,
            target=None if direction.raw_target is None else direction.raw_target.name,
            next_command=NEXT[owner.phase],
            steps=tuple(situation.steps[-STEPS_SHOWN_MAX:]),
            guards=() if is_single else guards_of(situation, step=step),
            processes=tuple(situation.processes),
            collections=await self._collections(situation),
            last_rehearsal=newest_step(situation.steps, Step.REHEARSE),
            pending=sum(row.pending + row.failed for row in situation.metrics.collections),
            lag_ms=situation.metrics.lag_ms,
            is_paused=await is_backfill_paused(self._stack),
            equal_as_of=_equal_as_of(situation),
            skipped=0 if situation.verification is None else len(situation.verification.skipped),
        )

    async def _processes(self, *, can_read_target: bool) -> tuple[MoveProcess, ...]:
        direction = self._stack.direction
        source = await direction.raw_source.positions()
        if direction.raw_target is None:
            return processes_of(source, Positions())
        target = None
        if can_read_target:
            with suppress(StoreUnavailable):
                target = await direction.raw_target.positions()
        return processes_of(source, target)

    async def _collections(self, situation: Situation) -> tuple[CollectionMove, ...]:
        return tuple([await self._collection(spec.collection, situation) for spec in ENTITY_SPECS])

    async def _collection(self, name: str, situation: Situation) -> CollectionMove:
        direction, owner, evidence = self._stack.direction, situation.owner, situation.verification
        rows = () if evidence is None else evidence.collections
        verified = next((row for row in rows if row.collection == name), None)
        # Asking a target that hangs would take longer than the whole request may.
        target = direction.raw_target if situation.target_trouble is None else None
        read, is_done = await _backfilled(target, name, owner)
        return CollectionMove(
            collection=name,
            source_records=await _count(direction.raw_source, name),
            target_records=await _count(target, name),
            backfilled=read,
            is_backfilled=is_done,
            coverage=None if verified is None else verified.coverage,
            differences=None if verified is None else verified.differences,
            verified_at=None if verified is None or evidence is None else evidence.ended_at,
            route=owner.routes.get(name, Route()),
            fallbacks=self._stack.read_routing.fallbacks_of(name),
        )


def _equal_as_of(situation: Situation) -> datetime | None:
    found = situation.verification
    is_equal = found is not None and found.is_clean and still_holds(found, situation.owner)
    return situation.horizon if is_equal and situation.edited is None else None


async def _backfilled(target: RecordStore | None, name: str, owner: Ownership) -> tuple[int, bool]:
    """How many records of a collection the target was given, and whether that is all; none if it cannot be asked."""
    if target is None or owner.peer is None:
        return 0, False
    destination = Destination(owner.installation, owner.since, owner.peer.incarnation)
    try:
        ranges = await checkpoints_of(target, name, destination)
    except StoreUnavailable:
        return 0, False
    return sum(one.read for one in ranges), bool(ranges) and all(one.is_done for one in ranges)


async def _count(store: RecordStore | None, collection: str) -> int | None:
    if store is None:
        return None
    try:
        return await store.count(collection, EVERYTHING)
    except StoreUnavailable:
        return None
