"""Concurrent requests share one call to the target: what arrives while the last flush is in flight goes together."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from loguru import logger

from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.settings import DualWriteSettings
from adapters.records.change_set import ChangeSet, Refusal
from domain.errors import StoreUnavailable


class Confirmation(Enum):
    """What a request learns of its mirror."""

    CONFIRMED = "confirmed"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """Not yet, or not known: the entries stay PENDING and the relay goes on."""


Landed = Callable[[ChangeSet, Refusal | None, float], None]
"""Told of each change set the target answered for, with the milliseconds since it was handed in."""


@dataclass(slots=True, eq=False)
class _Waiting:
    change_set: ChangeSet
    since: float
    answer: asyncio.Future[Confirmation]

    def tell(self, confirmation: Confirmation) -> None:
        if not self.answer.done():
            self.answer.set_result(confirmation)


class MirrorBatcher:
    """One flusher, no timer, no linger: alone a change set goes straight through.

    Every waiter has an answer and a time-out of its own; a flush that hangs is left behind, and when the breaker
    opens everybody who waits is released at once.
    """

    def __init__(self, target: MirrorTarget, *, settings: DualWriteSettings, landed: Landed) -> None:
        self._target = target
        self._timeout_ms = settings.timeout_ms
        self._queue_max = settings.queue_max
        self._batch_records_max = settings.batch_records_max
        self._batch_bytes_max = settings.batch_bytes_max
        self._landed = landed
        self._queue: deque[_Waiting] = deque()
        self._in_flight: list[_Waiting] = []
        self._flusher: asyncio.Task[None] | None = None
        self._is_closed = False
        target.breaker.when_opened(self._release_everybody)

    @property
    def waiting(self) -> int:
        """How many change sets wait or are in flight."""
        return len(self._queue) + len(self._in_flight)

    async def mirror(self, change_set: ChangeSet) -> Confirmation:
        """Hands it to the target and waits, never longer than the time-out. Raises nothing of the target's.

        A caller that is cancelled does not take its change set with it.
        """
        if self._is_closed or self._target.breaker.is_open or len(self._queue) >= self._queue_max:
            return Confirmation.UNKNOWN
        loop = asyncio.get_running_loop()
        waiting = _Waiting(change_set, loop.time(), loop.create_future())
        self._queue.append(waiting)
        if self._flusher is None:
            self._flusher = loop.create_task(self._flush_until_empty())
        deadline = loop.call_later(self._timeout_ms / 1000, waiting.tell, Confirmation.UNKNOWN)
        try:
            return await waiting.answer
        finally:
            deadline.cancel()

    async def close(self) -> None:
        """Lets what is in hand finish within the time-out; takes nothing more."""
        self._is_closed = True
        if self._flusher is not None:
            _, late = await asyncio.wait((self._flusher,), timeout=self._timeout_ms / 1000)
            for task in late:
                task.cancel()
        self._release_everybody()

    async def _flush_until_empty(self) -> None:
        try:
            while self._queue:
                self._in_flight = self._take_batch()
                await self._flush(self._in_flight)
        finally:
            self._flusher = None
            self._in_flight = []

    def _take_batch(self) -> list[_Waiting]:
        batch = [self._queue.popleft()]
        if not self._queue:
            return batch
        records, size = _measured(batch[0].change_set)
        while self._queue:
            more_records, more_bytes = _measured(self._queue[0].change_set)
            records, size = records + more_records, size + more_bytes
            if records > self._batch_records_max or size > self._batch_bytes_max:
                break
            batch.append(self._queue.popleft())
        return batch

    async def _flush(self, batch: list[_Waiting]) -> None:
        try:
            change_sets = [waiting.change_set for waiting in batch]
            outcomes = await self._target.apply(change_sets, timeout_ms=self._timeout_ms)
            for waiting, refusal in zip(batch, outcomes, strict=True):
                self._answer(waiting, refusal)
        except StoreUnavailable as error:
            # The breaker knows, and the entries are PENDING.
            logger.debug("{} change sets are left to the relay: {}", len(batch), error.message)
        except Exception:  # noqa: BLE001 - whatever the target does, requests are not to suffer; the relay finds the culprit
            logger.exception("{} change sets could not be mirrored and are left to the relay", len(batch))
        finally:
            for waiting in batch:
                waiting.tell(Confirmation.UNKNOWN)

    def _answer(self, waiting: _Waiting, refusal: Refusal | None) -> None:
        elapsed_ms = (asyncio.get_running_loop().time() - waiting.since) * 1000
        self._landed(waiting.change_set, refusal, elapsed_ms)
        waiting.tell(Confirmation.CONFIRMED if refusal is None else Confirmation.REFUSED)

    def _release_everybody(self) -> None:
        for waiting in (*self._in_flight, *self._queue):
            waiting.tell(Confirmation.UNKNOWN)
        self._queue.clear()


def _measured(change_set: ChangeSet) -> tuple[int, int]:
    """How many records it puts, and about how many bytes it is."""
    return len(change_set.puts), change_set.rough_bytes
