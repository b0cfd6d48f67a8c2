"""Batches concurrent requests: change sets that arrive during a flush are sent together in the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice

from loguru import logger

from adapters.dual_write.differences import DeliveryOutcome
from adapters.dual_write.grouping import bounded_batches
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.settings import DualWriteSettings
from adapters.dual_write.slow_tables import tables_of
from adapters.records.change_set import ApplyOutcome, ChangeSet
from domain.errors import StoreUnavailable

Judge = Callable[[ApplyOutcome], Awaitable[DeliveryOutcome]]
"""Returns an outcome in view of the source."""
OnOutcome = Callable[[ChangeSet, DeliveryOutcome, float], None]
"""Called with each change set that has an outcome, and the milliseconds since it was submitted."""


LATE_MS = 100
"""A flush that takes longer is late: what touches none of its tables no longer waits for it."""


@dataclass(slots=True, eq=False)
class _Waiting:
    change_set: ChangeSet
    tables: frozenset[str]
    since: float
    answer: asyncio.Future[bool]

    def resolve(self, *, is_confirmed: bool = False) -> None:
        if not self.answer.done():
            self.answer.set_result(is_confirmed)


@dataclass(slots=True, eq=False)
class _Flush:
    batch: list[_Waiting]
    tables: frozenset[str]
    is_late: bool = False


class MirrorBatcher:
    """Runs one flush at a time and never delays one: a single change set is sent at once. Beside flushes that are late,
    others run that touch none of their tables.

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
        self._flushes: dict[asyncio.Task[None], _Flush] = {}
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
        tables = tables_of(change_set)
        waiting = _Waiting(change_set, tables, loop.time(), loop.create_future())
        self._queue.append(waiting)
        if self._busy.isdisjoint(tables):
            # In the next turn, so that those that arrive together are sent together.
            loop.call_soon(self._flush_next)
        deadline = loop.call_later(self._timeout_ms / 1000, waiting.resolve)
        try:
            return await waiting.answer
        finally:
            deadline.cancel()

    async def close(self) -> None:
        """Finishes the flushes under way and the queue within the time-out; accepts no more change sets."""
        self._is_closed = True
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout_ms / 1000
        self._flush_next()
        while self._flushes and (left := until - loop.time()) > 0:
            await asyncio.wait(self._flushes, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for task in self._flushes:
            task.cancel()
        self._release_all()

    @property
    def _busy(self) -> frozenset[str]:
        """The tables of the flushes under way."""
        return frozenset[str]().union(*(flush.tables for flush in self._flushes.values()))

    def _flush_next(self) -> None:
        """Begins a flush of what may be sent now, if anything."""
        running = self._flushes.values()
        if len(running) >= self._settings.flushes_max or not all(flush.is_late for flush in running):
            return
        batch = self._taken(self._busy)
        if not batch:
            return
        loop = asyncio.get_running_loop()
        flush = _Flush(batch, frozenset[str]().union(*(each.tables for each in batch)))
        task = loop.create_task(self._flush(batch))
        self._flushes[task] = flush
        late = loop.call_later(LATE_MS / 1000, self._note_late, flush)
        task.add_done_callback(lambda _: late.cancel())
        task.add_done_callback(self._ended)

    def _taken(self, busy: frozenset[str]) -> list[_Waiting]:
        """The next batch, taken out of the queue; nothing that touches busy tables."""
        free = [each for each in self._queue if busy.isdisjoint(each.tables)] if busy else self._queue
        change_sets = next(bounded_batches((each.change_set for each in free), self._settings), [])
        batch = list(islice(free, len(change_sets)))
        if not busy:
            for _ in batch:
                self._queue.popleft()
        elif batch:
            taken = set(map(id, batch))
            self._queue = deque(each for each in self._queue if id(each) not in taken)
        return batch

    def _note_late(self, flush: _Flush) -> None:
        flush.is_late = True
        self._flush_next()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._flushes[task]
        self._flush_next()

    async def _flush(self, batch: list[_Waiting]) -> None:
        try:
            change_sets = [each.change_set for each in batch]
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
        in_flight = (each for flush in self._flushes.values() for each in flush.batch)
        for waiting in (*in_flight, *self._queue):
            waiting.resolve()
        self._queue.clear()
