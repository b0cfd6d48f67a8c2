"""What the target accepts nothing for at present: whole tables, and records whose rows are locked."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from loguru import logger

from adapters.dual_write.grouping import RecordKey
from adapters.records.change_set import ApplyOutcome, Blocked, ChangeSet, Rejection
from adapters.records.specs import AUDIT_LOGS

PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0)
"""The pauses before one change set is tried again: the last one repeats, so a table that was repaired is used soon."""
RECORDS_MAX = 10_000
"""Blocked records that a process remembers; further ones are only found again by trying them."""

Place = str | RecordKey
"""A collection, or one record of it."""


@dataclass(slots=True)
class Blockage:
    """Why nothing is accepted here, since when (by the loop's clock), and when one change set is tried again."""

    blocked: Blocked
    since: float
    retry_at: float
    tries: int = 0


class Blockages:
    """The blocked tables and records that this process knows of.

    While one is blocked, only one change set at a time tries it; the others that touch it wait, and with them later
    versions of their records. A blocked table of audit entries blocks everything, as every change set has entries.
    """

    def __init__(self) -> None:
        self._blockages: dict[Place, Blockage] = {}
        self._waiting: dict[RecordKey, Blockage] = {}
        self.freed: set[str] = set()
        """Collections whose tables accept change sets again; the relay delivers what waited for them."""

    def tables(self) -> list[Blockage]:
        """The blocked tables, in the order in which they were found."""
        return [one for place, one in self._blockages.items() if isinstance(place, str)]

    def is_new_table(self, outcome: ApplyOutcome) -> bool:
        """Whether this is about a blocked table that was not known to be blocked."""
        return (
            isinstance(outcome, Blocked)
            and outcome.record_id is None
            and outcome.collection not in self._blockages
        )

    def blocking(self, change_set: ChangeSet) -> Blocked | None:
        """What keeps the change set waiting, if anything.

        None lets it be sent. Once the pause of a blocked table is over, that is true for one change set only.
        """
        if not self._blockages:
            return None
        now = asyncio.get_running_loop().time()
        blocking = [one for place in _places(change_set) if (one := self._blockages.get(place))]
        behind = [one for key in change_set.touched() if (one := self._waiting.get(key))]
        for one in (*blocking, *behind):
            if now < one.retry_at:
                return one.blocked
        for one in blocking:
            # Others wait while this change set tries.
            one.tries += 1
            one.retry_at = now + PAUSES_SECONDS[min(one.tries, len(PAUSES_SECONDS) - 1)]
        return None

    def learn(self, change_sets: Sequence[ChangeSet], outcomes: Iterable[ApplyOutcome]) -> None:
        """Notes what became of change sets that were sent."""
        for change_set, outcome in zip(change_sets, outcomes, strict=True):
            self._learn(change_set, outcome)

    def _learn(self, change_set: ChangeSet, outcome: ApplyOutcome) -> None:
        if isinstance(outcome, Blocked):
            self._wait(change_set, self.note(outcome))
        elif self._blockages and isinstance(outcome, Rejection):
            self._let_next_try(change_set)
        elif self._blockages:
            self._free(change_set)

    def note(self, blocked: Blocked) -> Blockage:
        """A change set was not accepted for a reason that has nothing to do with its data."""
        now = asyncio.get_running_loop().time()
        place = _place_of(blocked)
        known = self._blockages.get(place)
        if known is None:
            _make_room(self._blockages)
            known = self._blockages[place] = Blockage(blocked, now, now + PAUSES_SECONDS[0])
            logger.warning("{} is blocked, so what touches it waits: {}", blocked.place, blocked.cause)
        known.blocked = blocked
        if isinstance(place, str):
            self.freed.discard(place)
        return known

    def seconds_until_retry(self, blocked: Blocked) -> float:
        """The pause before a change set that waits for this is tried again."""
        one = self._blockages.get(_place_of(blocked))
        now = asyncio.get_running_loop().time()
        return PAUSES_SECONDS[0] if one is None else max(one.retry_at - now, PAUSES_SECONDS[0])

    def is_due(self, blockage: Blockage) -> bool:
        """Whether a change set may try now."""
        return asyncio.get_running_loop().time() >= blockage.retry_at

    def forget(self, collection: str) -> None:
        """Nothing waits for this table any more, so nothing can find out whether it is still blocked."""
        self._remove(collection)

    def forget_all(self) -> None:
        """The target does not answer, so that nothing is known of its tables: everything is tried once it does."""
        self.freed |= {place for place in self._blockages if isinstance(place, str)}
        self._blockages.clear()
        self._waiting.clear()

    def _wait(self, change_set: ChangeSet, blockage: Blockage) -> None:
        for key in change_set.touched():
            _make_room(self._waiting)
            self._waiting[key] = blockage

    def _let_next_try(self, change_set: ChangeSet) -> None:
        """A change set was rejected, so its tables may or may not be blocked still: the next one finds out. Its records
        do not wait for anything but its next attempt.
        """
        now = asyncio.get_running_loop().time()
        for place in _places(change_set):
            if not isinstance(place, str):
                self._remove(place)
            elif one := self._blockages.get(place):
                one.retry_at = now

    def _free(self, change_set: ChangeSet) -> None:
        """The target has stored a change set, so nothing that it touches is blocked."""
        for place in _places(change_set):
            blockage = self._remove(place)
            if blockage is not None and isinstance(place, str):
                logger.info("{} accepts changes again.", blockage.blocked.place)
                self.freed.add(place)

    def _remove(self, place: Place) -> Blockage | None:
        blockage = self._blockages.pop(place, None)
        if blockage is not None:
            self._waiting = {key: one for key, one in self._waiting.items() if one is not blockage}
        return blockage


def _make_room(known: dict[Any, Blockage]) -> None:
    """Drops the oldest blocked record of a full table of them; blocked tables are few, and stay."""
    if len(known) >= RECORDS_MAX:
        del known[next(place for place in known if not isinstance(place, str))]


def _place_of(blocked: Blocked) -> Place:
    return blocked.collection if blocked.record_id is None else (blocked.collection, blocked.record_id)


def _places(change_set: ChangeSet) -> Iterable[Place]:
    if change_set.entries:
        yield AUDIT_LOGS.collection
    for put in change_set.puts:
        yield put.collection
        yield put.collection, put.record_id
