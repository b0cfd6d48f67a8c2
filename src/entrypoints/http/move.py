"""/v1/move: the live migration, for administrators."""

import asyncio
import hashlib
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from application.actor import Actor
from application.migration import OperateMove
from domain.migration import PERCENT_MAX
from entrypoints.http.move_views import (
    FinishedView,
    JobView,
    KeyCoverageView,
    MoveEventView,
    MoveView,
    QuarantinedView,
    QuarantineView,
    SwitchView,
    job_view,
    move_view,
    quarantine_view,
    quarantined_view,
    switch_view,
)
from entrypoints.http.protocol.answers import NO_STORE, Answer, encoded, made_view
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.request import Request
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import Body, Query

# The use case checks the bounds, which are a rule of the domain.
Percent = Annotated[int, Meta(extra_json_schema={"minimum": 0, "maximum": PERCENT_MAX})]
Reason = Annotated[str, Meta(min_length=1, max_length=500, examples=["The old server fails tonight."])]
RATE_MAX = 1_000_000
BUCKETS_MAX = 1_000
EVENTS_TYPE = "text/event-stream"
EVENT_WAIT_SECONDS = 5.0
"""How long an answer waits for a change."""
EVENT_LOOK_SECONDS = 0.5
RECONNECT_MS = 500


class StepQuery(Query, rename="camel"):
    """With `dryRun` nothing is changed: the answer says whether the step is possible and what it would find."""

    dry_run: bool = False


class BackfillBody(Body):
    """`rate` bounds the records per second. `newTarget`: an empty store takes the place of a lost target."""

    rate: Annotated[int, Meta(ge=1, le=RATE_MAX)] | None = None
    new_target: bool = False


class VerifyMode(StrEnum):
    """What a verification compares."""

    FULL = "FULL"
    """Every record."""
    INCREMENTAL = "INCREMENTAL"
    """The ranges of records that have changed in either store since they were equal."""


class VerifyBody(Body):
    """`selfTest` tests the comparison itself on a scratch copy."""

    mode: VerifyMode = VerifyMode.FULL
    self_test: bool = False


class CoverageQuery(Query):
    """At most so many letters."""

    buckets: Annotated[int, Meta(ge=1, le=BUCKETS_MAX)] = 96


class RouteBody(Body):
    """Which share of the callers the target answers, and for which it repeats the read to compare it. Replaces the
    route: a share that is left out is 0.
    """

    collection: Annotated[str, Meta(min_length=1, max_length=100, examples=["tasks", "all"])]
    shadow_percent: Percent = 0
    target_percent: Percent = 0


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


class MoveController(Controller, path="/v1/move", stored=False, also=(403, 409)):
    """The steps of a move. Long steps are answered with a job to follow."""

    operate: OperateMove

    @operation("GET", summary="Read where the move stands", view=MoveView)
    async def status(self, actor: Actor) -> MoveView:
        return move_view(await self.operate.status(actor), self.operate.newest_job(actor))

    @operation(
        "GET",
        "/events",
        summary="Follow the move as server-sent events",
        description="Each answer holds one event with the view of `GET /v1/move`, as soon as that is another one than"
        f" the header Last-Event-ID names, and ends; after {EVENT_WAIT_SECONDS:.0f} s without a change it holds none."
        " Clients for server-sent events ask again by themselves.",
        view=MoveEventView,
        media_type=EVENTS_TYPE,
    )
    async def events(self, request: Request, actor: Actor) -> Answer:
        seen = request.header(b"last-event-id")
        deadline = asyncio.get_running_loop().time() + EVENT_WAIT_SECONDS
        while True:
            view = encoded(await self.status(actor))
            name = hashlib.sha256(view).hexdigest()[:16].encode()
            if name != seen:
                return _events(b"retry: %d\nid: %b\nevent: move\ndata: %b\n" % (RECONNECT_MS, name, view))
            if asyncio.get_running_loop().time() >= deadline:
                return _events(b": nothing has changed\n")
            await asyncio.sleep(EVENT_LOOK_SECONDS)

    @operation(
        "GET",
        "/coverage/{collection}",
        summary="Read what is known of a collection by ranges of ids",
        view=KeyCoverageView,
        also=(404,),
    )
    async def coverage(self, actor: Actor, collection: str, query: CoverageQuery) -> KeyCoverageView:
        return made_view(
            await self.operate.coverage(actor, collection, buckets=query.buckets), KeyCoverageView
        )

    @operation("GET", "/jobs/{id}", summary="Read a long step of the move", view=JobView)
    async def job(self, actor: Actor, id: str) -> JobView:
        return job_view(self.operate.job(actor, id))

    @operation(
        "POST",
        "/preflight",
        summary="Read the source for what the target cannot hold",
        status=202,
        view=JobView,
    )
    async def preflight(self, actor: Actor, query: StepQuery) -> JobView:
        return job_view(await self.operate.preflight(actor, is_dry_run=query.dry_run))

    @operation("POST", "/backfill", summary="Give the target everything", status=202, view=JobView)
    async def backfill(self, actor: Actor, query: StepQuery, body: BackfillBody | None) -> JobView:
        options = body or BackfillBody()
        return job_view(
            await self.operate.backfill(
                actor, is_dry_run=query.dry_run, rate=options.rate, new_target=options.new_target
            )
        )

    @operation(
        "POST", "/recover", summary="Bring a restored source up to its target", status=202, view=JobView
    )
    async def recover(self, actor: Actor, query: StepQuery, body: RecoverBody | None) -> JobView:
        if body is not None and body.from_target:
            return job_view(await self.operate.survive(actor, force=body.force, is_dry_run=query.dry_run))
        return job_view(await self.operate.recover(actor, is_dry_run=query.dry_run))

    @operation("POST", "/verify", summary="Compare the stores", status=202, view=JobView)
    async def verify(self, actor: Actor, query: StepQuery, body: VerifyBody | None) -> JobView:
        options = body or VerifyBody()
        return job_view(
            await self.operate.verify(
                actor,
                is_dry_run=query.dry_run,
                is_self_test=options.self_test,
                is_incremental=options.mode is VerifyMode.INCREMENTAL,
            )
        )

    @operation("POST", "/repair", summary="Repair what the last verification found", status=202, view=JobView)
    async def repair(self, actor: Actor, query: StepQuery) -> JobView:
        return job_view(await self.operate.repair(actor, is_dry_run=query.dry_run))

    @operation("POST", "/routes", summary="Set which store answers reads", view=MoveView, also=(404,))
    async def routes(self, actor: Actor, query: StepQuery, body: RouteBody) -> MoveView:
        await self.operate.route(
            actor,
            body.collection,
            shadow=body.shadow_percent,
            target=body.target_percent,
            is_dry_run=query.dry_run,
        )
        return await self.status(actor)

    @operation("POST", "/rehearse", summary="Rehearse the cut-over and take it back", view=SwitchView)
    async def rehearse(self, actor: Actor, query: StepQuery) -> SwitchView:
        return switch_view(await self.operate.rehearse(actor, is_dry_run=query.dry_run))

    @operation("POST", "/cutover", summary="Make the target the owner of the writes", view=SwitchView)
    async def cut_over(self, actor: Actor, query: StepQuery, body: ForceBody | None) -> SwitchView:
        force = None if body is None else body.force
        return switch_view(await self.operate.cut_over(actor, is_dry_run=query.dry_run, force=force))

    @operation("POST", "/rollback", summary="Make the former owner the owner again", view=SwitchView)
    async def roll_back(self, actor: Actor, query: StepQuery, body: ForceBody | None) -> SwitchView:
        force = None if body is None else body.force
        return switch_view(await self.operate.roll_back(actor, is_dry_run=query.dry_run, force=force))

    @operation("POST", "/finish", summary="Stop the reverse mirror", view=FinishedView)
    async def finish(self, actor: Actor, query: StepQuery) -> FinishedView:
        return FinishedView(await self.operate.finish(actor, is_dry_run=query.dry_run))

    @operation("POST", "/retire", summary="Release the former owner", view=MoveView)
    async def retire(self, actor: Actor, query: StepQuery) -> MoveView:
        await self.operate.retire(actor, is_dry_run=query.dry_run)
        return await self.status(actor)

    @operation("POST", "/pause", summary="Pause the backfill", view=MoveView)
    async def pause(self, actor: Actor, query: StepQuery) -> MoveView:
        await self.operate.pause(actor, is_paused=True, is_dry_run=query.dry_run)
        return await self.status(actor)

    @operation("POST", "/resume", summary="Resume the backfill", view=MoveView)
    async def resume(self, actor: Actor, query: StepQuery) -> MoveView:
        await self.operate.pause(actor, is_paused=False, is_dry_run=query.dry_run)
        return await self.status(actor)

    @operation("GET", "/quarantine", summary="List records that the target rejects", view=QuarantineView)
    async def quarantine(self, actor: Actor) -> QuarantineView:
        return quarantine_view(await self.operate.quarantine(actor))

    @operation(
        "POST", "/quarantine/{record}/fix", summary="Try a rejected record again", view=QuarantinedView
    )
    async def fix(self, actor: Actor, record: str, query: StepQuery, body: DecisionBody) -> QuarantinedView:
        return quarantined_view(
            await self.operate.decide(actor, record, fix=True, reason=body.reason, is_dry_run=query.dry_run)
        )

    @operation(
        "POST", "/quarantine/{record}/skip", summary="Leave a rejected record behind", view=QuarantinedView
    )
    async def skip(self, actor: Actor, record: str, query: StepQuery, body: DecisionBody) -> QuarantinedView:
        return quarantined_view(
            await self.operate.decide(actor, record, fix=False, reason=body.reason, is_dry_run=query.dry_run)
        )


def _events(event: bytes) -> Answer:
    return Answer(event + b"\n", headers=NO_STORE, media_type=EVENTS_TYPE.encode())


MOVE = Resource(controllers=(MoveController,))
