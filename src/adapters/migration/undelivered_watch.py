"""Whose writes the target lacks, from the source itself: read again and again while the target answers reads.

Other processes write, too, and not every caller repeats the token that they were given.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from loguru import logger

from adapters.dual_write.backlog import UNMARKED
from adapters.records.criteria import Criterion, Equals, Order, Question
from adapters.records.indexes import UNDELIVERED
from adapters.records.record import ID, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS
from application.ports.clock import Clock
from domain.errors import StoreUnavailable

LISTED_MAX = 200
"""So many entries of each state are listed. Beyond it only the age of the oldest one is known."""
LOOK_SECONDS = 0.05
LOOK_AGE_SECONDS_MAX = 0.1
"""How old a look may be that speaks for a caller who has just written through another process."""
LAG_MS_MAX = 5_000
"""A mirror that is further behind answers no reads."""
LAG_LOOK_SECONDS_MAX = 2.0
"""How old a look may be that speaks for the lag."""

_STATES: tuple[Criterion, ...] = (UNMARKED, *(Equals("syncStatus", status) for status in UNDELIVERED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was undelivered. `began_at` is monotonic; `is_whole`: everything is listed."""

    began_at: float
    is_whole: bool = True
    oldest_at: Mapping[str, datetime] = field(default_factory=dict)
    """By collection."""
    callers: frozenset[str] = frozenset()


class UndeliveredWatch:
    """Looks while `is_needed`, about every LOOK_SECONDS."""

    def __init__(
        self,
        source: Callable[[], RecordStore],
        *,
        is_needed: Callable[[], bool],
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._is_needed = is_needed
        self._clock = clock
        self._monotonic = monotonic
        self._last: Look | None = None

    async def run(self) -> None:
        """Never returns."""
        while True:
            if self._is_needed():
                try:
                    await self.look()
                except StoreUnavailable as error:
                    # The last look grows old, and the target answers no reads then.
                    logger.debug("The undelivered entries could not be read: {}", error.message)
                except Exception:  # noqa: BLE001 - without looks the target would answer no reads any more
                    logger.exception("The undelivered entries could not be read")
            await asyncio.sleep(LOOK_SECONDS)

    def forget(self) -> None:
        """Another store is the source now."""
        self._last = None

    async def look(self) -> None:
        """Reads what is undelivered now. Raises StoreUnavailable."""
        began_at, source = self._monotonic(), self._source()
        found: list[Record] = []
        is_whole = True
        for state in _STATES:
            page = await source.find(
                Question(collection=AUDIT_LOGS.collection, where=state, order=Order(ID), limit=LISTED_MAX)
            )
            is_whole = is_whole and len(page) < LISTED_MAX
            found += page
        oldest: dict[str, datetime] = {}
        for entry in found:
            name = entry["collection"]
            oldest[name] = min(oldest.get(name, entry["at"]), entry["at"])
        callers = frozenset(entry["actorId"] for entry in found)
        self._last = Look(began_at=began_at, is_whole=is_whole, oldest_at=oldest, callers=callers)

    def is_behind(self, collection: str) -> bool:
        """Whether the target lacks writes of this collection that are older than LAG_MS_MAX, or may lack them."""
        last = self._last
        if last is None or self._monotonic() - last.began_at > LAG_LOOK_SECONDS_MAX:
            return True
        ages = last.oldest_at
        oldest = ages.get(collection) if last.is_whole else min(ages.values(), default=None)
        if oldest is None:
            return False
        return (self._clock.now() - oldest).total_seconds() * 1000 > LAG_MS_MAX

    def has_confirmed(self, caller_id: str, *, age_seconds_max: float = LOOK_AGE_SECONDS_MAX) -> bool:
        """Whether the target holds everything that the caller wrote before this age."""
        last = self._last
        if last is None or self._monotonic() - last.began_at > age_seconds_max:
            return False
        return last.is_whole and caller_id not in last.callers
