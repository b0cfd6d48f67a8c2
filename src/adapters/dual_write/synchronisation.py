"""The state of the mirror for operators, from the entries in the source and the versions in the target."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters.dual_write.backlog import TROUBLED, UNMARKED, Backlog
from adapters.dual_write.delivery import Outcomes
from adapters.dual_write.discarding import abandonment
from adapters.dual_write.entry_counts import Counts, EntryCounts, SharedAnswer
from adapters.dual_write.latency import MirrorLatencies
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.outbox import requeued
from adapters.dual_write.record_states import RecordStates
from adapters.dual_write.relay import Relay
from adapters.dual_write.settings import DualWriteSettings
from adapters.records.change_set import Blocked, ChangeSet, Rejection
from adapters.records.criteria import AllOf, Criterion, Equals, Question
from adapters.records.record import ID
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS
from application.ports.clock import Clock
from application.ports.synchronisation import (
    BlockedTableSync,
    BreakerState,
    BreakerSync,
    CollectionSync,
    Discard,
    RecordHistory,
    RecordSync,
    Retried,
    RetryOutcome,
    SyncMetrics,
    VersionStatus,
)
from domain.audit import AuditEntry, SyncStatus
from domain.errors import Conflict, MirrorPending, NotFound, StoreUnavailable

METRICS_AGE_SECONDS_MAX = 1.0
"""How long metrics are shared between callers, because unauthenticated callers can request them, too."""

_NO_MIRROR = "There is no mirror: {} is the only store, so nothing can be delivered or given up."


Commit = Callable[[ChangeSet], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Mirror:
    """The parts of the mirror; a single store has none."""

    target: MirrorTarget
    relay: Relay
    latencies: MirrorLatencies
    commit: Commit
    """Commits to the source, through everything that has to know of it."""


class StoredSynchronisation:
    """The port Synchronisation. Without a mirror everything is in sync by definition, and retries raise Conflict."""

    def __init__(
        self, source: RecordStore, mirror: Mirror | None, *, settings: DualWriteSettings, clock: Clock
    ) -> None:
        self._source = source
        self._mirror = mirror
        self._settings = settings
        self._clock = clock
        self._backlog = Backlog(source, settings=settings)
        self._states = RecordStates(source, None if mirror is None else mirror.target, self._backlog)
        self._counts = EntryCounts(source, has_mirror=mirror is not None)
        self._metrics = SharedAnswer(self._measure, seconds=METRICS_AGE_SECONDS_MAX)

    async def metrics(self) -> SyncMetrics:
        return await self._metrics.get()

    async def status(self, collection: str, id: str) -> RecordSync:
        return await self._states.of(collection, id)

    async def failures(self, *, limit: int, after: str | None = None) -> Sequence[AuditEntry]:
        entries = await self._backlog.with_status(TROUBLED, after=after, limit=limit)
        return [AUDIT_LOGS.mapping.from_record(entry) for entry in entries]

    async def retry(self, collection: str, id: str) -> Retried:
        await self.status(collection, id)
        mirror = self._required_mirror()
        await mirror.target.connect()
        outcome, detail = _retried(await mirror.relay.deliver_record(collection, id))
        self._metrics.forget()
        record = await self.status(collection, id)
        if outcome is RetryOutcome.DELIVERED and record.status is SyncStatus.PARKED:
            # Its entries arrived, its state did not: it stays absent.
            outcome, detail = RetryOutcome.REJECTED, record.last_error
        return Retried(outcome=outcome, detail=detail, record=record)

    async def discard(self, collection: str, id: str, discard: Discard) -> RecordSync:
        status = await self.status(collection, id)
        mirror = self._required_mirror()
        if status.status is SyncStatus.SYNCED and not status.is_target_read:
            raise StoreUnavailable(status.last_error)
        if status.status not in (SyncStatus.PARKED, SyncStatus.FAILED):
            raise Conflict("The target rejects no version of this record, so there is nothing to discard.")
        if (absence := await self._states.known_absence(collection, id)) is not None:
            raise Conflict(absence)
        await mirror.target.connect()
        current = (await self._source.fetch(collection, (id,)))[id]
        held = (await mirror.target.fetch(collection, (id,))).get(id)
        now = self._clock.now()
        abandoned = abandonment(collection, current=current, held=held, discard=discard, at=now)
        # It is durable in the source; the delivery below does not depend on the mode.
        with suppress(MirrorPending):
            await mirror.commit(abandoned)
        await mirror.relay.deliver_record(collection, id)
        self._metrics.forget()
        return await self.status(collection, id)

    async def retry_all(self) -> int:
        mirror = self._required_mirror()
        count = 0
        after: str | None = None
        while page := await self._backlog.with_status(TROUBLED, after=after):
            now = self._clock.now()
            await self._source.mark([requeued(entry, now) for entry in page])
            count += len(page)
            after = page[-1][ID]
        mirror.relay.wake()
        self._metrics.forget()
        return count

    async def history(self, collection: str, id: str) -> RecordHistory:
        entries = await self._states.newest(AllOf((Equals("collection", collection), Equals("entityId", id))))
        if not entries:
            raise NotFound
        in_target, trouble = await self._states.held_by_target(entries)
        versions = [
            VersionStatus(
                entry=AUDIT_LOGS.mapping.from_record(entry),
                in_source=True,
                in_target=None if trouble is not None else entry[ID] in in_target,
            )
            for entry in entries
        ]
        return RecordHistory(versions=versions, target_trouble=trouble)

    def _required_mirror(self) -> Mirror:
        """Raises Conflict for a single store."""
        if self._mirror is None:
            raise Conflict(_NO_MIRROR.format(self._source.name))
        return self._mirror

    async def _measure(self) -> SyncMetrics:
        target = None if self._mirror is None else self._mirror.target
        counts = await self._counts.read()
        rate = 0 if target is None else target.rate.per_second()
        waiting = _waiting_of(counts)
        is_reachable = target is not None and await target.is_reachable()
        collections = [await self._collection(name, counts[name]) for name in counts]
        return SyncMetrics(
            source=self._source.name,
            target=None if target is None else target.name,
            mode="single" if target is None else self._settings.mode.value,
            paused=target is not None and not self._settings.enabled,
            target_reachable=is_reachable,
            collections=collections,
            breaker=BreakerSync() if target is None else self._breaker(target),
            blocked_tables=[] if target is None else self._blocked_tables(target, counts),
            lag_ms=await self._lag_ms(collections),
            rate_per_second=rate,
            eta_seconds=math.ceil(waiting / rate) if waiting and rate and is_reachable else None,
        )

    def _breaker(self, target: MirrorTarget) -> BreakerSync:
        breaker = target.breaker
        return BreakerSync(
            state=BreakerState.OPEN if breaker.is_open else BreakerState.CLOSED,
            reason=breaker.reason,
            since=self._instant(breaker.opened_at),
            retry_at=self._instant(breaker.probes_at) if breaker.is_open else None,
        )

    def _blocked_tables(self, target: MirrorTarget, counts: Mapping[str, Counts]) -> list[BlockedTableSync]:
        now = self._clock.now()
        return [
            BlockedTableSync(
                table=blockage.blocked.place,
                cause=blockage.blocked.cause,
                since=self._instant(blockage.since) or now,
                # Every change set has entries, so all wait for the table of entries.
                waiting=_waiting_of(
                    {name: counts[name]} if (name := blockage.blocked.collection) in counts else counts
                ),
            )
            for blockage in target.blockages.tables()
        ]

    def _instant(self, at: float | None) -> datetime | None:
        """The clock's time of a moment that was noted by the loop's clock."""
        if at is None:
            return None
        return self._clock.now() + timedelta(seconds=at - asyncio.get_running_loop().time())

    async def _collection(self, collection: str, counts: Counts) -> CollectionSync:
        pending = counts[SyncStatus.PENDING]
        of_collection = Equals("collection", collection)
        ages = []
        if pending:
            # Two questions, each of which an index answers.
            for where in (UNMARKED, Equals("syncStatus", SyncStatus.PENDING.value)):
                age_ms = await self._age_ms(AllOf((of_collection, where)))
                ages += [] if age_ms is None else [age_ms]
        return CollectionSync(
            collection=collection,
            synced=counts[SyncStatus.SYNCED],
            pending=pending,
            failed=counts[SyncStatus.FAILED],
            parked=counts[SyncStatus.PARKED],
            oldest_pending_age_ms=max(ages, default=None),
            mirror_latency_p50_ms=self._latency_ms(collection, 0.5),
            mirror_latency_p99_ms=self._latency_ms(collection, 0.99),
        )

    def _latency_ms(self, collection: str, share: float) -> int | None:
        measured = None if self._mirror is None else self._mirror.latencies.quantile(collection, share)
        return None if measured is None else round(measured)

    async def _lag_ms(self, collections: Sequence[CollectionSync]) -> int:
        """The age of the oldest entry that is PENDING or FAILED; 0 if there is none."""
        ages = [row.oldest_pending_age_ms for row in collections if row.oldest_pending_age_ms is not None]
        if any(row.failed for row in collections):
            ages.append(await self._age_ms(Equals("syncStatus", SyncStatus.FAILED.value)) or 0)
        return max(ages, default=0)

    async def _age_ms(self, where: Criterion) -> int | None:
        """The age of the oldest entry that matches; None if there is none."""
        found = await self._source.find(Question(collection=AUDIT_LOGS.collection, where=where, limit=1))
        if not found:
            return None
        age: timedelta = self._clock.now() - found[0]["at"]
        return max(0, round(age / timedelta(milliseconds=1)))


def _waiting_of(counts: Mapping[str, Counts]) -> int:
    """The number of entries that the mirror will deliver by itself."""
    return sum(one[SyncStatus.PENDING] + one[SyncStatus.FAILED] for one in counts.values())


def _retried(outcomes: Outcomes) -> tuple[RetryOutcome, str | None]:
    """What a retry did, by the worst of its outcomes."""
    for outcome in outcomes.values():
        if isinstance(outcome, Rejection):
            return RetryOutcome.REJECTED, outcome.reason
    for outcome in outcomes.values():
        if isinstance(outcome, Blocked):
            return RetryOutcome.BLOCKED, f"{outcome.place}: {outcome.cause}"
    return (RetryOutcome.DELIVERED if outcomes else RetryOutcome.NOTHING_TO_DO), None
