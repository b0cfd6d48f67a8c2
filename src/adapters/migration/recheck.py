"""Compares again, by keyed reads, what has changed since two stores were compared.

Every apply advances a lane of the target, and the mark of an entry names lane and number of the apply that stored it.
So what the target was given since is found by an index of the source, and it is all of it: an entry that was applied
and not marked yet is still undelivered. What others changed in the target past Tandem has no entry; where a store
counts that, its count must not have moved. What left a store without either shows in the number of its records.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from adapters.migration.comparing import ReadableStore, compare_records
from adapters.migration.differing import VERIFY, StoresDiffer, named
from adapters.migration.in_flight import InFlightCheck, Patience
from adapters.migration.row_counts import RowCounts
from adapters.records.change_set import SYNC_LANE, SYNC_NUMBER
from adapters.records.criteria import AllOf, Criterion, Equals, Order, Question, Range
from adapters.records.foreign_changes import CountsForeignChanges, foreign_changes_of
from adapters.records.indexes import UNDELIVERED_ENTRIES
from adapters.records.lanes import Positions
from adapters.records.raw_reading import RawReader
from adapters.records.record import ID, Record
from adapters.records.specs import AUDIT_LOGS
from application.ports.clock import Clock
from application.ports.migration import Difference

PAGE: Final = 500
WAITING_MAX: Final = 1_000
"""With more undelivered entries than this, a round compares nothing: the mirror has to catch up first."""
CHANGES_MAX: Final = 200_000
"""More changes than this are compared by a verification, which is as fast and shows how far it is."""
FEW: Final = 32
"""So many changes may be left to be compared while writes wait: some milliseconds."""
ROUNDS_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where both stores stood at an instant: the number of each lane of the target, and how many foreign changes each
    store that counts them had counted, by its name; None where it did not count them just then.
    """

    at: datetime
    applied: Mapping[int, int]
    foreign: Mapping[str, int | None]


class PointedStore(RawReader, Protocol):
    """A store of which a point can be taken."""

    @property
    def name(self) -> str: ...

    async def positions(self, *, with_checkpointed: bool = False) -> Positions:
        """See LanedStore."""
        ...


class PointedSource(ReadableStore, PointedStore, Protocol):
    """A source of which a point can be taken."""


async def point_of(source: PointedStore, target: PointedStore, *, at: datetime) -> Point:
    """Where both stores stand now. Raises StoreUnavailable."""
    of_source, of_target, positions = await asyncio.gather(
        foreign_changes_of(source), foreign_changes_of(target), target.positions(with_checkpointed=True)
    )
    counts = ((source, of_source), (target, of_target))
    return Point(
        at=at,
        applied={lane: of.number for lane, of in positions.lanes.items()},
        foreign={store.name: count for store, count in counts if isinstance(store, CountsForeignChanges)},
    )


async def point_of_takeover(target: PointedStore, *, since: int, at: datetime) -> Point:
    """Where the target stood when the present owner took over in the epoch `since`, and nothing had come back from it
    yet. Raises StoreUnavailable.
    """
    lanes = (await target.positions(with_checkpointed=True)).lanes
    return Point(
        at=at, applied={lane: of.number for lane, of in lanes.items() if of.epoch < since}, foreign={}
    )


def foreign_trouble(earlier: Point, now: Mapping[str, int | None]) -> str | None:
    """What was changed past Tandem since a point, or why that is not known; None if nothing was."""
    for name, count in earlier.foreign.items():
        found = now.get(name)
        if found is None or count is None:
            when = "at present" if found is None else "when it was compared"
            return (
                f"Changes past Tandem are not counted in the {name} store {when}: a trigger tandem_foreign_change is"
                " missing or not enabled always. Before the next verification, type: tandem migrate up"
            )
        if found != count:
            return (
                f"{found - count} statements have changed the {name} store past Tandem since it was compared."
            )
    return None


def is_edited(earlier: Point, now: Mapping[str, int | None]) -> bool:
    """Whether it is known that something was changed past Tandem since a point."""
    pairs = ((count, now.get(name)) for name, count in earlier.foreign.items())
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)


class Recheck:
    """Moves a point at which both stores were equal forward. `point` is where it stands, `is_complete` whether nothing
    was on its way when it was moved there.
    """

    def __init__(
        self,
        source: PointedSource,
        target: PointedStore,
        *,
        since: Point,
        clock: Clock,
        patience: Patience | None = None,
        counts: RowCounts | None = None,
    ) -> None:
        self._source, self._target = source, target
        self._clock = clock
        self._counts = counts
        self._patience = patience or Patience()
        self.point = since
        self._waiting: list[Record] = []

    @property
    def is_complete(self) -> bool:
        """Whether everything up to the point is equal without what is compared in the next round."""
        return not self._waiting

    async def catch_up(self) -> None:
        """Compares while writes go on, until little is left, and how many records both stores hold, where `counts` were
        given. Raises as `advance` does.
        """
        if self._counts is not None:
            await self._counts.require_alike()
        for _ in range(ROUNDS_MAX):
            if await self.advance() <= FEW:
                return

    async def advance(self) -> int:
        """Compares what has changed since the point, and moves it to now. Returns how many entries that were.

        With too many undelivered entries the point stays. Raises StoresDiffer, and StoreUnavailable.
        """
        now = await self._now()
        undelivered = await self._source.find(
            Question(collection=AUDIT_LOGS.collection, where=UNDELIVERED_ENTRIES, limit=WAITING_MAX)
        )
        if len(undelivered) == WAITING_MAX:
            return 0
        await self._require_few(now)
        # After that: an entry that is marked meanwhile is found by its mark.
        count = 0
        for lane in self._moved(now):
            async for page in self._applied_by(lane):
                count += await self._require_equal(page, is_moving=True)
        ids = {entry[ID] for entry in undelivered}
        await self._require_equal([one for one in self._waiting if one[ID] not in ids], is_moving=True)
        # They may be applied and not marked yet, and are then below the point.
        differing = {(one.collection, one.id) for one in await self._differing(undelivered)}
        self._waiting = [one for one in undelivered if differing & set(_records_of(one))]
        self.point = now
        return count

    async def require_equal(self) -> None:
        """`advance` while nobody writes and nothing is undelivered, so that whatever differs is a difference."""
        now = await self._now()
        await asyncio.gather(
            *(() if self._counts is None else (self._counts.require_same(),)),
            self._require_equal(self._waiting, is_moving=False),
            *(self._require_equal_since(lane) for lane in self._moved(now)),
        )
        self._waiting = []
        self.point = now

    async def _now(self) -> Point:
        now = await point_of(self._source, self._target, at=self._clock.now())
        trouble = foreign_trouble(self.point, now.foreign)
        if trouble is not None:
            raise StoresDiffer(f"{trouble} {VERIFY}")
        if any(now.applied.get(lane, 0) < number for lane, number in self.point.applied.items()):
            raise StoresDiffer(f"The {self._target.name} store is an older copy of itself. {VERIFY}")
        return now

    async def _require_few(self, now: Point) -> None:
        count = 0
        for lane in self._moved(now):
            count += await self._source.count(AUDIT_LOGS.collection, self._since(lane))
        if count > CHANGES_MAX:
            raise StoresDiffer(f"{count} changes have not been compared yet. {VERIFY}")

    async def _require_equal_since(self, lane: int) -> None:
        async for page in self._applied_by(lane):
            await self._require_equal(page, is_moving=False)

    async def _applied_by(self, lane: int) -> AsyncIterator[list[Record]]:
        """The entries that a lane of the target has applied since the point, in pages."""
        after: tuple[int, str] | None = None
        while True:
            question = Question(
                collection=AUDIT_LOGS.collection,
                where=self._since(lane),
                order=Order(SYNC_NUMBER),
                after=after,
                limit=PAGE,
            )
            page = await self._source.find(question)
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = page[-1][SYNC_NUMBER], page[-1][ID]

    def _moved(self, now: Point) -> list[int]:
        known = self.point.applied
        return [lane for lane, number in now.applied.items() if number > known.get(lane, 0)]

    def _since(self, lane: int) -> Criterion:
        above = self.point.applied.get(lane, 0)
        return AllOf((Equals(SYNC_LANE, lane), Range(field=SYNC_NUMBER, above=above)))

    async def _require_equal(self, entries: Sequence[Record], *, is_moving: bool) -> int:
        """Compares the entries and the records that they are about. Raises StoresDiffer."""
        found = await self._differing(entries)
        if found and is_moving:
            found = await self._confirmed(found)
        if found:
            raise StoresDiffer(named(found, count=len(found)), found)
        return len(entries)

    async def _differing(self, entries: Sequence[Record]) -> list[Difference]:
        ids: dict[str, set[str]] = defaultdict(set)
        for collection, record_id in {of for entry in entries for of in _records_of(entry)}:
            ids[collection].add(record_id)
        compared = [
            compare_records(self._source, self._target, collection, sorted(of))
            for collection, of in sorted(ids.items())
        ]
        return [one for found in await asyncio.gather(*compared) for one in found]

    async def _confirmed(self, suspects: Sequence[Difference]) -> list[Difference]:
        """Those that differ although nothing of them is on its way. Raises StoresDiffer where nobody can know."""
        found: list[Difference] = []
        for collection in sorted({one.collection for one in suspects}):
            check = InFlightCheck(self._source, self._target, self._patience)
            confirmed = await check.confirm(
                collection, [one for one in suspects if one.collection == collection]
            )
            if confirmed.unconfirmed:
                raise StoresDiffer(
                    f"{len(confirmed.unconfirmed)} records of {collection} change all the time. {VERIFY}"
                )
            found += confirmed.differences
        return found


def _records_of(entry: Record) -> tuple[tuple[str, str], tuple[str, str]]:
    """The entry itself and the record that it is about, each as collection and id."""
    return (AUDIT_LOGS.collection, entry[ID]), (entry["collection"], entry["entityId"])
