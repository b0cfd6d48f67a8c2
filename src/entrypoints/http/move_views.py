"""The views of the live migration."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from application.ports.migration import (
    CollectionMove,
    Job,
    JobState,
    MoveStatus,
    Quarantined,
    SwitchResult,
)
from domain.migration import PERCENT_MAX, Phase, Step
from entrypoints.http.protocol.answers import instant_text, made_view
from entrypoints.http.protocol.schemas import InstantText


class GuardView(Struct, rename="camel"):
    """A condition of the step; a red one has a remedy. `since` is null where nobody knows."""

    code: str
    is_green: bool = field(name="green")
    detail: str
    remedy: str
    since: InstantText | None


class ProgressView(Struct, rename="camel"):
    """How far a long step is; `etaSeconds` is a range: at best, at worst. `waitsFor`: why it does not go on."""

    done: int
    total: int | None
    rate_per_second: int
    eta_seconds: tuple[int, int] | None
    collection: str | None
    waits_for: str | None


class JobView(Struct, rename="camel"):
    """A long step. `jobId` is null for a dry run. `result` depends on the step; it is null while the step runs."""

    job_id: str | None
    step: str
    state: JobState
    progress: ProgressView | None
    result: Any
    error: str | None
    code: str | None


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
    pause_ms: int | None


class ProcessView(Struct, rename="camel"):
    """A process that uses the source; `mirrors` is null where the target cannot be asked."""

    process: str
    is_alive: bool
    mirrors: bool | None


class RecordsView(Struct):
    """The number of records on both sides, tombstones included; null where a store does not answer."""

    source: int | None
    target: int | None


class BackfillState(StrEnum):
    """How far the backfill of a collection is."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    DONE = "DONE"


class CollectionBackfillView(Struct, rename="camel"):
    """How many records were given to the target. Rate and rest are known while the collection is under way."""

    state: BackfillState
    done: int
    total: int | None
    rate_per_second: int | None
    eta_seconds: tuple[int, int] | None


class VerifiedView(Struct, rename="camel"):
    """What the last verification found; null before the first."""

    coverage: float | None
    differences: int | None
    as_of: InstantText | None


class RouteView(Struct, rename="camel"):
    """`store` answers the reads of `percent` of the callers, the source those of the others. The reads of
    `shadowPercent` are repeated by the target, to compare them. `fallbacks` counts reads that the source answered in
    place of the target.
    """

    store: str
    percent: int
    shadow_percent: int
    fallbacks: int


class CollectionMoveView(Struct):
    """One collection on both sides."""

    collection: str
    records: RecordsView
    backfill: CollectionBackfillView
    verified: VerifiedView
    route: RouteView


class RehearsalView(Struct, rename="camel"):
    """The last rehearsal, and how long writes paused."""

    pause_ms: int | None
    at: InstantText


class ReverseView(Struct, rename="camel"):
    """The mirror from the new owner to the former one."""

    pending: int
    lag_ms: int


class MoveView(Struct, rename="camel"):
    """The whole move, with the command to type next. `reverse` is null before the cut-over and after `finish`; `job` is
    the long step that was started last in the process that answers. Both stores were compared in full and are equal as
    of `equalAsOf`, but for the records that were `skipped` by decision; it is null where nobody can say that.
    """

    phase: Phase
    epoch: int
    owner: str
    source: str
    target: str | None
    next_command: str
    pending: int
    lag_ms: int
    reverse: ReverseView | None
    is_paused: bool
    equal_as_of: InstantText | None
    skipped: int
    guards: tuple[GuardView, ...]
    processes: tuple[ProcessView, ...]
    collections: tuple[CollectionMoveView, ...]
    steps: tuple[StepView, ...]
    last_rehearsal: RehearsalView | None
    job: JobView | None


class KeyCoverageView(Struct, rename="camel"):
    """One letter for each of some consecutive ranges of ids: `E` everything was equal, `D` a record differs, `U` not
    compared as it is. No letters, and no instant, where nothing is known.
    """

    collection: str
    buckets: str
    as_of: InstantText | None


class MoveEventView(Struct):
    """The fields of a server-sent event. `data` is the view of the whole move as JSON, `id` changes with it, and
    `retry` is how many milliseconds a client waits before it asks again.
    """

    retry: int
    id: str
    event: str
    data: str


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


class FinishedView(Struct, rename="camel"):
    """Where the evidence was written; null for a dry run."""

    evidence_file: str | None


def move_view(status: MoveStatus, job: Job | None) -> MoveView:
    """The view of the whole move."""
    reverse = ReverseView(status.pending, status.lag_ms) if status.phase is Phase.CUT_OVER else None
    return made_view(
        status,
        MoveView,
        reverse=reverse,
        collections=tuple(_collection_view(row, status, job) for row in status.collections),
        job=None if job is None else job_view(job),
    )


def job_view(job: Job) -> JobView:
    """The view of a long step; its result under the names of the interface."""
    return made_view(job, JobView, job_id=job.id, result=plain(job.result))


def switch_view(result: SwitchResult) -> SwitchView:
    """The view of a change of ownership."""
    return made_view(result, SwitchView)


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


def _collection_view(row: CollectionMove, status: MoveStatus, job: Job | None) -> CollectionMoveView:
    as_of = None if row.verified_at is None else instant_text(row.verified_at)
    return CollectionMoveView(
        collection=row.collection,
        records=RecordsView(row.source_records, row.target_records),
        backfill=_backfill_view(row, status, job),
        verified=VerifiedView(row.coverage, row.differences, as_of),
        route=_route_view(row, status),
    )


def _backfill_view(row: CollectionMove, status: MoveStatus, job: Job | None) -> CollectionBackfillView:
    progress = job.progress if job is not None and job.is_running and job.step == Step.BACKFILL else None
    if progress is None or progress.collection != row.collection or row.is_backfilled:
        state = BackfillState.DONE if row.is_backfilled else BackfillState.WAITING
        return CollectionBackfillView(state, row.backfilled, row.source_records, None, None)
    state = BackfillState.PAUSED if status.is_paused else BackfillState.RUNNING
    return CollectionBackfillView(
        state, row.backfilled, row.source_records, progress.rate_per_second, progress.eta_seconds
    )


def _route_view(row: CollectionMove, status: MoveStatus) -> RouteView:
    route = row.route
    if route.target_percent and status.target is not None:
        return RouteView(status.target, route.target_percent, route.shadow_percent, row.fallbacks)
    return RouteView(status.source, PERCENT_MAX, route.shadow_percent, row.fallbacks)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
