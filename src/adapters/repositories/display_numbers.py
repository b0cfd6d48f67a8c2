"""The short numbers of tasks, reserved in blocks through one control record."""

import asyncio
import random
from collections.abc import Sequence

from adapters.records.control_records import (
    DISPLAY_NUMBERS_ID,
    RESERVED,
    read_control,
    write_control,
)
from adapters.records.criteria import NotNull, Order, Question
from adapters.records.record_store import RecordStore
from adapters.records.specs import TASKS
from domain.errors import Conflict, StoreUnavailable

BLOCK = 32
"""The smallest number of reserved numbers; a process that ends leaves a gap of fewer than that."""
ATTEMPTS_MAX = 200
PAUSE_MS_MAX = 32


class StoredDisplayNumbers:
    """The port DisplayNumbers over the store that owns the writes.

    A process raises the control record by compare-and-set before it uses a number of the block, so no other process
    uses that number.
    """

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._lock = asyncio.Lock()
        self._next = 1
        self._end = 1
        self._is_doubted = False

    async def next(self) -> int:
        return (await self.several(1))[0]

    async def several(self, count: int) -> Sequence[int]:
        async with self._lock:
            numbers = list(self._take(count))
            while len(numbers) < count:
                await self._reserve(count - len(numbers))
                numbers += self._take(count - len(numbers))
            return numbers

    def start_over(self) -> None:
        self._next = self._end
        self._is_doubted = True

    def _take(self, count: int) -> range:
        taken = range(self._next, min(self._next + count, self._end))
        self._next = taken.stop
        return taken

    async def _reserve(self, count: int) -> None:
        """Reserves the next block, of at least `count` numbers; tries again where another process was faster."""
        size = max(BLOCK, count)
        for attempt in range(ATTEMPTS_MAX):
            version, reserved = await self._present()
            try:
                await write_control(
                    self._store, DISPLAY_NUMBERS_ID, {RESERVED: reserved + size}, over=version
                )
            except Conflict:
                await asyncio.sleep(_pause_seconds(attempt))
                continue
            self._next, self._end = reserved + 1, reserved + size + 1
            self._is_doubted = False
            return
        raise StoreUnavailable("Too many processes are creating tasks at this moment; try again.")

    async def _present(self) -> tuple[int, int]:
        """The control record's version, and the highest number in use. That is read from the tasks if there is no
        record, or if one of its numbers turned out to be taken.
        """
        version, value = await read_control(self._store, DISPLAY_NUMBERS_ID)
        if value is not None and not self._is_doubted:
            return version, value[RESERVED]
        highest = await self._highest_present()
        return version, highest if value is None else max(highest, value[RESERVED])

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
    """A random pause that grows with the attempts, so that processes do not collide again."""
    return random.uniform(0, min(2**attempt, PAUSE_MS_MAX)) / 1_000  # noqa: S311 - jitter, not a secret
