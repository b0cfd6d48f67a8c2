"""The lanes of one process in a store with several connections: one for each write in flight, opened when needed."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from loguru import logger

from adapters.records.change_set import LaneStamp
from adapters.records.lanes import LANE_BITS, Admission, LaneLost
from domain.errors import StoreUnavailable, TandemError

WAIT_SECONDS_MAX = 5.0
UNCLOSED_MAX = 1_000
"""How many lanes are remembered that could not be closed. Others count as dead once their process does not beat."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Slot:
    """A lane that one write uses at a time. `number` is the lane's number as this process knows it."""

    lane: int
    number: int
    admission: Admission
    is_usable: bool = True

    @property
    def next(self) -> LaneStamp:
        """The stamp of the next transaction."""
        return LaneStamp(self.lane, self.number + 1)

    @property
    def stamp(self) -> LaneStamp:
        """The stamp of the last transaction."""
        return LaneStamp(self.lane, self.number)

    def advance(self) -> None:
        """Notes that a transaction with the next number is stored."""
        self.number += 1


class LaneRows(Protocol):
    """The lanes of a store, as its adapter reads and writes them."""

    async def register(self, lane: int, admission: Admission) -> bool:
        """Adds an open lane with number 0; false where the control record has another version than the admission."""
        ...

    async def close(self, lane: int) -> int:
        """See LanedStore.close_lane. Waits for a transaction that holds the lane."""
        ...


class LaneSlots:
    """Gives each write a lane of its own. A lane is never used again after a doubt about its number.

    Errors of the kinds `definite` say that nothing was stored, besides those of the port that say so.
    """

    def __init__(self, rows: LaneRows, *, slots_max: int, definite: tuple[type[Exception], ...] = ()) -> None:
        self._rows = rows
        self._definite = definite
        self._free: list[Slot] = []
        self._permits = asyncio.Semaphore(slots_max)
        self._admission: Admission | None = None
        self._is_required = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unclosed: set[int] = set()
        """Lanes that could not be closed, because the store did not answer."""

    @property
    def admission(self) -> Admission | None:
        """The present admission."""
        return self._admission

    def admit(self, admission: Admission | None) -> None:
        """See LanedStore.admit. Free lanes of an earlier admission are closed."""
        self._admission, self._is_required = admission, True
        self._end_free()

    def forget_admission(self) -> None:
        """See LanedStore.forget_admission."""
        self._admission, self._is_required = None, False
        self._free.clear()

    async def register(self) -> None:
        """See LanedStore.register."""
        if not self._free:
            async with self.held():
                return

    @asynccontextmanager
    async def held(self) -> AsyncIterator[Slot | None]:
        """A lane for one write; None before the first admission. Raises LaneLost without an admission.

        The body calls `advance` once its transaction is stored, and `is_stored` where the reply was lost. An error
        that leaves the outcome open ends the lane.
        """
        if not self._is_required:
            yield None
            return
        await self._wait_for_permit()
        slot: Slot | None = None
        try:
            slot = await self._take()
            yield slot
        except LaneLost:
            self._admission = None
            self._end_free()
            raise
        except BaseException as error:
            if slot is not None and not (_is_definite(error) or isinstance(error, self._definite)):
                self.end(slot)
            raise
        finally:
            if slot is not None and slot.is_usable:
                self._return(slot)
            self._permits.release()

    async def is_stored(self, slot: Slot) -> bool:
        """Whether the transaction with the slot's next number was stored, its reply being lost. Ends the lane, so that
        the answer stays true. Raises StoreUnavailable.
        """
        slot.is_usable = False
        return await self._rows.close(slot.lane) > slot.number

    def end(self, slot: Slot) -> None:
        """Ends a lane whose number is in doubt, without making the caller wait."""
        if slot.is_usable:
            slot.is_usable = False
            self._closing(slot.lane)

    def _closing(self, lane: int) -> None:
        task = self._begin(self._close(lane))
        task.set_name(f"close lane {lane}")

    async def close(self) -> None:
        """Waits for lanes that are being closed, and forgets the others."""
        self._free.clear()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=WAIT_SECONDS_MAX)

    async def _wait_for_permit(self) -> None:
        if not self._permits.locked():
            await self._permits.acquire()
            return
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await self._permits.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("Too many writes are waiting; try again in a moment.") from error

    async def _take(self) -> Slot:
        if self._free:
            return self._free.pop()
        admission = self._admission
        if admission is None:
            raise LaneLost
        # A cancelled caller must not leave a lane behind that nobody knows.
        registering = self._begin(self._registered(admission))
        try:
            return await asyncio.shield(registering)
        except asyncio.CancelledError:
            registering.add_done_callback(self._keep)
            raise

    async def _registered(self, admission: Admission) -> Slot:
        slot = Slot(new_lane(), 0, admission)
        try:
            is_registered = await self._rows.register(slot.lane, admission)
        except StoreUnavailable as error:
            if not isinstance(error, LaneLost):
                self.end(slot)  # It may be registered all the same.
            raise
        if not is_registered:
            raise LaneLost
        for lane in self._unclosed:
            self._closing(lane)
        self._unclosed.clear()
        return slot

    def _keep(self, registering: asyncio.Task[Slot]) -> None:
        """Keeps a lane whose caller was cancelled for the next one."""
        if not registering.cancelled() and registering.exception() is None:
            self._return(registering.result())

    def _return(self, slot: Slot) -> None:
        """Keeps a lane for the next write; one of an earlier admission ends."""
        if slot.admission is self._admission:
            self._free.append(slot)
        else:
            self.end(slot)

    def _end_free(self) -> None:
        for slot in self._free:
            self.end(slot)
        self._free.clear()

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _close(self, lane: int) -> None:
        try:
            await self._rows.close(lane)
        except StoreUnavailable as error:
            # Until that is done with the next registration, it stays open and unused.
            logger.debug("Lane {} was not closed: {}", lane, error.message)
            if len(self._unclosed) < UNCLOSED_MAX:
                self._unclosed.add(lane)


def new_lane() -> int:
    """The id of a new lane: random, and above 0."""
    return secrets.randbits(LANE_BITS) + 1


def _is_definite(error: BaseException) -> bool:
    """Whether the store has answered: then nothing was stored, or `advance` was called."""
    return isinstance(error, TandemError) and not isinstance(error, StoreUnavailable)
