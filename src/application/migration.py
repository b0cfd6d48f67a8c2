"""The live migration, for administrators."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from application.access import require_admin
from application.actor import Actor
from application.ports.key_coverage import KeyCoverage
from application.ports.migration import (
    Job,
    JobState,
    Migration,
    MoveStatus,
    OnProgress,
    Quarantined,
    SwitchResult,
    Work,
)
from application.ports.move_jobs import Jobs
from domain.errors import NotFound, RuleBroken, Violation
from domain.migration import PERCENT_MAX, Route, Step

SELF_TEST_RECORDS = 20


@dataclass(frozen=True, slots=True)
class OperateMove:
    """The steps of a move. Every method raises Forbidden unless the actor is an administrator, and Conflict, with the
    command that helps, where the phase does not allow the step.
    """

    migration: Migration
    jobs: Jobs

    async def status(self, actor: Actor) -> MoveStatus:
        require_admin(actor)
        return await self.migration.status()

    def newest_job(self, actor: Actor) -> Job | None:
        """The long step that was started last in this process."""
        require_admin(actor)
        return self.jobs.newest()

    def job(self, actor: Actor, id: str) -> Job:
        """Raises NotFound."""
        require_admin(actor)
        return self.jobs.get(id)

    async def preflight(self, actor: Actor, *, is_dry_run: bool = False) -> Job:
        """Reads the whole source and changes nothing."""
        require_admin(actor)
        if is_dry_run:
            await self.migration.look_at_stores()
            return _possible("preflight")
        return self.jobs.start("preflight", self.migration.preflight)

    async def backfill(
        self, actor: Actor, *, is_dry_run: bool = False, rate: int | None = None, new_target: bool = False
    ) -> Job:
        """With `new_target`, an empty store takes the place of a lost target first."""

        async def work(on_progress: OnProgress) -> int:
            return await self.migration.backfill(on_progress, by=actor.id, rate=rate, new_target=new_target)

        job = await self._started(
            actor, Step.BACKFILL, work, is_dry_run=is_dry_run, reads_target=not new_target
        )
        if is_dry_run and new_target:
            await self.migration.look_at_new_target()
        return job

    async def recover(self, actor: Actor, *, is_dry_run: bool = False) -> Job:
        """Brings back what the target holds and a restored source lacks."""

        async def work(on_progress: OnProgress) -> Any:
            return await self.migration.recover(on_progress, by=actor.id)

        return await self._started(actor, Step.RECOVER, work, is_dry_run=is_dry_run)

    async def survive(self, actor: Actor, *, force: str | None, is_dry_run: bool = False) -> Job:
        """Makes the target the owner of the writes in place of a lost source. Raises RuleBroken without a reason."""
        require_admin(actor)
        reason = (force or "").strip()
        _require_reason(reason, pointer="/force")
        if is_dry_run:
            await self.migration.require_target()
            return _possible("recover")

        async def work(_on_progress: OnProgress) -> SwitchResult:
            return await self.migration.survive(by=actor.id, reason=reason)

        return self.jobs.start("recover", work)

    async def verify(
        self,
        actor: Actor,
        *,
        is_dry_run: bool = False,
        is_self_test: bool = False,
        is_incremental: bool = False,
    ) -> Job:
        """Compares the stores; an incremental verification compares only the ranges that have changed since the last
        one. With `is_self_test`, tests the comparison itself on a scratch copy.
        """

        async def work(on_progress: OnProgress) -> Any:
            if is_self_test:
                return await self.migration.self_test(SELF_TEST_RECORDS)
            return await self.migration.verify(on_progress, by=actor.id, is_incremental=is_incremental)

        return await self._started(
            actor, Step.VERIFY, work, is_dry_run=is_dry_run, reads_target=not is_self_test
        )

    async def coverage(self, actor: Actor, collection: str, *, buckets: int) -> KeyCoverage:
        """What is known of a collection by ranges of ids."""
        require_admin(actor)
        return await self.migration.coverage(collection, buckets=buckets)

    async def repair(self, actor: Actor, *, is_dry_run: bool = False) -> Job:
        async def work(on_progress: OnProgress) -> Any:
            return await self.migration.repair(on_progress, by=actor.id)

        return await self._started(actor, Step.REPAIR, work, is_dry_run=is_dry_run)

    async def quarantine(self, actor: Actor) -> Sequence[Quarantined]:
        require_admin(actor)
        return await self.migration.quarantine()

    async def decide(
        self, actor: Actor, id: str, *, fix: bool, reason: str, is_dry_run: bool = False
    ) -> Quarantined:
        """Raises NotFound, RuleBroken for a blank reason. A dry run finds the record, and asks the target for a fix."""
        require_admin(actor)
        _require_reason(reason)
        if not is_dry_run:
            return await self.migration.decide(id, fix=fix, reason=reason.strip(), by=actor.id)
        held = {one.id: one for one in await self.migration.quarantine()}
        if id not in held:
            raise NotFound(f"There is no quarantined record {id}. See: tandem move quarantine list")
        if fix:
            await self.migration.require_target()
        return held[id]

    async def route(
        self,
        actor: Actor,
        collection: str,
        *,
        shadow: int,
        target: int,
        is_dry_run: bool = False,
    ) -> None:
        """Raises RuleBroken for a percentage out of range, and NotFound for an unknown collection."""
        require_admin(actor)
        for pointer, percent in (("/shadowPercent", shadow), ("/targetPercent", target)):
            if not 0 <= percent <= PERCENT_MAX:
                wrong = Violation(pointer, f"must be between 0 and {PERCENT_MAX}")
                raise RuleBroken("A percentage is out of range.", violations=[wrong])
        route = Route(shadow_percent=shadow, target_percent=target)
        await self.migration.route(collection, route, by=actor.id, is_dry_run=is_dry_run)

    async def rehearse(self, actor: Actor, *, is_dry_run: bool = False) -> SwitchResult:
        require_admin(actor)
        return await self.migration.rehearse(by=actor.id, is_dry_run=is_dry_run)

    async def cut_over(
        self, actor: Actor, *, is_dry_run: bool = False, force: str | None = None
    ) -> SwitchResult:
        """Raises RuleBroken for a blank reason."""
        require_admin(actor)
        if force is not None:
            _require_reason(force, pointer="/force")
        return await self.migration.cut_over(by=actor.id, force=force, is_dry_run=is_dry_run)

    async def roll_back(
        self, actor: Actor, *, is_dry_run: bool = False, force: str | None = None
    ) -> SwitchResult:
        """Raises RuleBroken for a blank reason."""
        require_admin(actor)
        if force is not None:
            _require_reason(force, pointer="/force")
        return await self.migration.roll_back(by=actor.id, force=force, is_dry_run=is_dry_run)

    async def finish(self, actor: Actor, *, is_dry_run: bool = False) -> str | None:
        """Returns the path of the evidence file; None for a dry run."""
        require_admin(actor)
        return await self.migration.finish(by=actor.id, is_dry_run=is_dry_run)

    async def retire(self, actor: Actor, *, is_dry_run: bool = False) -> None:
        require_admin(actor)
        await self.migration.require(Step.RETIRE)
        if is_dry_run:
            await self.migration.look(Step.RETIRE)
        else:
            await self.migration.retire(by=actor.id)

    async def pause(self, actor: Actor, *, is_paused: bool, is_dry_run: bool = False) -> None:
        """Pauses or resumes the backfill under way, in whichever process it runs. Raises Conflict where none does."""
        require_admin(actor)
        await self.migration.pause(is_paused=is_paused, by=actor.id, is_dry_run=is_dry_run)

    async def _started(
        self, actor: Actor, step: Step, work: Work, *, is_dry_run: bool, reads_target: bool = True
    ) -> Job:
        require_admin(actor)
        await self.migration.require(step, reads_target=reads_target)
        if is_dry_run:
            if reads_target:
                await self.migration.look(step)
            return _possible(step)
        return self.jobs.start(step, work)


def _possible(step: str) -> Job:
    """What a dry run answers: nothing was started, and the step is possible."""
    return Job(id=None, step=step, state=JobState.DONE)


def _require_reason(reason: str, *, pointer: str = "/reason") -> None:
    if not reason.strip():
        blank = Violation(pointer, "must say why")
        raise RuleBroken("Give a reason.", violations=[blank])
