"""The short numbers of tasks, reserved in blocks through one control record."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence

from adapters.records.change_set import ChangeSet, Put
from adapters.records.criteria import NotNull, Order, Question
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL, TASKS
from domain.errors import Conflict, StoreUnavailable

NUMBERS_ID = "display-numbers"
RESERVED = "reserved"
"""In the control record: the highest number that any process has reserved."""

BLOCK_MAX = 256
BUSY_SECONDS = 1.0
"""A block that lasts less long is followed by one of twice the size."""
ATTEMPTS_MAX = 200
PAUSE_MS_MAX = 32


class StoredDisplayNumbers:
    """The port DisplayNumbers over the store that owns the writes.

    The control record is raised by compare-and-set before a number of the block is given, so a number belongs to one
    process, and dies with it. Everybody who waits in a process is served by one reservation.
    """

    def __init__(self, store: RecordStore, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._next = 1
        self._end = 1
        self._wanted = 0
        self._block = 1
        self._reserved_at: float | None = None
        self._known: tuple[int, int] | None = None
        self._is_doubted = False

    async def next(self) -> int:
        if self._next < self._end and not self._turn.locked():
            return self._take(1)[0]
        return (await self.several(1))[0]

    async def several(self, count: int) -> Sequence[int]:
        self._wanted += count
        try:
            async with self._turn:
                numbers = list(self._take(count))
                while len(numbers) < count:
                    await self._reserve()
                    numbers += self._take(count - len(numbers))
                return numbers
        finally:
            self._wanted -= count

    def start_over(self) -> None:
        self._next = self._end
        self._known = None
        self._is_doubted = True

    def _take(self, count: int) -> range:
        taken = range(self._next, min(self._next + count, self._end))
        self._next = taken.stop
        return taken

    async def _reserve(self) -> None:
        """The next block, large enough for everybody who waits. Others in the way make room: each of their successes
        is a block of theirs, so a rival who asks for little soon has it.
        """
        for attempt in range(ATTEMPTS_MAX):
            version, reserved = self._known or await self._present()
            size = max(self._next_block(), self._wanted)
            record: Record = {ID: NUMBERS_ID, VERSION: version + 1, "value": {RESERVED: reserved + size}}
            self._known = None
            try:
                await self._store.commit(ChangeSet((Put(CONTROL.collection, record, version),)))
            except Conflict:
                await asyncio.sleep(_pause_seconds(attempt))
                continue
            self._known = (version + 1, reserved + size)
            self._next, self._end = reserved + 1, reserved + size + 1
            self._reserved_at, self._block, self._is_doubted = self._seconds(), size, False
            return
        raise StoreUnavailable("Too many tasks are being made at this moment; try again.")

    def _next_block(self) -> int:
        """Twice the last block where that was used up at once, half of it otherwise."""
        if self._reserved_at is None:
            return 1
        is_busy = self._seconds() - self._reserved_at < BUSY_SECONDS
        return min(self._block * 2, BLOCK_MAX) if is_busy else max(self._block // 2, 1)

    async def _present(self) -> tuple[int, int]:
        """The control record's version and the highest number reserved; where there is no record, or it is behind what
        tasks have, the highest number that a task has counts.
        """
        record = (await self._store.fetch(CONTROL.collection, (NUMBERS_ID,))).get(NUMBERS_ID)
        if record is not None and not self._is_doubted:
            return record[VERSION], record["value"][RESERVED]
        highest = await self._highest_present()
        if record is None:
            return 0, highest
        return record[VERSION], max(highest, record["value"][RESERVED])

    async def _highest_present(self) -> int:
        question = Question(
            collection=TASKS.collection,
            where=NotNull("displayId"),
            order=Order("displayId", descending=True),
            limit=1,
        )
        found = await self._store.find(question)
        return int(found[0]["displayId"]) if found else 0


def _pause_seconds(attempt: int) -> float:
    """A random time that grows with the attempts, so that rivals part."""
    return random.uniform(0, min(2**attempt, PAUSE_MS_MAX)) / 1_000  # noqa: S311 - spreads writers, guards nothing
