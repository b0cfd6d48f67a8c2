"""Compares how many records two stores hold before the ownership moves.

What changes through Tandem has an entry, and what others change is counted by triggers. Neither shows what a crash took
out of an unlogged table, or what was deleted while a trigger was disabled. A number that is too low shows it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from adapters.migration.comparing import COMPARED
from adapters.migration.differing import VERIFY, StoresDiffer, named
from adapters.records.raw_reading import RAW_MAX, RawReader
from application.ports.clock import Clock
from application.ports.migration import SkippedRecord, Verification
from domain.entity import ID_LENGTH

RECENT: Final = timedelta(seconds=5)
"""Records whose ids are of the last seconds may be on their way; their entries are compared one by one."""
ROUNDS_MAX: Final = 4
"""How often numbers that differ are counted again before the records are compared."""
PAUSE_SECONDS: Final = 0.1
HELD_SECONDS_MAX: Final = 0.02
"""Counting that takes longer is not repeated while writes wait, since it would take a part of their pause; it was done
a moment before. On two shared cores, 100,000 tasks with their entries took 30 ms.
"""
INSTANT_DIGITS: Final = 12
"""The digits of an id that say when it was made, in milliseconds."""

Compare = Callable[[Sequence[str]], Awaitable[Verification]]
"""Compares some collections record by record."""


class RowCounts:
    """Serves one move. `compare` finds out which records differ where the numbers do. Those in `skipped` are known to
    differ, by a decision.
    """

    def __init__(
        self,
        source: RawReader,
        target: RawReader,
        *,
        clock: Clock,
        compare: Compare,
        skipped: Sequence[SkippedRecord] = (),
        held_seconds_max: float = HELD_SECONDS_MAX,
    ) -> None:
        self._source, self._target = source, target
        self._clock = clock
        self._compare = compare
        self._known = skipped
        self._skipped: dict[str, int] = {}
        """How many more records of a collection the source holds, by a decision of an operator."""
        self._held_seconds_max = held_seconds_max
        self._is_quick = False

    async def require_alike(self) -> None:
        """Compares the numbers while writes go on. Raises StoresDiffer, and StoreUnavailable.

        No record leaves a store before the move is finished, so what the target holds at first cannot be more than what
        the source holds later: equal numbers prove that the target lacked nothing when it was counted.
        """
        await self._count_skipped(self._known)
        now = self._clock.now()
        bounds = _id_of(now - RECENT), _id_of(now + RECENT)
        suspects: Sequence[str] = COMPARED
        for number in range(ROUNDS_MAX):
            if number:
                await asyncio.sleep(PAUSE_SECONDS)
            target = await _older(self._target, suspects, bounds)
            source = await _older(self._source, suspects, bounds)
            suspects = [
                name for name in suspects if source[name] - target[name] != self._skipped.get(name, 0)
            ]
            if not suspects:
                break
        else:
            await self._explain(suspects)
        began = time.monotonic()
        await self._all()
        self._is_quick = time.monotonic() - began <= self._held_seconds_max

    async def require_same(self) -> None:
        """Compares the numbers while nobody writes and nothing is undelivered, where that takes only a moment.

        Raises StoresDiffer, and StoreUnavailable.
        """
        if not self._is_quick:
            return
        source, target = await self._all()
        unequal = [
            f"{name} {source[name]} and {target[name]}"
            for name in COMPARED
            if source[name] - target[name] != self._skipped.get(name, 0)
        ]
        if unequal:
            raise StoresDiffer(f"The stores do not hold equally many records: {'; '.join(unequal)}. {VERIFY}")

    async def _explain(self, suspects: Sequence[str]) -> None:
        found = await self._compare(suspects)
        if found.differences:
            raise StoresDiffer(named(found.differences, count=found.difference_count), found.differences)
        if not found.is_clean:
            raise StoresDiffer(
                f"Only {found.coverage:.1%} of {', '.join(suspects)} could be compared. {VERIFY}"
            )
        await self._count_skipped([one for one in found.skipped if one.collection in suspects])

    async def _count_skipped(self, skipped: Sequence[SkippedRecord]) -> None:
        for name in {one.collection for one in skipped}:
            ids = [one.id for one in skipped if one.collection == name]
            source, target = [await _held(store, name, ids) for store in (self._source, self._target)]
            self._skipped[name] = source - target

    async def _all(self) -> tuple[dict[str, int], dict[str, int]]:
        return await asyncio.gather(_counts(self._source), _counts(self._target))


async def _held(store: RawReader, collection: str, ids: Sequence[str]) -> int:
    """How many of these records a store holds."""
    held = 0
    for start in range(0, len(ids), RAW_MAX):
        page = await store.raw_fetch(collection, ids[start : start + RAW_MAX])
        held += len(page.records) + len(page.unreadable)
    return held


async def _counts(store: RawReader) -> dict[str, int]:
    return {name: await store.raw_count(name) for name in COMPARED}


async def _older(store: RawReader, collections: Sequence[str], bounds: tuple[str, str]) -> dict[str, int]:
    """The numbers of records without the most recent ones. Ids from elsewhere sort before or behind those."""
    first, last = bounds
    return {
        name: await store.raw_count(name, upto=first) + await store.raw_count(name, after=last)
        for name in collections
    }


def _id_of(at: datetime) -> str:
    """The lowest id that is made at an instant."""
    return f"{round(at.timestamp() * 1_000):0{INSTANT_DIGITS}x}".ljust(ID_LENGTH, "0")
