"""Random runs of whole migrations: the source held records before it had a mirror, so the target has to be filled and
compared before the ownership moves, and again whenever it turns out to be an older copy of itself.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from adapters.migration.backfill import Backfill
from adapters.migration.checkpoints import Claim, Destination
from adapters.migration.evidence import keep_evidence, load_evidence, load_horizon, still_holds
from adapters.migration.guards import Situation, Soak, guards_of, require_green
from adapters.migration.in_flight import Patience
from adapters.migration.ownership_change import ChangeOfOwner
from adapters.migration.range_claims import RangeClaims
from adapters.migration.range_loader import BackfillSettings
from adapters.migration.recheck import Point, Recheck, point_of, point_of_takeover
from adapters.migration.row_counts import RowCounts
from adapters.migration.verification import Verifier
from adapters.ownership.control import Ownership
from adapters.records.change_set import Put
from adapters.records.criteria import Question
from adapters.records.loading import Loaded
from adapters.records.raw_reading import RawPage
from adapters.records.record import ID, Record
from application.ports.migration import Verification
from application.ports.synchronisation import SyncMetrics
from domain.errors import Conflict
from domain.migration import Phase, Step
from tests.unit.adapters.migration.backfill_world import ignore
from tests.unit.adapters.migration.move_world import Calls, MovingService, NamedView
from tests.unit.adapters.migration.pair import StepClock
from tests.unit.adapters.migration.random_moves import RECORDS, Deed, RandomMove
from tests.unit.adapters.migration.random_processes import Member
from tests.unit.adapters.ownership.world import Database, View
from tests.unit.contracts.builders import change_set, label, put, task

T = TypeVar("T")
LABELS = 3
PAGE = 2
RARER = 3
"""How much rarer processes end here, since the steps of a migration take longer."""
RETRY_SECONDS = 1.0
PATIENCE = Patience(first_pause_seconds=0.01, pause_seconds_max=0.1, seconds_max=1.0)


class LoadedView(NamedView):
    """A connection of which the calls of a backfill and of a verification may fail as well."""

    def __init__(self, database: Database, name: str, calls: Calls) -> None:
        super().__init__(database, name, calls)
        self._calls_of_loads = calls

    async def _around(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._calls_of_loads.around(call)

    async def load(self, collection: str, records: Sequence[Record], *, checkpoint: Put | None) -> Loaded:
        return await self._around(partial(super().load, collection, records, checkpoint=checkpoint))

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        return await self._around(partial(super().scan, collection, after=after, limit=limit))

    async def find(self, question: Question) -> list[Record]:
        return await self._around(partial(super().find, question))

    async def raw_scan(self, collection: str, *, after: str | None, limit: int) -> RawPage:
        return await self._around(partial(super().raw_scan, collection, after=after, limit=limit))

    async def raw_fetch(self, collection: str, ids: Sequence[str]) -> RawPage:
        return await self._around(partial(super().raw_fetch, collection, ids))


class MigratingService(MovingService):
    """A process that can also fill and compare the target."""

    def views(self) -> tuple[View, View]:
        return (
            LoadedView(self.world.source, self.source_name, self.calls),
            LoadedView(self.world.target, self.target_name, self.calls),
        )

    async def owner(self) -> Ownership:
        return (await self.side.required()).ownership

    async def fill(self) -> None:
        """Runs a backfill of the target as it is now."""
        owner = await self.owner()
        claims = RangeClaims(self.raw_source, Claim(self.side.me, secrets.token_hex(8)), lambda _: False)
        backfill = Backfill(
            self.source,
            self.raw_target,
            destination=Destination(owner.installation, owner.since, _incarnation_of(owner)),
            claims=claims,
            settings=BackfillSettings(page_max=PAGE, retry_seconds=RETRY_SECONDS),
            original=self.raw_source,
        )
        await backfill.run(ignore)

    async def verified(self, clock: StepClock) -> Verification:
        """A verification of both stores, kept as evidence."""
        owner = await self.owner()
        point = await point_of(self.raw_source, self.raw_target, at=clock.now())
        found = await _verifier(self, clock).verify(
            ignore, incarnation=_incarnation_of(owner), epoch=owner.since
        )
        await keep_evidence(self.source, replace(found, started_at=point.at), point)
        if not found.is_clean:
            await self.side.change(Ownership.found_unequal)
        return found


class RandomMigration(RandomMove):
    """One run of an installation that was there before its mirror."""

    first_version = 2
    steps = 1_000
    fault_share = 0.000_2  # a backfill takes many calls

    def __init__(self, seed: int) -> None:
        super().__init__(seed, MigratingService)
        self._clock = StepClock()

    async def _fill(self) -> None:
        puts = [put("tasks", task(number)) for number in range(1, RECORDS + 1)]
        puts += [put("labels", label(number)) for number in range(1, LABELS + 1)]
        await self.world.source.store.commit(change_set(*puts, entries=[]))

    def _deeds(self) -> dict[Deed, int]:
        usual = {deed: weight * RARER for deed, weight in super()._deeds().items()}
        more: dict[Deed, int] = {self._backfill: 3, self._verify: 3, self._prepare: 20, self._move: 15}
        return {**usual, **more, self._pass_time: 30, self._restore: 9, self._end: 1, self._stop: 1}

    async def _backfill(self, member: Member) -> None:
        await _migrating(await member.running()).fill()

    async def _prepare(self, member: Member) -> None:
        """What an operator does before a move."""
        await self._backfill(member)
        await self._deliver(member)
        await self._verify(member)

    async def _verify(self, member: Member) -> None:
        found = await _migrating(await member.running()).verified(self._clock)
        self.happened["verified clean" if found.is_clean else "verified differing"] += 1

    async def _change(self, service: MovingService) -> ChangeOfOwner:
        """As an operator may move the ownership: with evidence that holds, and what has changed since compared."""
        process = _migrating(service)
        owner = await process.owner()
        evidence = await load_evidence(process.source)
        horizon = await load_horizon(process.source, evidence)
        _require_evidence(owner, evidence, self._clock)
        point = horizon if evidence is not None and still_holds(evidence, owner) else None
        if point is None and owner.phase is Phase.CUT_OVER:
            point = await point_of_takeover(process.raw_target, since=owner.since, at=self._clock.now())
        if point is None:
            return service.change()
        recheck = self._recheck(process, owner, point)
        await recheck.catch_up()
        return service.change(recheck)

    def _recheck(self, service: MigratingService, owner: Ownership, point: Point) -> Recheck:
        source, target = service.raw_source, service.raw_target
        compare = partial(
            _verifier(service, self._clock).verify,
            ignore,
            incarnation=_incarnation_of(owner),
            epoch=owner.since,
        )
        counts = RowCounts(
            source, target, clock=self._clock, compare=lambda names: compare(collections=names)
        )
        return Recheck(source, target, since=point, clock=self._clock, patience=PATIENCE, counts=counts)

    async def _settled(self) -> MovingService:
        """Also fills the target and proves that it is complete, unless that is known."""
        service = await super()._settled()
        try:
            await self._change(service)
        except Conflict:
            await _migrating(service).fill()
            found = await _migrating(service).verified(self._clock)
            if not found.is_clean:
                self.findings.append(f"after a backfill differ {found.differences}")
        return service

    async def _require_kept(self, service: MovingService, name: str) -> None:
        await super()._require_kept(service, name)
        for collection, count in (("tasks", RECORDS), ("labels", LABELS)):
            held = await service.raw_source.scan(collection, after=None, limit=1_000)
            if len({record[ID] for record in held}) != count:
                self.findings.append(
                    f"{name} lacks records of {collection} that were there before the mirror"
                )


class WithoutEvidence(RandomMigration):
    """Moves whether or not anything was compared."""

    async def _change(self, service: MovingService) -> ChangeOfOwner:
        return service.change()


class WithOlderEvidence(RandomMigration):
    """Moves with any evidence, also of a mirror that has turned out since to be an older copy of itself."""

    async def _change(self, service: MovingService) -> ChangeOfOwner:
        evidence = await load_evidence(service.source)
        if evidence is None or not evidence.is_clean:
            raise Conflict("The stores were never equal.")
        return service.change()


def _migrating(service: MovingService) -> MigratingService:
    if not isinstance(service, MigratingService):
        raise TypeError("this process does not migrate")
    return service


def _verifier(service: MigratingService, clock: StepClock) -> Verifier:
    return Verifier(service.raw_source, service.raw_target, clock=clock, patience=PATIENCE, page=PAGE)


def _incarnation_of(owner: Ownership) -> int:
    if owner.peer is None:
        raise Conflict("The target was never compared with the source.")
    return owner.peer.incarnation


def _require_evidence(owner: Ownership, evidence: Verification | None, clock: StepClock) -> None:
    metrics = SyncMetrics(
        source="", target="", mode="mirror", paused=False, target_reachable=True, collections=[]
    )
    situation = Situation(
        owner=owner,
        metrics=metrics,
        target_trouble=None,
        verification=evidence,
        quarantined=[],
        processes=[],
        steps=[],
        soak=Soak(0, clock.now(), 0),
    )
    step = Step.ROLL_BACK if owner.phase is Phase.CUT_OVER else Step.CUT_OVER
    require_green(guard for guard in guards_of(situation, step=step) if guard.code == "evidence")
