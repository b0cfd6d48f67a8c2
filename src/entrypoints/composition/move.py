"""The port Migration over the stores of this process."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from adapters.migration.backfill import Backfill
from adapters.migration.backfill_run import BackfillRun
from adapters.migration.census import Census
from adapters.migration.checkpoints import Claim, Destination
from adapters.migration.circumstances import Circumstances
from adapters.migration.evidence import load_evidence
from adapters.migration.guards import guards_of, require_green
from adapters.migration.ownership_change import ChangeOfOwner
from adapters.migration.quarantine import Quarantine
from adapters.migration.range_claims import RangeClaims
from adapters.migration.range_loader import BackfillSettings
from adapters.migration.recheck import Point
from adapters.migration.repair import Repair
from adapters.migration.second_try import SecondTry
from adapters.migration.self_test import self_test
from adapters.migration.skipped import skip
from adapters.migration.steps import note_step
from adapters.ownership.control import Ownership
from adapters.ownership.process_identity import is_gone
from adapters.records.specs import ENTITY_SPECS
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.key_coverage import KeyCoverage
from application.ports.migration import (
    Guard,
    MoveStatus,
    OnProgress,
    Preflight,
    Quarantined,
    Recovered,
    StepTaken,
    SwitchResult,
    Verification,
)
from domain.errors import Conflict, NotFound
from domain.migration import Phase, Route, Step, require_step
from entrypoints.composition.backfill_runs import (
    RunEnded,
    backfill_run,
    is_backfill_paused,
    pause_backfill,
    require_backfill,
    require_run_to_help,
    run_to_help,
)
from entrypoints.composition.dry_runs import MoveDryRuns
from entrypoints.composition.evidence_file import write_evidence
from entrypoints.composition.move_evidence import MoveEvidence, peer_of, raw_target_of
from entrypoints.composition.move_status import MoveReader
from entrypoints.composition.ownership_moves import (
    change_of_owner,
    last_pause_ms,
    retire_former_owner,
)
from entrypoints.composition.recoveries import (
    recover,
    survive,
    take_target,
    until_connected,
)
from entrypoints.composition.settings import Settings, StoreKind
from entrypoints.composition.store_stack import StoreStack
from entrypoints.composition.stores import CompleteStore, scratch_store

ALL = "all"
BACKFILL_WORKERS = 1
"""Encoding the records fills the interpreter of the process, so two workers were no faster than one when measured, and
would slow requests down. Other processes load ranges at the same time.
"""
BACKFILL_RANGES = 4
_OVER_TARGET = frozenset({Step.BACKFILL, Step.VERIFY, Step.REPAIR, Step.RECOVER})
"""The steps that read the target from their beginning; those that move the ownership have a guard for it."""


class Move(MoveDryRuns):
    """Takes each step through the stores of this process; what must last is in the control records."""

    def __init__(
        self, stack: StoreStack, *, settings: Settings, clock: Clock, identifiers: Identifiers
    ) -> None:
        super().__init__(stack, settings=settings)
        self._clock = clock
        self._identifiers = identifiers
        self._evidence = MoveEvidence(stack, clock=clock)
        self._reader = MoveReader(stack, soak_seconds=settings.move_soak_seconds, clock=clock)

    async def status(self) -> MoveStatus:
        return await self._reader.status()

    async def require(self, step: Step, *, reads_target: bool = True) -> None:
        require_step((await self._owner()).phase, step)
        if step in _OVER_TARGET and reads_target:
            await self.require_target()

    async def preflight(self, on_progress: OnProgress) -> Preflight:
        target = self._stack.direction.raw_target
        if target is not None:
            await self.require_target()
        lanes = [self._raw_source, *([] if target is None else [target])]
        around = await Circumstances(self._raw_source, target, clock=self._clock).findings()
        taken = await Census(self._raw_source, lanes=lanes).take(on_progress)
        findings = sorted((*around, *taken.findings), key=lambda one: not one.blocks)
        return replace(taken, findings=tuple(findings))

    async def backfill(
        self, on_progress: OnProgress, *, by: str, rate: int | None = None, new_target: bool = False
    ) -> int:
        await self.require(Step.BACKFILL, reads_target=not new_target)
        if new_target:
            await take_target(self._stack)
            await self._note(Step.BACKFILL, by, "An empty store has taken the place of the target.")
            await until_connected(self._stack)
        # A bound for the rate is kept by a single process.
        is_shared = rate is None and StoreKind.MONTY not in self._settings.stores.named
        async with backfill_run(self._stack, is_shared=is_shared) as run:
            read = await (await self._backfill(run, rate=rate)).run(on_progress)
        await self._reach(Phase.BACKFILLED, only_from=(Phase.MIRRORING,))
        await self._note(Step.BACKFILL, by, f"{read} records were read.")
        return read

    async def help_backfill(self, is_stopping: Callable[[], bool]) -> None:
        """Loads ranges of a backfill that another process runs, until none is free; nothing where there is no such one.

        Raises Conflict where records cannot be carried over, and StoreUnavailable.
        """
        run = await run_to_help(self._stack)
        if run is None:
            return

        async def is_paused() -> bool:
            if is_stopping():
                raise RunEnded
            return await require_run_to_help(self._stack, run)

        with suppress(RunEnded):
            await (await self._backfill(run, is_paused=is_paused)).help()

    async def recover(self, on_progress: OnProgress, *, by: str) -> Recovered:
        await self.require(Step.RECOVER)
        points: list[Point] = []

        async def verify() -> Verification:
            found, point = await self._evidence.compare(on_progress)
            points.append(point)
            return found

        found = await recover(self._stack, verify=verify)
        # Only now does the source take writes again.
        await self._evidence.keep(found.verification, points[-1])
        detail = f"{found.changes} changes came back, {found.rebased} follow them as new versions."
        await self._note(Step.RECOVER, by, detail)
        return found

    async def survive(self, *, by: str, reason: str) -> SwitchResult:
        owner = await survive(self._stack)
        await self._note(Step.RECOVER, by, f"The source was given up: {reason}")
        return SwitchResult(owner=owner.owner, epoch=owner.epoch, pause_ms=0)

    async def verify(self, on_progress: OnProgress, *, by: str, is_incremental: bool = False) -> Verification:
        await self.require(Step.VERIFY)
        owner = await self._owner()
        found = await self._evidence.verify(on_progress, is_incremental=is_incremental)
        if found.is_clean:
            await self._reach(Phase.VERIFIED, only_from=(Phase.MIRRORING, Phase.BACKFILLED), as_seen=owner)
        else:
            await self._stack.ownership.change(Ownership.found_unequal)
        detail = f"{found.coverage:.1%} compared, {found.difference_count} differences"
        detail += f", {len(found.skipped)} skipped." if found.skipped else "."
        await self._note(Step.VERIFY, by, detail)
        return found

    async def coverage(self, collection: str, *, buckets: int) -> KeyCoverage:
        return await self._evidence.coverage(collection, buckets=buckets)

    async def self_test(self, count: int) -> int:
        found = await self_test(self._stack.source, scratch_store, count, clock=self._clock)
        if found != count:
            raise Conflict(
                f"Of {count} corrupted records only {found} were found: do not trust a verification."
            )
        return found

    async def repair(self, on_progress: OnProgress, *, by: str) -> Verification:
        await self.require(Step.REPAIR)
        found = await self._found_differences()
        repair = Repair(
            self._raw_source,
            self._raw_target,
            writer=self._stack.store,
            applier=self._stack.direction.applier,
            clock=self._clock,
            identifiers=self._identifiers,
        )
        done = await repair.repair(found, by=by)
        detail = f"{done.applied} applied, {done.rewritten} rewritten, {len(done.unrepaired)} left."
        await self._note(Step.REPAIR, by, detail)
        return await self.verify(on_progress, by=by)

    async def quarantine(self) -> Sequence[Quarantined]:
        return await Quarantine(self._stack.source).all()

    async def decide(self, id: str, *, fix: bool, reason: str, by: str) -> Quarantined:
        if fix:
            await self.require_target()
            second_try = SecondTry(self._stack.source, self._raw_target, original=self._raw_source)
            decided = await second_try.fix(id, reason=reason)
        else:
            decided = await skip(Quarantine(self._stack.source), self._raw_source, id, because=reason)
        record = f"{decided.collection} {decided.record_id}"
        await self._note(Step.BACKFILL, by, f"{record}: {decided.decision}, {reason}")
        return decided

    async def route(self, collection: str, route: Route, *, by: str, is_dry_run: bool = False) -> None:
        known = [spec.collection for spec in ENTITY_SPECS]
        if collection not in (ALL, *known):
            raise NotFound(f"There is no collection {collection}. There are: {', '.join(known)}, and all.")
        await self.require(Step.ROUTE)
        if is_dry_run:
            return
        chosen = known if collection == ALL else [collection]

        at = self._clock.now()

        def routed(now: Ownership) -> Ownership:
            replaced = {name: route.replacing(now.routes.get(name), now=at) for name in chosen}
            routes = {**now.routes, **replaced}
            used = {name: one for name, one in routes.items() if not one.is_plain}
            return replace(now, routes=used, phase=Phase.READING if used else Phase.VERIFIED)

        await self._stack.ownership.change(routed)
        await self._stack.read_routing.use_routes()
        shares = f"shadow {route.shadow_percent} %, target {route.target_percent} %"
        await self._note(Step.ROUTE, by, f"{collection}: {shares}")

    async def rehearse(self, *, by: str, is_dry_run: bool = False) -> SwitchResult:
        await self.require(Step.REHEARSE)
        guards = [one for one in await self._guards(Step.CUT_OVER) if one.code not in ("rehearsal", "shadow")]
        if is_dry_run:
            return await self._result(0, guards, is_dry_run=True)
        require_green(guards)
        await (await self._change(is_forced=False)).rehearse()
        pause_ms = last_pause_ms(self._stack)
        await self._note(Step.REHEARSE, by, f"Writes paused for {pause_ms} ms.", pause_ms=pause_ms)
        return await self._result(pause_ms, guards)

    async def cut_over(self, *, by: str, force: str | None = None, is_dry_run: bool = False) -> SwitchResult:
        return await self._switch(Step.CUT_OVER, by=by, force=force, is_dry_run=is_dry_run)

    async def roll_back(self, *, by: str, force: str | None = None, is_dry_run: bool = False) -> SwitchResult:
        return await self._switch(Step.ROLL_BACK, by=by, force=force, is_dry_run=is_dry_run)

    async def finish(self, *, by: str, is_dry_run: bool = False) -> str | None:
        await self.require(Step.FINISH)
        await self.require_target()
        require_green(await self._guards(Step.FINISH))
        if is_dry_run:
            return None
        if (recheck := await self._evidence.recheck()) is not None:
            await recheck.catch_up()
        evidence = await load_evidence(self._stack.source)
        status = await self.status()
        path = await asyncio.to_thread(
            write_evidence, self._settings.stores.data_dir, status, evidence, self._clock.now()
        )
        await self._note(Step.FINISH, by, f"Evidence: {path}")
        await self._stack.ownership.change(lambda now: replace(now, mirror_to=None, phase=Phase.FINISHED))
        await self._stack.follow()
        return str(path)

    async def retire(self, *, by: str) -> None:
        await self.require(Step.RETIRE)
        await retire_former_owner(self._stack)
        await self._note(Step.RETIRE, by, "The former owner takes part no more.")

    async def pause(self, *, is_paused: bool, by: str, is_dry_run: bool = False) -> None:
        await self.require(Step.PAUSE if is_paused else Step.RESUME)
        if is_dry_run:
            await require_backfill(self._stack)
            return
        await pause_backfill(self._stack, is_paused=is_paused)
        await self._note(Step.BACKFILL, by, "paused" if is_paused else "resumed")

    async def _switch(self, step: Step, *, by: str, force: str | None, is_dry_run: bool) -> SwitchResult:
        await self.require(step)
        guards = await self._guards(step)
        if is_dry_run:
            return await self._result(0, guards, is_dry_run=True)
        if force is None:
            require_green(guards)
        else:
            await self._note(step, by, f"Forced: {force}")
        owner = await (await self._change(is_forced=force is not None)).run()
        pause_ms = last_pause_ms(self._stack)
        detail = f"{owner.store} owns the writes in epoch {owner.epoch}; they paused for {pause_ms} ms."
        await self._note(step, by, detail, pause_ms=pause_ms)
        return await self._result(pause_ms, guards)

    async def _change(self, *, is_forced: bool) -> ChangeOfOwner:
        await self.require_target()  # the guards may have been overruled
        recheck = None if is_forced else await self._evidence.recheck()
        if recheck is not None:
            # Most of it now, while nobody waits for the move to end.
            await recheck.catch_up()
        return change_of_owner(self._stack, recheck=recheck)

    async def _guards(self, step: Step) -> tuple[Guard, ...]:
        return guards_of(await self._reader.situation(), step=step)

    async def _result(
        self, pause_ms: int, guards: Sequence[Guard], *, is_dry_run: bool = False
    ) -> SwitchResult:
        owner = await self._owner()
        return SwitchResult(
            owner=owner.owner,
            epoch=owner.epoch,
            pause_ms=pause_ms,
            guards=tuple(guards),
            is_dry_run=is_dry_run,
        )

    async def _backfill(
        self,
        run: BackfillRun,
        *,
        rate: int | None = None,
        is_paused: Callable[[], Awaitable[bool]] | None = None,
    ) -> Backfill:
        owner, stack = await self._owner(), self._stack
        return Backfill(
            stack.source,
            self._raw_target,
            destination=Destination(owner.installation, owner.since, peer_of(owner).incarnation),
            claims=RangeClaims(self._raw_source, Claim(stack.ownership.me, run.id), is_gone),
            settings=BackfillSettings(
                workers=BACKFILL_WORKERS,
                ranges=BACKFILL_RANGES if run.is_shared else 1,
                rate=rate,
                is_paused=is_paused or partial(is_backfill_paused, stack),
                latency_ms=stack.observed.latency.p99_ms,
            ),
            original=self._raw_source,
        )

    async def _owner(self) -> Ownership:
        return (await self._stack.ownership.required()).ownership

    @property
    def _raw_source(self) -> CompleteStore:
        return self._stack.direction.raw_source

    @property
    def _raw_target(self) -> CompleteStore:
        return raw_target_of(self._stack)

    async def _reach(
        self, phase: Phase, *, only_from: tuple[Phase, ...], as_seen: Ownership | None = None
    ) -> None:
        """`as_seen`: only if both stores are still those that were looked at."""

        def reached(now: Ownership) -> Ownership:
            is_same = as_seen is None or (now.peer, now.since) == (as_seen.peer, as_seen.since)
            return replace(now, phase=phase) if now.phase in only_from and is_same else now

        await self._stack.ownership.change(reached)

    async def _note(self, step: Step, by: str, detail: str, *, pause_ms: int | None = None) -> None:
        taken = StepTaken(step=step.value, at=self._clock.now(), by=by, detail=detail, pause_ms=pause_ms)
        await note_step(self._stack.source, taken)
