"""What the target accepts nothing for at present: whole tables, and records whose rows are locked."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from loguru import logger

from adapters.dual_write.grouping import RecordKey
from adapters.records.change_set import Blocked, ChangeSet
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
    """The blocked tables and records that this process knows of. Only one change set at a time tries a blocked table.

    A blocked table of audit entries blocks everything, because every change set has entries.
    """

    def __init__(self) -> None:
        self._blockages: dict[Place, Blockage] = {}
        self.freed: set[str] = set()
        """Collections whose tables accept change sets again; the relay delivers what waited for them."""

    def tables(self) -> list[Blockage]:
        """The blocked tables, in the order in which they were found."""
        return [one for place, one in self._blockages.items() if isinstance(place, str)]

    def note(self, blocked: Blocked) -> None:
        """A change set was not accepted for a reason that has nothing to do with its data."""
        now = asyncio.get_running_loop().time()
        place = _place_of(blocked)
        known = self._blockages.get(place)
        if known is None:
            self._make_room()
            known = self._blockages[place] = Blockage(blocked, now, now)
            logger.warning("{} is blocked and waits: {}", blocked.place, blocked.cause)
        known.blocked = blocked
        known.retry_at = now + PAUSES_SECONDS[min(known.tries, len(PAUSES_SECONDS) - 1)]
        known.tries += 1
        if isinstance(place, str):
            self.freed.discard(place)

    def blocking(self, change_set: ChangeSet) -> Blocked | None:
        """What keeps the change set waiting, if anything.

        None lets it be sent. Once the pause of a blocked table is over, that is true for one change set only.
        """
        now = asyncio.get_running_loop().time()
        standing = [one for place in _places(change_set) if (one := self._blockages.get(place))]
        for one in standing:
            if now < one.retry_at:
                return one.blocked
        for one in standing:
            # Others wait while this change set tries.
            one.retry_at = now + PAUSES_SECONDS[-1]
        return None

    def tried(self, change_set: ChangeSet) -> None:
        """A change set met another obstacle, so what it touches may or may not be blocked: the next one may try."""
        now = asyncio.get_running_loop().time()
        for place in _places(change_set):
            if isinstance(place, str) and (one := self._blockages.get(place)):
                one.retry_at = now

    def accepted(self, change_set: ChangeSet) -> None:
        """The target has stored a change set, so nothing that it touches is blocked."""
        if not self._blockages:
            return
        for place in _places(change_set):
            one = self._blockages.pop(place, None)
            if one is not None and isinstance(place, str):
                logger.info("{} accepts changes again.", one.blocked.place)
                self.freed.add(place)

    def seconds_until_retry(self, blocked: Blocked) -> float:
        """The pause before a change set that waits for this is tried again."""
        one = self._blockages.get(_place_of(blocked))
        return (
            PAUSES_SECONDS[0] if one is None else max(one.retry_at - asyncio.get_running_loop().time(), 0.0)
        )

    def _make_room(self) -> None:
        if len(self._blockages) >= RECORDS_MAX:
            oldest = next((place for place in self._blockages if not isinstance(place, str)), None)
            if oldest is not None:
                del self._blockages[oldest]


def _place_of(blocked: Blocked) -> Place:
    return blocked.collection if blocked.record_id is None else (blocked.collection, blocked.record_id)


def _places(change_set: ChangeSet) -> Iterable[Place]:
    if change_set.entries:
        yield AUDIT_LOGS.collection
    for put in change_set.puts:
        yield put.collection
        yield put.collection, put.record_id
