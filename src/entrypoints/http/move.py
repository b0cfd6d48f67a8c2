"""/v1/move: the live migration, for administrators."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from application.actor import Actor
from application.migration import OperateMove
from application.ports.migration import (
    CollectionMove,
    DifferenceKind,
    Guard,
    Job,
    JobState,
    MoveStatus,
    Quarantined,
    SwitchResult,
)
from domain.migration import PERCENT_MAX, Phase
from entrypoints.http.protocol.answers import instant_text, made_view
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import Body, InstantText, Query

Percent = Annotated[int, Meta(ge=0, le=PERCENT_MAX)]
Reason = Annotated[str, Meta(min_length=1, max_length=500, examples=["The old server fails tonight."])]
RATE_MAX = 1_000_000


class StepQuery(Query, rename="camel"):
    """With `dryRun` nothing is changed: the answer says what the step would find."""

    dry_run: bool = False


class BackfillBody(Body):
    """`rate` bounds the records per second. `newTarget`: an empty store takes the place of a lost target."""

    rate: Annotated[int, Meta(ge=1, le=RATE_MAX)] | None = None
    new_target: bool = False


class VerifyBody(Body):
    """`selfTest` tests the comparison itself on a scratch copy."""

    self_test: bool = False


class RouteBody(Body):
    """Which share of the callers the target answers, and for which it repeats the read to compare it."""

    collection: Annotated[str, Meta(min_length=1, max_length=100, examples=["tasks", "all"])]
    shadow_percent: Percent | None = None
    target_percent: Percent | None = None


class ForceBody(Body):
    """`force` moves the ownership although guards are red, and says why; the reason is stored and shown."""

    force: Reason | None = None


class RecoverBody(Body):
    """`fromTarget`: the source is lost, and the target becomes the owner. That needs `force`, which says why, because
    writes that had not reached the target are given up.
    """

    from_target: bool = False
    force: Reason | None = None


class DecisionBody(Body):
    """Why the record is skipped or tried again."""

    reason: Reason


class GuardView(Struct, rename="camel"):
    """A condition of the step; a red one has a remedy."""

    code: str
    is_green: bool
    detail: str
    remedy: str


class ProgressView(Struct, rename="camel"):
    """How far a long step is; `etaSeconds` is a range: at best, at worst."""

    done: int
    total: int | None
    rate_per_second: int
    eta_seconds: tuple[int, int] | None
    collection: str | None


class JobView(Struct, rename="camel"):
    """A long step. `result` depends on the step; null while it runs."""

    job_id: str
    step: str
    state: JobState
    progress: ProgressView | None
    result: Any
    error: str | None


class SwitchView(Struct, rename="camel"):
    """Who owns the writes now, how long writes paused, and the guards as they were found."""

    owner: str
    epoch: int
    pause_ms: int
    is_dry_run: bool
    guards: tuple[GuardView, ...]


class StepView(Struct, rename="camel"):
    """A step that was taken."""

    step: str
    at: InstantText
    by: str
    detail: str


class ProcessView(Struct, rename="camel"):
    """A process that uses the source."""

    process: str
    is_alive: bool
    mirrors: bool


class RecordsView(Struct):
    """The number of records on both sides, tombstones included; null where a store does not answer."""

    source: int | None
    target: int | None


class CollectionBackfillView(Struct, rename="camel"):
    """How many records were given to the target."""

    done: int
    is_complete: bool


class VerifiedView(Struct, rename="camel"):
    """What the last verification found; null before the first."""

    coverage: float | None
    differences: int | None
    as_of: InstantText | None


class RouteView(Struct, rename="camel"):
    """Which store answers reads. `fallbacks` counts reads that the source answered in place of the target."""

    shadow_percent: int
    target_percent: int
    fallbacks: int


class CollectionMoveView(Struct):
    """One collection on both sides."""

    collection: str
    records: RecordsView
    backfill: CollectionBackfillView
    verified: VerifiedView
    route: RouteView


class RehearsalView(Struct):
    """The last rehearsal."""

    at: InstantText
    detail: str


class MoveView(Struct, rename="camel"):
    """The whole move, with the command to type next."""

    phase: Phase
    epoch: int
    owner: str
    source: str
    target: str | None
    next_command: str
    pending: int
    lag_ms: int
    is_paused: bool
    guards: tuple[GuardView, ...]
    processes: tuple[ProcessView, ...]
    collections: tuple[CollectionMoveView, ...]
    steps: tuple[StepView, ...]
    last_rehearsal: RehearsalView | None


class QuarantinedView(Struct, rename="camel"):
    """A record that the target rejects, as it is stored; `decision` is null until somebody decides."""

    id: str
    collection: str
    record_id: str
    reason: str
    raw: str
    decision: str | None
    decided_because: str | None


class QuarantineView(Struct):
    """The records in quarantine."""

    items: tuple[QuarantinedView, ...]


class DifferenceView(Struct, rename="camel"):
    """A record that differs: names of fields, never values."""

    collection: str
    id: str
    kind: DifferenceKind
    fields: tuple[str, ...]
    source_version: int | None
    target_version: int | None


class FinishedView(Struct, rename="camel"):
    """Where the evidence was written."""

    evidence_file: str


class MoveController(Controller, path="/v1/move", stored=False, also=(403, 409)):
    """The steps of a move. Long steps are answered with a job to follow."""

    operate: OperateMove

    @operation("GET", summary="Read where the move stands", view=MoveView)
    async def status(self, actor: Actor) -> MoveView:
        return move_view(await self.operate.status(actor))

    @operation("GET", "/jobs/{id}", summary="Read a long step of the move", view=JobView)
    async def job(self, actor: Actor, id: str) -> JobView:
        return job_view(self.operate.job(actor, id))

    @operation("POST", "/preflight", summary="Read the source for what the target cannot hold", view=JobView)
    async def preflight(self, actor: Actor, query: StepQuery) -> JobView:
        return job_view(await self.operate.preflight(actor, is_dry_run=query.dry_run))

    @operation("POST", "/backfill", summary="Give the target everything", view=JobView)
    async def backfill(self, actor: Actor, query: StepQuery, body: BackfillBody) -> JobView:
        return job_view(
            await self.operate.backfill(
                actor, is_dry_run=query.dry_run, rate=body.rate, new_target=body.new_target
            )
        )

    @operation("POST", "/recover", summary="Bring a restored source up to its target", view=JobView)
    async def recover(self, actor: Actor, query: StepQuery, body: RecoverBody) -> JobView:
        if body.from_target:
            result = await self.operate.survive(actor, force=body.force)
            return JobView("", "recover", JobState.DONE, None, plain(result), None)
        return job_view(await self.operate.recover(actor, is_dry_run=query.dry_run))

    @operation("POST", "/verify", summary="Compare the stores in full", view=JobView)
    async def verify(self, actor: Actor, query: StepQuery, body: VerifyBody) -> JobView:
        return job_view(
            await self.operate.verify(actor, is_dry_run=query.dry_run, is_self_test=body.self_test)
        )

    @operation("POST", "/repair", summary="Repair what the last verification found", view=JobView)
    async def repair(self, actor: Actor, query: StepQuery) -> JobView:
        return job_view(await self.operate.repair(actor, is_dry_run=query.dry_run))

    @operation("POST", "/routes", summary="Set which store answers reads", view=MoveView)
    async def routes(self, actor: Actor, body: RouteBody) -> MoveView:
        await self.operate.route(
            actor, body.collection, shadow=body.shadow_percent, target=body.target_percent
        )
        return move_view(await self.operate.status(actor))

    @operation("POST", "/rehearse", summary="Rehearse the cut-over and take it back", view=SwitchView)
    async def rehearse(self, actor: Actor, query: StepQuery) -> SwitchView:
        return switch_view(await self.operate.rehearse(actor, is_dry_run=query.dry_run))

    @operation("POST", "/cutover", summary="Make the target the owner of the writes", view=SwitchView)
    async def cut_over(self, actor: Actor, query: StepQuery, body: ForceBody) -> SwitchView:
        return switch_view(await self.operate.cut_over(actor, is_dry_run=query.dry_run, force=body.force))

    @operation("POST", "/rollback", summary="Make the former owner the owner again", view=SwitchView)
    async def roll_back(self, actor: Actor, query: StepQuery, body: ForceBody) -> SwitchView:
        return switch_view(await self.operate.roll_back(actor, is_dry_run=query.dry_run, force=body.force))

    @operation("POST", "/finish", summary="Stop the reverse mirror", view=FinishedView)
    async def finish(self, actor: Actor) -> FinishedView:
        return FinishedView(await self.operate.finish(actor))

    @operation("POST", "/retire", summary="Release the former owner", view=MoveView)
    async def retire(self, actor: Actor) -> MoveView:
        await self.operate.retire(actor)
        return move_view(await self.operate.status(actor))

    @operation("POST", "/pause", summary="Pause the backfill", view=MoveView)
    async def pause(self, actor: Actor) -> MoveView:
        await self.operate.pause(actor, is_paused=True)
        return move_view(await self.operate.status(actor))

    @operation("POST", "/resume", summary="Resume the backfill", view=MoveView)
    async def resume(self, actor: Actor) -> MoveView:
        await self.operate.pause(actor, is_paused=False)
        return move_view(await self.operate.status(actor))

    @operation("GET", "/quarantine", summary="List records that the target rejects", view=QuarantineView)
    async def quarantine(self, actor: Actor) -> QuarantineView:
        return quarantine_view(await self.operate.quarantine(actor))

    @operation("POST", "/quarantine/{id}/fix", summary="Try a rejected record again", view=QuarantinedView)
    async def fix(self, actor: Actor, id: str, body: DecisionBody) -> QuarantinedView:
        return quarantined_view(await self.operate.decide(actor, id, fix=True, reason=body.reason))

    @operation(
        "POST", "/quarantine/{id}/skip", summary="Leave a rejected record behind", view=QuarantinedView
    )
    async def skip(self, actor: Actor, id: str, body: DecisionBody) -> QuarantinedView:
        return quarantined_view(await self.operate.decide(actor, id, fix=False, reason=body.reason))


def move_view(status: MoveStatus) -> MoveView:
    """The view of the whole move."""
    rehearsal = status.last_rehearsal
    return made_view(
        status,
        MoveView,
        guards=tuple(map(_guard_view, status.guards)),
        processes=tuple(made_view(one, ProcessView) for one in status.processes),
        collections=tuple(map(_collection_view, status.collections)),
        steps=tuple(made_view(taken, StepView) for taken in status.steps),
        last_rehearsal=None if rehearsal is None else made_view(rehearsal, RehearsalView),
    )


def _collection_view(row: CollectionMove) -> CollectionMoveView:
    as_of = None if row.verified_at is None else instant_text(row.verified_at)
    return CollectionMoveView(
        collection=row.collection,
        records=RecordsView(row.source_records, row.target_records),
        backfill=CollectionBackfillView(row.backfilled, row.is_backfilled),
        verified=VerifiedView(row.coverage, row.differences, as_of),
        route=RouteView(row.route.shadow_percent, row.route.target_percent, row.fallbacks),
    )


def _guard_view(guard: Guard) -> GuardView:
    return made_view(guard, GuardView)


def job_view(job: Job) -> JobView:
    """The view of a long step; its result under the names of the interface."""
    progress = None if job.progress is None else made_view(job.progress, ProgressView)
    return JobView(job.id, job.step, job.state, progress, plain(job.result), job.error)


def switch_view(result: SwitchResult) -> SwitchView:
    """The view of a change of ownership."""
    return made_view(result, SwitchView, guards=tuple(map(_guard_view, result.guards)))


def quarantine_view(items: Sequence[Quarantined]) -> QuarantineView:
    """The view of the records in quarantine."""
    return QuarantineView(tuple(map(quarantined_view, items)))


def quarantined_view(item: Quarantined) -> QuarantinedView:
    """The view of one record in quarantine."""
    return made_view(item, QuarantinedView)


def plain(value: Any) -> Any:
    """The JSON form of a result: objects with camelCase names, instants as texts, and computed shares."""
    if is_dataclass(value) and not isinstance(value, type):
        named = {_camel(field.name): plain(getattr(value, field.name)) for field in fields(value)}
        computed = ("coverage", "is_clean", "is_clear")
        return named | {_camel(name): getattr(value, name) for name in computed if hasattr(value, name)}
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return {key: plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


MOVE = Resource(controllers=(MoveController,))
