"""Batches concurrent requests: change sets that arrive during a flush are sent together in the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loguru import logger

from adapters.dual_write.differences import DeliveryOutcome
from adapters.dual_write.grouping import bounded_batches
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.settings import DualWriteSettings
from adapters.records.change_set import ApplyOutcome, ChangeSet
from domain.errors import StoreUnavailable

Judge = Callable[[ApplyOutcome], Awaitable[DeliveryOutcome]]
"""Returns an outcome in view of the source."""
OnOutcome = Callable[[ChangeSet, DeliveryOutcome, float], None]
"""Called with each change set that has an outcome, and the milliseconds since it was submitted."""


@dataclass(slots=True, eq=False)
class _Waiting:
    change_set: ChangeSet
    since: float
    answer: asyncio.Future[bool]

    def resolve(self, *, is_confirmed: bool = False) -> None:
        if not self.answer.done():
            self.answer.set_result(is_confirmed)


class MirrorBatcher:
    """Runs one flush at a time and never delays one: a single change set is sent at once.

    Every waiter has its own answer and time-out. When the breaker opens, all waiters are released at once.
    """

    def __init__(
        self, target: MirrorTarget, *, settings: DualWriteSettings, judge: Judge, on_outcome: OnOutcome
    ) -> None:
        self._target = target
        self._judge = judge
        self._settings = settings
        self._timeout_ms = settings.timeout_ms
        self._on_outcome = on_outcome
        self._queue: deque[_Waiting] = deque()
        self._in_flight: list[_Waiting] = []
        self._flusher: asyncio.Task[None] | None = None
        self._is_closed = False
        target.breaker.when_opened(self._release_all)

    async def mirror(self, change_set: ChangeSet) -> bool:
        """Sends a change set to the target. Returns within the time-out whether the target confirmed it.

        An unconfirmed one was rejected, waits for a blocked table, or is left to the relay. Cancelling the caller does
        not cancel the mirroring.
        Does not raise errors of the target.
        """
        if self._is_closed or self._target.breaker.is_open or len(self._queue) >= self._settings.queue_max:
            return False
        loop = asyncio.get_running_loop()
        waiting = _Waiting(change_set, loop.time(), loop.create_future())
        self._queue.append(waiting)
        if self._flusher is None:
            self._flusher = loop.create_task(self._flush_until_empty())
        deadline = loop.call_later(self._timeout_ms / 1000, waiting.resolve)
        try:
            return await waiting.answer
        finally:
            deadline.cancel()

    async def close(self) -> None:
        """Finishes the current flush within the time-out; accepts no more change sets."""
        self._is_closed = True
        if self._flusher is not None:
            _, late = await asyncio.wait((self._flusher,), timeout=self._timeout_ms / 1000)
            for task in late:
                task.cancel()
        self._release_all()

    async def _flush_until_empty(self) -> None:
        try:
            while self._queue:
                waiting = (each.change_set for each in self._queue)
                change_sets = next(bounded_batches(waiting, self._settings))
                self._in_flight = [self._queue.popleft() for _ in change_sets]
                await self._flush(change_sets)
        finally:
            self._flusher = None
            self._in_flight = []

    async def _flush(self, change_sets: list[ChangeSet]) -> None:
        batch = self._in_flight
        try:
            outcomes = await self._target.apply(change_sets, timeout_ms=self._timeout_ms)
            now = asyncio.get_running_loop().time()
            for each, outcome in zip(batch, outcomes, strict=True):
                seen = outcome if outcome is None else await self._judge(outcome)
                self._on_outcome(each.change_set, seen, (now - each.since) * 1000)
                each.resolve(is_confirmed=seen is None)
        except StoreUnavailable as error:
            # The breaker already knows, and the entries are PENDING.
            logger.debug("{} change sets are left to the relay: {}", len(batch), error.message)
        except Exception:  # noqa: BLE001 - requests must not suffer from the mirror; the relay delivers the entries
            logger.exception("{} change sets could not be mirrored and are left to the relay", len(batch))
        finally:
            for each in batch:
                each.resolve()

    def _release_all(self) -> None:
        for waiting in (*self._in_flight, *self._queue):
            waiting.resolve()
        self._queue.clear()
