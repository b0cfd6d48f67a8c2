"""Loads one range of a backfill, page by page, each together with the checkpoint of what lies before it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, TypeVar

from adapters.migration.checkpoints import RANGES_MAX, Destination, RangeCheckpoint, stored_again
from adapters.migration.entry_proof import EntryProof
from adapters.migration.quarantine import Quarantine, raw_text
from adapters.migration.retry_budget import RETRY_SECONDS_TOTAL, OnWait, RetryBudget
from adapters.migration.source_pages import SourcePage, SourcePages
from adapters.migration.throttle import PAGE_MIN, Latency, PageSize, Throttle
from adapters.records.loading import LOAD_MAX, BulkLoader, Loaded
from adapters.records.record import ID, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS
from domain.audit import SyncStatus
from domain.errors import Conflict, StoreUnavailable, VersionConflict

PAUSE_POLL_SECONDS = 0.5
RANGE_RECORDS_MIN = 2_000
"""A collection is not divided into ranges that have fewer records."""

T = TypeVar("T")
OnPage = Callable[[RangeCheckpoint], Awaitable[None]]


class RangeTaken(Conflict):
    """Another process loads this part of the target now. If it belongs to another backfill, wait until that ends, or
    stop it, and start this one again.
    """


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
    """`workers` of this process load ranges of ids at the same time, `rate` bounds the records per second of all
    together. A large collection is divided into `ranges`, of which other processes may load some.
    """

    workers: int = 1
    ranges: int = 1
    range_records_min: int = RANGE_RECORDS_MIN
    rate: int | None = None
    page_max: int = LOAD_MAX
    retry_seconds: float = RETRY_SECONDS_TOTAL
    is_paused: Callable[[], Awaitable[bool]] = _never
    latency_ms: Latency = _unknown
    now: Callable[[], datetime] = _now

    def __post_init__(self) -> None:
        for name, number in (("workers", self.workers), ("ranges", self.ranges)):
            if not 1 <= number <= RANGES_MAX:
                raise ValueError(f"there are 1 to {RANGES_MAX} {name}, not {number}")


class RangeLoader:
    """Loads ranges from a source into a target.

    `original` is the source without what guards its writes: it can return the bytes of records that it cannot decode.
    `on_wait` is told why nothing goes on.
    """

    def __init__(
        self,
        source: RecordStore,
        target: BackfillTarget,
        *,
        destination: Destination,
        settings: BackfillSettings,
        original: RecordStore,
        on_wait: OnWait,
    ) -> None:
        self.quarantine = Quarantine(source)
        self._original = original
        self._target = target
        self._destination = destination
        self._settings = settings
        self._on_wait = on_wait
        self._proof = EntryProof(source, target)
        self._throttle = Throttle(rate=settings.rate, latency=settings.latency_ms)

    async def load_range(self, checkpoint: RangeCheckpoint, on_page: OnPage) -> None:
        """Loads what is left of a range. Raises RangeTaken once another process loads it, Conflict for too many records
        that cannot be carried over, and StoreUnavailable.
        """
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
                await on_page(checkpoint)
                await self._throttle.after_page(len(page.records))
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def store(self, checkpoint: RangeCheckpoint) -> RangeCheckpoint:
        """Stores a checkpoint over what it was made from. Raises RangeTaken and StoreUnavailable."""
        stored, _ = await self._load(checkpoint, [])
        return stored

    async def release(self, checkpoint: RangeCheckpoint) -> None:
        """Gives up the claim of a range, wherever it has come to by now. Harmless if another process has taken it.
        Raises StoreUnavailable.
        """
        stored = await stored_again(self._target, checkpoint, self._destination)
        if stored is not None and stored.claim == checkpoint.claim:
            with suppress(RangeTaken):
                await self.store(replace(stored, claim=None))

    async def retried(self, call: Callable[[], Awaitable[T]]) -> T:
        """What a call answers, again and again while a store does not answer. Raises StoreUnavailable in the end."""
        budget = self._budget()
        while True:
            try:
                return await call()
            except StoreUnavailable as error:
                await budget.wait(error)

    def _begin_reading(
        self, pages: SourcePages, after: str | None, size: PageSize
    ) -> asyncio.Task[SourcePage]:
        """Reads the next page while this one is loaded."""
        limit = self._throttle.page_max(size.records)
        return asyncio.get_running_loop().create_task(self.retried(lambda: pages.read(after, limit)))

    async def _load_page(
        self, checkpoint: RangeCheckpoint, page: SourcePage, size: PageSize
    ) -> RangeCheckpoint:
        """Loads a page, in smaller parts after a failure; returns the checkpoint behind it, not stored yet.

        What was rejected is kept before the checkpoint passes it, so a crash loses no name.
        """
        records, part = page.records, max(len(page.records), 1)
        budget = self._budget()
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
            budget = self._budget()
            for record_id, reason in rejected.items():
                raw = next(raw_text(record) for record in chunk if record[ID] == record_id)
                await self.quarantine.add(checkpoint.collection, record_id, reason=reason, raw=raw)
            records = records[part:]
            checkpoint = replace(checkpoint, after=chunk[-1][ID], read=checkpoint.read + len(chunk))
        for each in page.unreadable:
            await self.quarantine.add(checkpoint.collection, each.record_id, reason=each.reason, raw=each.raw)
        return replace(checkpoint, after=page.after)

    async def _end_range(self, checkpoint: RangeCheckpoint) -> RangeCheckpoint:
        budget = self._budget()
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
            raise RangeTaken from error
        arrived = [entry for entry in proven if entry[ID] not in loaded.rejected]
        await self._proof.mark(arrived, loaded.stamp, at=self._settings.now())
        return following, {record_id: each.reason for record_id, each in loaded.rejected.items()}

    async def _stored_again(self, held: RangeCheckpoint) -> RangeCheckpoint:
        """The checkpoint with the version that the target has now, after a reply that may have been lost."""
        stored = await self.retried(partial(stored_again, self._target, held, self._destination))
        if stored is None:
            return held
        if stored.version != held.version and (stored.after, stored.claim) != (held.after, held.claim):
            raise RangeTaken
        return replace(held, version=stored.version)

    def _budget(self) -> RetryBudget:
        return RetryBudget(self._settings.retry_seconds, self._on_wait)

    async def _while_paused(self) -> None:
        while await self.retried(self._settings.is_paused):  # noqa: ASYNC110 - another process resumes it
            await asyncio.sleep(PAUSE_POLL_SECONDS)
