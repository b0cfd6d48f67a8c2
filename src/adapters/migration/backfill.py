"""Gives a target everything that the source holds, page by page, beside running requests.

One process runs a backfill: it divides each collection into ranges, begins the next collection when all ranges of one
are loaded, and loads ranges itself. Other processes can help it.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from adapters.migration.checkpoints import Destination, RangeCheckpoint, checkpoints_of, new_ranges
from adapters.migration.id_ranges import ends_of
from adapters.migration.range_claims import RangeClaims
from adapters.migration.range_loader import BackfillSettings, BackfillTarget, RangeLoader, RangeTaken
from adapters.migration.second_try import SecondTry
from adapters.migration.throttle import Speed
from adapters.records.criteria import EVERYTHING
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS
from application.ports.migration import OnProgress, Progress
from domain.errors import StoreUnavailable

COLLECTIONS = tuple(spec.collection for spec in (*ENTITY_SPECS, AUDIT_LOGS))
"""Entities first, in the order of their references; then the history, whose entries say what the target holds."""
OTHERS_POLL_SECONDS = 1.0
"""How often the process that runs a backfill reads how far its helpers are."""


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
        claims: RangeClaims,
        settings: BackfillSettings | None = None,
        original: RecordStore | None = None,
    ) -> None:
        self._source = source
        self._target = target
        self._destination = destination
        self._settings = settings or BackfillSettings()
        self._claims = claims
        self._loader = RangeLoader(
            source,
            target,
            destination=destination,
            settings=self._settings,
            original=original or source,
            on_wait=self._note_wait,
        )
        self._on_progress: OnProgress = _no_progress
        self._collection = COLLECTIONS[0]
        self._retried = self._loader.retried
        self._speed = Speed()
        self._loading: set[str] = set()
        self._read: dict[str, int] = {}
        self._looked_at = 0.0
        self._total = 0
        self.quarantine = self._loader.quarantine
        self._second_try = SecondTry(source, target, original=original)

    async def run(self, on_progress: OnProgress) -> int:
        """Loads what is left; returns how many records were read now, by whichever process.

        Raises Conflict where another backfill fills the same target, or too many records cannot be carried over, and
        StoreUnavailable where a store does not answer for too long. Both can be followed by another run.
        """
        self._on_progress = on_progress
        self._total = sum([await self._source.count(collection, EVERYTHING) for collection in COLLECTIONS])
        before = 0
        for collection in COLLECTIONS:
            self._collection = collection
            begun = await self._retried(partial(self._begun, collection))
            before += self._note(begun)
            self._report(collection, on_progress)
            await self._load_collection(collection, on_progress)
            for record_id in await self.quarantine.undecided_in(collection):
                # A unique value may be free by now.
                await self._second_try.again(collection, record_id)
        return sum(self._read.values()) - before

    async def help(self) -> None:
        """Loads ranges of a backfill that another process runs, until none is free. Raises as `run` does."""
        for collection in COLLECTIONS:
            await self._load_free(collection, _no_progress)

    async def _begun(self, collection: str) -> list[RangeCheckpoint]:
        """The ranges of a collection, all of them stored."""
        begun = await self._ranges(collection)
        if begun:
            return begun
        ends = await ends_of(self._source, collection, await self._range_count(collection))
        for new in reversed(await new_ranges(self._target, collection, ends)):
            await self._loader.store(new)
        return await self._ranges(collection)

    async def _ranges(self, collection: str) -> list[RangeCheckpoint]:
        return await checkpoints_of(self._target, collection, self._destination)

    async def _range_count(self, collection: str) -> int:
        records = await self._source.count(collection, EVERYTHING)
        return max(
            self._settings.workers, min(self._settings.ranges, records // self._settings.range_records_min)
        )

    async def _load_collection(self, collection: str, on_progress: OnProgress) -> None:
        while True:
            await _together(self._load_free(collection, on_progress) for _ in range(self._settings.workers))
            ranges = await self._retried(partial(self._ranges, collection))
            self._speed.note(self._note(ranges))
            self._report(collection, on_progress)
            if all(one.is_done for one in ranges):
                return
            await asyncio.sleep(OTHERS_POLL_SECONDS)

    async def _load_free(self, collection: str, on_progress: OnProgress) -> None:
        """Loads one range after the other, until none is left that nobody loads."""

        async def note_page(checkpoint: RangeCheckpoint) -> None:
            await self._note_page(checkpoint)
            self._report(collection, on_progress)

        while (claimed := await self._retried(partial(self._claimed, collection))) is not None:
            try:
                await self._loader.load_range(claimed, note_page)
            except RangeTaken:
                if await self._retried(partial(self._is_of_another_run, claimed)):
                    raise
            except Exception:
                # Otherwise the others would wait for this process as long as it lives.
                with suppress(StoreUnavailable):
                    await self._loader.release(claimed)
                raise
            finally:
                self._loading.discard(claimed.id)

    async def _claimed(self, collection: str) -> RangeCheckpoint | None:
        """Claims a free range; None if there is none."""
        ranges = [one for one in await self._ranges(collection) if not one.is_done]
        for one in await self._claims.free(ranges):
            if one.id not in self._loading:
                with suppress(RangeTaken):
                    return await self._claim(one)
        return None

    async def _is_of_another_run(self, claimed: RangeCheckpoint) -> bool:
        ranges = await self._ranges(claimed.collection)
        stored = next((one for one in ranges if one.number == claimed.number), None)
        return stored is None or (stored.claim is not None and stored.claim.run != self._claims.mine.run)

    async def _claim(self, one: RangeCheckpoint) -> RangeCheckpoint:
        self._loading.add(one.id)
        try:
            return await self._loader.store(replace(one, claim=self._claims.mine))
        except BaseException:
            self._loading.discard(one.id)
            raise

    async def _note_page(self, checkpoint: RangeCheckpoint) -> None:
        now = asyncio.get_running_loop().time()
        others: list[RangeCheckpoint] = []
        if now >= self._looked_at + OTHERS_POLL_SECONDS:
            self._looked_at = now
            others = await self._retried(partial(self._ranges, checkpoint.collection))
        self._speed.note(self._note([*others, checkpoint]))

    def _note(self, ranges: Iterable[RangeCheckpoint]) -> int:
        """Notes how far ranges are; returns how many records more were read than was known."""
        before = sum(self._read.values())
        for one in ranges:
            self._read[one.id] = max(one.read, self._read.get(one.id, 0))
        return sum(self._read.values()) - before

    def _note_wait(self, reason: str) -> None:
        self._report(self._collection, self._on_progress, waits_for=reason)

    def _report(self, collection: str, on_progress: OnProgress, *, waits_for: str | None = None) -> None:
        done = sum(self._read.values())
        self._total = max(self._total, done)
        slow, _ = self._speed.rates()
        eta = self._speed.eta_seconds(self._total - done)
        on_progress(
            Progress(
                done=done,
                total=self._total,
                rate_per_second=round(slow),
                eta_seconds=eta,
                collection=collection,
                waits_for=waits_for,
            )
        )


def _no_progress(_: Progress) -> None:
    """Whoever runs the backfill shows how far it is."""


async def _together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs all at once; the first failure ends the others."""
    tasks = [asyncio.get_running_loop().create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
