"""Gives a target everything that the source holds, page by page, beside running requests."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from adapters.migration.checkpoints import (
    WORKERS_MAX,
    Destination,
    RangeCheckpoint,
    checkpoints_of,
    ranges_of,
)
from adapters.migration.entry_proof import EntryProof
from adapters.migration.id_ranges import ends_of
from adapters.migration.quarantine import Decision, Quarantine, raw_text
from adapters.migration.retry_budget import RETRY_SECONDS_TOTAL, RetryBudget
from adapters.migration.source_pages import SourcePage, SourcePages
from adapters.migration.throttle import PAGE_MIN, Latency, PageSize, Speed, Throttle
from adapters.records.criteria import EVERYTHING
from adapters.records.loading import LOAD_MAX, BulkLoader, Loaded
from adapters.records.record import ID, CorruptRecord, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS
from application.ports.migration import OnProgress, Progress, Quarantined
from domain.audit import SyncStatus
from domain.errors import Conflict, StoreUnavailable, VersionConflict

COLLECTIONS = tuple(spec.collection for spec in (*ENTITY_SPECS, AUDIT_LOGS))
"""Entities first, in the order of their references; then the history, whose entries say what the target holds."""
PAUSE_POLL_SECONDS = 0.5

T = TypeVar("T")


class BackfillTarget(RecordStore, BulkLoader, Protocol):
    """A store that can be filled."""


async def _never() -> bool:
    return False


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1_000 * 1_000)


def _unknown() -> float | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillSettings:
    """`workers` load ranges of ids at the same time, `rate` bounds the records per second of all together."""

    workers: int = 1
    rate: int | None = None
    page_max: int = LOAD_MAX
    retry_seconds: float = RETRY_SECONDS_TOTAL
    is_paused: Callable[[], Awaitable[bool]] = _never
    latency_ms: Latency = _unknown
    now: Callable[[], datetime] = _now

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= WORKERS_MAX:
            raise ValueError(f"there are 1 to {WORKERS_MAX} workers, not {self.workers}")


class Backfill:
    """One backfill of one target. Every process must mirror its writes before it begins.

    It can be cancelled at any moment: the next one continues after the last page, and reads at most one page of each
    range again. Writes that happen meanwhile reach the target by the mirror; versions decide which state stays.

    `original` is the source without what guards its writes: it can return the bytes of records that it cannot decode.
    """

    def __init__(
        self,
        source: RecordStore,
        target: BackfillTarget,
        *,
        destination: Destination,
        settings: BackfillSettings | None = None,
        original: RecordStore | None = None,
    ) -> None:
        self._source = source
        self._original = original or source
        self._target = target
        self._destination = destination
        self._settings = settings or BackfillSettings()
        self._proof = EntryProof(source, target)
        self._throttle = Throttle(rate=self._settings.rate, latency=self._settings.latency_ms)
        self._speed = Speed()
        self._done = 0
        self._total = 0
        self.quarantine = Quarantine(source)

    async def run(self, on_progress: OnProgress) -> int:
        """Loads what is left; returns how many records were read now.

        Raises Conflict where another backfill fills the same target, or too many records cannot be carried over, and
        StoreUnavailable where a store does not answer for too long. Both can be followed by another run.
        """
        self._total = sum([await self._source.count(collection, EVERYTHING) for collection in COLLECTIONS])
        before = 0
        for collection in COLLECTIONS:
            ranges = await self._retried(partial(self._ranges, collection))
            before += sum(one.read for one in ranges)
            self._done += sum(one.read for one in ranges)
            self._report(collection, on_progress)
            await _together(self._load_range(one, on_progress) for one in ranges if not one.is_done)
            for record_id in await self.quarantine.undecided_in(collection):
                # A unique value may be free by now.
                await self._try_again(collection, record_id)
        return self._done - before

    async def fix(self, id: str, *, reason: str) -> Quarantined:
        """Tries a quarantined record again. Raises NotFound, and Conflict where it is rejected again."""
        kept = await self.quarantine.one(id)
        if not await self._try_again(kept.collection, kept.record_id):
            again = await self.quarantine.one(id)
            raise Conflict(f"{kept.collection} {kept.record_id} still cannot be carried over: {again.reason}")
        return await self.quarantine.note(id, Decision.FIX, because=reason)

    async def _ranges(self, collection: str) -> list[RangeCheckpoint]:
        begun = await checkpoints_of(self._target, collection, self._destination)
        ends = [] if begun else await ends_of(self._source, collection, self._settings.workers)
        return await ranges_of(self._target, collection, self._destination, ends)

    async def _load_range(self, checkpoint: RangeCheckpoint, on_progress: OnProgress) -> None:
        pages = SourcePages(self._original, checkpoint.collection, until=checkpoint.until)
        size = PageSize(page_max=self._settings.page_max)
        reading = self._begin_reading(pages, checkpoint.after, size)
        try:
            while not checkpoint.is_done:
                await self._while_paused()
                page = await reading
                if not page.is_last:
                    reading = self._begin_reading(pages, page.after, size)
                began = asyncio.get_running_loop().time()
                checkpoint = await self._load_page(checkpoint, page, size)
                size.note(len(page.records), asyncio.get_running_loop().time() - began)
                if page.is_last:
                    checkpoint = await self._end_range(checkpoint)
                self._done += len(page.records)
                self._speed.note(len(page.records))
                self._report(checkpoint.collection, on_progress)
                await self._throttle.after_page(len(page.records))
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _begin_reading(
        self, pages: SourcePages, after: str | None, size: PageSize
    ) -> asyncio.Task[SourcePage]:
        """Reads the next page while this one is loaded."""
        limit = self._throttle.page_max(size.records)
        return asyncio.get_running_loop().create_task(self._retried(lambda: pages.read(after, limit)))

    async def _load_page(
        self, checkpoint: RangeCheckpoint, page: SourcePage, size: PageSize
    ) -> RangeCheckpoint:
        """Loads a page, in smaller parts after a failure; returns the checkpoint behind it, not stored yet.

        What was rejected is kept before the checkpoint passes it, so a crash loses no name.
        """
        records, part = page.records, max(len(page.records), 1)
        budget = RetryBudget(self._settings.retry_seconds)
        while records:
            chunk = records[:part]
            try:
                checkpoint, rejected = await self._load(checkpoint, chunk)
            except StoreUnavailable as error:
                await budget.wait(error)
                checkpoint = await self._stored_again(checkpoint)
                size.shrink()
                part = max(part // 2, PAGE_MIN)
                continue
            for record_id, reason in rejected.items():
                raw = next(raw_text(record) for record in chunk if record[ID] == record_id)
                await self.quarantine.add(checkpoint.collection, record_id, reason=reason, raw=raw)
            records = records[part:]
            checkpoint = replace(checkpoint, after=chunk[-1][ID], read=checkpoint.read + len(chunk))
        for each in page.unreadable:
            await self.quarantine.add(checkpoint.collection, each.record_id, reason=each.reason, raw=each.raw)
        return replace(checkpoint, after=page.after)

    async def _end_range(self, checkpoint: RangeCheckpoint) -> RangeCheckpoint:
        budget = RetryBudget(self._settings.retry_seconds)
        while True:
            try:
                ended, _ = await self._load(checkpoint, [], is_done=True)
                return ended
            except StoreUnavailable as error:
                await budget.wait(error)
                checkpoint = await self._stored_again(checkpoint)

    async def _load(
        self, checkpoint: RangeCheckpoint, records: list[Record], *, is_done: bool = False
    ) -> tuple[RangeCheckpoint, dict[str, str]]:
        """Loads records with the checkpoint of everything before them; returns it, and the reasons of rejections."""
        following = checkpoint.passed(checkpoint.after, read=0, is_done=is_done)
        put = following.put_over(checkpoint, self._destination)
        is_history = checkpoint.collection == AUDIT_LOGS.collection
        proven = await self._proof.proven(records) if is_history else []
        if is_history:
            delivered = [entry for entry in records if entry.get("syncStatus") == SyncStatus.SYNCED]
            records = [*delivered, *proven]
        try:
            loaded: Loaded = await self._target.load(checkpoint.collection, records, checkpoint=put)
        except VersionConflict as error:
            raise _other_backfill() from error
        arrived = [entry for entry in proven if entry[ID] not in loaded.rejected]
        await self._proof.mark(arrived, loaded.stamp, at=self._settings.now())
        return following, {record_id: each.reason for record_id, each in loaded.rejected.items()}

    async def _stored_again(self, held: RangeCheckpoint) -> RangeCheckpoint:
        return await self._retried(lambda: self._stored(held))

    async def _stored(self, held: RangeCheckpoint) -> RangeCheckpoint:
        """The checkpoint with the version that the target has now, after a reply that may have been lost."""
        found = await checkpoints_of(self._target, held.collection, self._destination)
        stored = next((one for one in found if one.number == held.number), None)
        if stored is None:
            return held
        if stored.version != held.version and stored.after != held.after:
            raise _other_backfill()
        return replace(held, version=stored.version)

    async def _try_again(self, collection: str, record_id: str) -> bool:
        """Whether a quarantined record is in the target now, or gone from the source."""
        try:
            record = (await self._source.fetch(collection, [record_id])).get(record_id)
        except CorruptRecord:
            return False
        if record is not None:
            loaded = await self._target.load(collection, [record], checkpoint=None)
            if record_id in loaded.rejected:
                reason = loaded.rejected[record_id].reason
                await self.quarantine.add(collection, record_id, reason=reason, raw=raw_text(record))
                return False
        await self.quarantine.release(collection, record_id)
        return True

    async def _while_paused(self) -> None:
        while await self._retried(self._settings.is_paused):  # noqa: ASYNC110 - another process resumes it
            await asyncio.sleep(PAUSE_POLL_SECONDS)

    async def _retried(self, call: Callable[[], Awaitable[T]]) -> T:
        budget = RetryBudget(self._settings.retry_seconds)
        while True:
            try:
                return await call()
            except StoreUnavailable as error:
                await budget.wait(error)

    def _report(self, collection: str, on_progress: OnProgress) -> None:
        self._total = max(self._total, self._done)
        slow, _ = self._speed.rates()
        eta = self._speed.eta_seconds(self._total - self._done)
        on_progress(
            Progress(
                done=self._done,
                total=self._total,
                rate_per_second=round(slow),
                eta_seconds=eta,
                collection=collection,
            )
        )


def _other_backfill() -> Conflict:
    return Conflict(
        "Another backfill fills this target. Wait until it ends, or stop it, and start this one again."
    )


async def _together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs all at once; the first failure ends the others."""
    tasks = [asyncio.get_running_loop().create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
