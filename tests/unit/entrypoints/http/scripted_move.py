"""A move that is told what to answer, for the tests of its interface."""

from collections.abc import Sequence
from typing import Any

from application.ports.key_coverage import KeyCoverage
from application.ports.migration import (
    CollectionMove,
    Guard,
    Job,
    JobState,
    MoveProcess,
    MoveStatus,
    OnProgress,
    Preflight,
    Progress,
    Quarantined,
    Recovered,
    StepTaken,
    SwitchResult,
    Verification,
    Work,
)
from domain.errors import Conflict, NotFound, StoreUnavailable
from domain.migration import Phase, Route, Step
from tests.unit.builders import ANNA, NOON

JOB_ID = "9" * 24
HELD = Quarantined(
    id="quarantine:tasks:7", collection="tasks", record_id="7", reason="It does not fit.", raw="{}"
)
GUARD = Guard(
    code="evidence",
    is_green=False,
    detail="The stores were never compared.",
    remedy="Type: tandem move verify --full",
    since=NOON,
)
REHEARSED = StepTaken(step="rehearse", at=NOON, by=ANNA, detail="Writes paused for 12 ms.", pause_ms=12)
PROGRESS = Progress(done=7, total=9, rate_per_second=3, eta_seconds=(1, 2), collection="tasks")


class ScriptedMigration:
    """The port Migration: every step is possible unless `refusal` says otherwise, and `done` says what was asked."""

    def __init__(self) -> None:
        self.refusal: Conflict | None = None
        self.trouble: StoreUnavailable | None = None
        self.done: list[tuple[Any, ...]] = []
        self.phase = Phase.READING
        self.route_of_tasks = Route(shadow_percent=5, target_percent=20)
        self.is_paused = False

    async def status(self) -> MoveStatus:
        row = CollectionMove(
            collection="tasks",
            source_records=9,
            target_records=7,
            backfilled=7,
            is_backfilled=False,
            coverage=1.0,
            differences=0,
            verified_at=NOON,
            route=self.route_of_tasks,
            fallbacks=4,
        )
        return MoveStatus(
            phase=self.phase,
            epoch=3,
            owner="monty",
            source="monty",
            target="postgres",
            next_command="Run `tandem move cutover`.",
            steps=(REHEARSED,),
            guards=(GUARD,),
            processes=(MoveProcess(process="process 7 on night", is_alive=True, mirrors=False),),
            collections=(row,),
            last_rehearsal=REHEARSED,
            pending=5,
            lag_ms=40,
            is_paused=self.is_paused,
        )

    async def require(self, step: Step, *, reads_target: bool = True) -> None:
        self.done.append(("require", step))
        if self.refusal is not None:
            raise self.refusal
        if reads_target:
            await self.require_target()

    async def require_target(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    async def look(self, step: Step) -> None:
        self.done.append(("look", step))

    async def look_at_stores(self) -> None:
        await self.require_target()

    async def look_at_new_target(self) -> None:
        await self.require_target()

    async def preflight(self, on_progress: OnProgress) -> Preflight:
        on_progress(PROGRESS)
        return Preflight(records={"tasks": 9}, findings=(), estimate_seconds=None)

    async def backfill(
        self, on_progress: OnProgress, *, by: str, rate: int | None = None, new_target: bool = False
    ) -> int:
        on_progress(PROGRESS)
        self.done.append(("backfill", by, rate, new_target))
        return 9

    async def recover(self, on_progress: OnProgress, *, by: str) -> Recovered:
        return Recovered(
            changes=1,
            rebased=0,
            changed_twice=(),
            changed_twice_count=0,
            verification=await self.verify(on_progress, by=by),
        )

    async def survive(self, *, by: str, reason: str) -> SwitchResult:
        return self._switched("survive", by=by, force=reason, is_dry_run=False)

    async def verify(self, on_progress: OnProgress, *, by: str, is_incremental: bool = False) -> Verification:
        on_progress(PROGRESS)
        self.done.append(("verify", by, is_incremental))
        return Verification(
            mode="FULL",
            started_at=NOON,
            ended_at=NOON,
            incarnation=1,
            epoch=3,
            collections=(),
            differences=(),
            difference_count=0,
        )

    async def coverage(self, collection: str, *, buckets: int) -> KeyCoverage:
        return KeyCoverage(collection=collection, buckets="EDU"[:buckets], as_of=NOON)

    async def self_test(self, count: int) -> int:
        self.done.append(("self-test", count))
        return count

    async def repair(self, on_progress: OnProgress, *, by: str) -> Verification:
        return await self.verify(on_progress, by=by)

    async def quarantine(self) -> Sequence[Quarantined]:
        return [HELD]

    async def decide(self, id: str, *, fix: bool, reason: str, by: str) -> Quarantined:
        if id != HELD.id:
            raise NotFound
        self.done.append(("fix" if fix else "skip", id, reason, by))
        return HELD

    async def route(self, collection: str, route: Route, *, by: str, is_dry_run: bool = False) -> None:
        self.done.append(("route", collection, route, by, is_dry_run))

    async def rehearse(self, *, by: str, is_dry_run: bool = False) -> SwitchResult:
        return self._switched("rehearse", by=by, force=None, is_dry_run=is_dry_run)

    async def cut_over(self, *, by: str, force: str | None = None, is_dry_run: bool = False) -> SwitchResult:
        return self._switched("cutover", by=by, force=force, is_dry_run=is_dry_run)

    async def roll_back(self, *, by: str, force: str | None = None, is_dry_run: bool = False) -> SwitchResult:
        return self._switched("rollback", by=by, force=force, is_dry_run=is_dry_run)

    async def finish(self, *, by: str, is_dry_run: bool = False) -> str | None:
        self.done.append(("finish", by, is_dry_run))
        return None if is_dry_run else "/data/move-evidence.json"

    async def retire(self, *, by: str) -> None:
        self.done.append(("retire", by))

    async def pause(self, *, is_paused: bool, by: str, is_dry_run: bool = False) -> None:
        await self.require(Step.PAUSE if is_paused else Step.RESUME)
        if not is_dry_run:
            self.done.append(("pause" if is_paused else "resume", by))

    def _switched(self, step: str, *, by: str, force: str | None, is_dry_run: bool) -> SwitchResult:
        if self.refusal is not None:
            raise self.refusal
        self.done.append((step, by, force, is_dry_run))
        return SwitchResult(owner="postgres", epoch=4, pause_ms=12, guards=(GUARD,), is_dry_run=is_dry_run)


class ScriptedJobs:
    """The port Jobs: one job, which runs until the test says otherwise. Its work is never done."""

    def __init__(self) -> None:
        self.job = Job(id=JOB_ID, step="backfill", state=JobState.RUNNING, progress=PROGRESS)
        self.started: list[str] = []

    def start(self, step: str, work: Work) -> Job:
        del work
        self.started.append(step)
        return self.job

    def get(self, id: str) -> Job:
        if id != self.job.id:
            raise NotFound
        return self.job

    def newest(self) -> Job | None:
        return self.job
