"""Separates records that are in flight from records that differ, while writes go on."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.migration.comparing import ReadableStore, compare_records
from adapters.records.criteria import AllOf, Equals, OneOf, Question
from adapters.records.indexes import UNDELIVERED, UNDELIVERED_ENTRIES
from adapters.records.raw_reading import RawReader
from adapters.records.specs import AUDIT_LOGS
from application.ports.migration import Difference, DifferenceKind

ASKED_AT_ONCE = 200
ENTRIES_MAX = 1_000
LOOKS_MAX = 50
"""How often a record is read again; only one that changes all the time reaches this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a verification waits for records on their way: pauses that double, and a limit for all of them."""

    first_pause_seconds: float = 0.02
    pause_seconds_max: float = 0.5
    seconds_max: float = 20.0
    """A process that was killed leaves entries that the next one delivers after up to fourteen seconds."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The outcome: confirmed differences, and the ids of records that changed too often to be compared."""

    differences: list[Difference]
    unconfirmed: list[str]


class InFlightCheck:
    """Reads suspects again. One object serves one verification, whose waiting it bounds as a whole."""

    def __init__(
        self,
        source: ReadableStore,
        target: RawReader,
        patience: Patience,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._target = source, target
        self._patience = patience
        self._monotonic = monotonic
        self._waited_seconds = 0.0

    async def confirm(self, collection: str, suspects: Sequence[Difference]) -> Confirmed:
        """Reads each suspect until it is equal, or nothing of it is on its way and it differs nevertheless.

        That no entry waits proves something only about what is read afterwards, since an entry may have been delivered
        and marked between the reading and the question. So a difference counts once it is read again after that.
        """
        differences = [one for one in suspects if one.kind is DifferenceKind.UNREADABLE]
        earlier = {one.id: one for one in suspects if one.kind is not DifferenceKind.UNREADABLE}
        quiet: set[str] = set()
        pause = self._patience.first_pause_seconds
        looks = 0
        while earlier:
            looks += 1
            found = await compare_records(self._source, self._target, collection, sorted(earlier))
            differences += [one for one in found if one.id in quiet and one == earlier[one.id]]
            left = {one.id: one for one in found if not (one.id in quiet and one == earlier[one.id])}
            waiting = await self._undelivered(collection, list(left))
            quiet = set(left) - waiting
            is_out_of_patience = self._waited_seconds >= self._patience.seconds_max and waiting
            if left and (looks >= LOOKS_MAX or is_out_of_patience):
                return self._given_up(differences, left, earlier)
            earlier = left
            if waiting:
                await self._wait(pause)
                pause = min(pause * 2, self._patience.pause_seconds_max)
        return Confirmed(differences, [])

    def _given_up(
        self, differences: list[Difference], left: dict[str, Difference], earlier: dict[str, Difference]
    ) -> Confirmed:
        """A record that moved between the last two looks could not be compared; the target lacks the others."""
        moving = [
            one.id
            for one in left.values()
            if one.source_version != earlier[one.id].source_version
            and one.target_version != earlier[one.id].target_version
        ]
        return Confirmed(differences + [one for one in left.values() if one.id not in moving], moving)

    async def _wait(self, seconds: float) -> None:
        began = self._monotonic()
        await asyncio.sleep(seconds)
        self._waited_seconds += self._monotonic() - began

    async def _undelivered(self, collection: str, ids: Sequence[str]) -> set[str]:
        """Those of the records of which an entry still has to be delivered."""
        found: set[str] = set()
        for start in range(0, len(ids), ASKED_AT_ONCE):
            part = ids[start : start + ASKED_AT_ONCE]
            if collection == AUDIT_LOGS.collection:
                found |= await self._undelivered_entries(part)
            else:
                found |= await self._with_undelivered_entries(collection, part)
        return found

    async def _undelivered_entries(self, ids: Sequence[str]) -> set[str]:
        entries = await self._source.fetch(AUDIT_LOGS.collection, ids)
        waiting = (None, *UNDELIVERED)
        return {record_id for record_id, entry in entries.items() if entry.get("syncStatus") in waiting}

    async def _with_undelivered_entries(self, collection: str, ids: Sequence[str]) -> set[str]:
        of_records = (Equals("collection", collection), OneOf("entityId", tuple(ids)))
        where = AllOf((*of_records, UNDELIVERED_ENTRIES))
        entries = await self._source.find(
            Question(collection=AUDIT_LOGS.collection, where=where, limit=ENTRIES_MAX)
        )
        if len(entries) == ENTRIES_MAX:
            return set(ids)  # some of them may have been left out
        return {entry["entityId"] for entry in entries}
