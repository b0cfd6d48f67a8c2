"""Compares two stores in full: every collection, tombstones and entries included, in both directions.

Both stores are walked side by side over the same ranges of ids. A range with equal bytes is equal; otherwise its
records are compared one by one, and those that differ are read again until nothing of them is on its way.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.migration.comparing import COMPARED, ReadableStore, clipped, common_end, compare_pages
from adapters.migration.in_flight import InFlightCheck, Patience
from adapters.migration.ranges import Range, Ranges, compared_range, groups_of
from adapters.records.raw_reading import RANGES_MAX, Digest, RawPage, RawReader
from application.ports.clock import Clock
from application.ports.migration import (
    DIFFERENCES_MAX,
    CollectionCoverage,
    Difference,
    DifferenceKind,
    OnProgress,
    Progress,
    Verification,
)

PAGE: Final = 1_000
"""Records of each store in one range: they are decoded and compared in about 15 ms."""
SUSPECTS_MAX: Final = 500
"""So many differing records of a collection are collected before they are read again."""
FULL, INCREMENTAL, CONTINUOUS = "full", "incremental", "continuous"
_PRESENT = DifferenceKind.MISSING, DifferenceKind.EXTRA


@dataclass(slots=True)
class _Tally:
    """What was found of one collection so far."""

    collection: str
    source: int = 0
    target: int = 0
    union: int = 0
    uncompared: int = 0
    count: int = 0
    suspects: list[Difference] = field(default_factory=list)
    ranges: list[Range] = field(default_factory=list)


class Verifier:
    """Compares a source and a target. `clock` stamps the evidence; `page` is the length of a range."""

    def __init__(
        self,
        source: ReadableStore,
        target: RawReader,
        *,
        clock: Clock,
        patience: Patience | None = None,
        page: int = PAGE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._target = source, target
        self._clock = clock
        self._patience = patience or Patience()
        self._page = page
        self._monotonic = monotonic
        self.ranges: Ranges | None = None
        """The ranges of the last verification."""

    async def verify(
        self,
        on_progress: OnProgress,
        *,
        incarnation: int,
        epoch: int,
        collections: Sequence[str] = COMPARED,
        rate: int | None = None,
        known: Ranges | None = None,
    ) -> Verification:
        """Compares the collections as of now. `rate` bounds the records per second. Raises StoreUnavailable.

        Of the `known` ranges of an earlier verification, only those are compared again whose content has changed in
        either store.

        Records that are written while it runs may or may not be among those compared; those that were there when it
        began all are, or the coverage is below 1.
        """
        ranges = Ranges(incarnation=incarnation, epoch=epoch, by_collection={})
        mode = FULL if known is None else INCREMENTAL
        run = _Run(self, on_progress, collections, known or ranges, rate=rate, ranges=ranges)
        started_at = self._clock.now()
        rows = await run.compare_all()
        self.ranges = ranges
        return Verification(
            mode=mode,
            started_at=started_at,
            ended_at=self._clock.now(),
            incarnation=incarnation,
            epoch=epoch,
            collections=tuple(rows),
            differences=tuple(run.differences),
            difference_count=sum(row.differences for row in rows),
        )

    @property
    def patience(self) -> Patience:
        """How long records on their way are waited for."""
        return self._patience


class _Run:
    """One verification under way."""

    def __init__(
        self,
        verifier: Verifier,
        on_progress: OnProgress,
        collections: Sequence[str],
        known: Ranges,
        *,
        rate: int | None,
        ranges: Ranges,
    ) -> None:
        self._known, self._ranges = known, ranges
        self._source, self._target = verifier._source, verifier._target
        self._page, self._monotonic = verifier._page, verifier._monotonic
        self._in_flight = InFlightCheck(self._source, self._target, verifier.patience)
        self._on_progress = on_progress
        self._collections = collections
        self._rate = rate
        self._done, self._total = 0, 0
        self._began = self._monotonic()
        self.differences: list[Difference] = []

    async def compare_all(self) -> list[CollectionCoverage]:
        counts = {name: await self._counted(name) for name in self._collections}
        self._total = sum(max(pair) for pair in counts.values())
        return [await self._compared(name, *counts[name]) for name in self._collections]

    async def _counted(self, collection: str) -> tuple[int, int]:
        return await asyncio.gather(self._source.raw_count(collection), self._target.raw_count(collection))

    async def _compared(self, collection: str, source: int, target: int) -> CollectionCoverage:
        tally = _Tally(collection)
        await self._walk(tally, after=await self._skip_unchanged(tally), end=None)
        await self._confirm(tally)
        self._ranges.by_collection[collection] = tally.ranges
        return CollectionCoverage(
            collection=collection,
            source=max(source, tally.source),
            target=max(target, tally.target),
            compared=tally.union - tally.uncompared,
            differences=tally.count,
        )

    async def _skip_unchanged(self, tally: _Tally) -> str | None:
        """Goes through the known ranges and compares those that have changed. Returns where the last one ends."""
        known = self._known.of(
            tally.collection, incarnation=self._ranges.incarnation, epoch=self._ranges.epoch
        )
        after: str | None = None
        for group in groups_of(known, RANGES_MAX):
            bounds = [one.upto for one in group]
            found = await asyncio.gather(
                self._source.raw_digests(tally.collection, after=after, bounds=bounds),
                self._target.raw_digests(tally.collection, after=after, bounds=bounds),
            )
            for one, present in zip(group, zip(*found, strict=True), strict=True):
                if one.digest == present:
                    self._count_unchanged(tally, one, present)
                else:
                    await self._walk(tally, after=after, end=one.upto)
                after = one.upto
            await self._keep_rate()
        return after

    def _count_unchanged(self, tally: _Tally, one: Range, present: tuple[Digest, ...]) -> None:
        source, target = present
        tally.source += source.count
        tally.target += target.count
        tally.union += source.count
        tally.ranges.append(one)
        self._done += source.count
        self._report(tally.collection)

    async def _walk(self, tally: _Tally, *, after: str | None, end: str | None) -> None:
        """Compares the records with ids behind `after`, up to `end`; to the end of the collection without one."""
        pages = await self._next(tally.collection, after)
        while True:
            upto = common_end(pages)
            is_last = upto is None or (end is not None and upto >= end)
            ahead = (
                None if is_last or upto is None else asyncio.create_task(self._next(tally.collection, upto))
            )
            try:
                self._note(tally, *pages, upto=end if is_last else upto)
                await self._keep_rate()
                if len(tally.suspects) >= SUSPECTS_MAX:
                    await self._confirm(tally)
            except BaseException:
                if ahead is not None:
                    ahead.cancel()
                raise
            if ahead is None:
                return
            pages = await ahead

    async def _next(self, collection: str, after: str | None) -> tuple[RawPage, RawPage]:
        return await asyncio.gather(
            self._source.raw_scan(collection, after=after, limit=self._page),
            self._target.raw_scan(collection, after=after, limit=self._page),
        )

    def _note(self, tally: _Tally, *pages: RawPage, upto: str | None) -> None:
        source, target = (clipped(page, upto) for page in pages)
        compared = compare_pages(tally.collection, source, target)
        tally.source += compared.source
        tally.target += compared.target
        tally.union += compared.union
        tally.suspects += compared.differences
        one = compared_range(source, target, upto=upto, is_equal=not compared.differences)
        if one is not None:
            tally.ranges.append(one)
        self._done += compared.union
        self._report(tally.collection)

    async def _confirm(self, tally: _Tally) -> None:
        suspects, tally.suspects = tally.suspects, []
        confirmed = await self._in_flight.confirm(tally.collection, suspects)
        left = {one.id for one in confirmed.differences}
        # What has arrived since, or could not be compared, is there on both sides.
        tally.target += sum(one.kind is DifferenceKind.MISSING and one.id not in left for one in suspects)
        tally.source += sum(one.kind is DifferenceKind.EXTRA and one.id not in left for one in suspects)
        unreadable = sum(one.kind is DifferenceKind.UNREADABLE for one in confirmed.differences)
        tally.uncompared += len(confirmed.unconfirmed) + unreadable
        tally.count += len(confirmed.differences)
        self.differences += confirmed.differences[: DIFFERENCES_MAX - len(self.differences)]

    async def _keep_rate(self) -> None:
        """Lets others go first, and waits where a rate is set."""
        due = 0.0 if self._rate is None else self._done / self._rate - (self._monotonic() - self._began)
        await asyncio.sleep(max(0.0, due))

    def _report(self, collection: str) -> None:
        seconds = max(self._monotonic() - self._began, 1e-6)
        rate = round(self._done / seconds)
        left = max(0, self._total - self._done)
        eta = (round(left / rate * 0.8), round(left / rate * 1.5) + 1) if rate else None
        self._on_progress(
            Progress(
                done=self._done,
                total=max(self._total, self._done),
                rate_per_second=rate,
                eta_seconds=eta,
                collection=collection,
            )
        )
