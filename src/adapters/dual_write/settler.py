"""Notes in the source what became of entries: lazily, in batches, off the request path."""

import asyncio

from loguru import logger

from adapters.dual_write.settings import DualWriteSettings
from adapters.records.change_set import Settlement
from adapters.records.record_store import RecordStore
from domain.errors import StoreUnavailable


class Settler:
    """Buffers settlements and writes them together.

    A settlement that is lost (the buffer is full, the source is down, the process dies) costs one harmless replay by
    the relay, so nothing ever waits for this.
    """

    def __init__(self, source: RecordStore, *, settings: DualWriteSettings) -> None:
        self._source = source
        self._interval_seconds = settings.settle_interval_ms / 1000
        self._batch_max = settings.settle_batch_max
        self._queue_max = settings.settle_queue_max
        self._close_seconds = settings.close_timeout_ms / 1000
        self._waiting: dict[str, Settlement] = {}
        self._batch_is_full = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._is_closed = False
        self.dropped = 0

    def note(self, settlement: Settlement) -> None:
        """Takes a settlement, to be written soon; drops it where the buffer is full."""
        if self._is_closed or len(self._waiting) >= self._queue_max:
            self.dropped += 1
            return
        self._waiting[settlement.entry_id] = settlement
        if len(self._waiting) >= self._batch_max:
            self._batch_is_full.set()
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write_until_empty())

    async def close(self) -> None:
        """Writes what is left, within a bounded time; takes nothing more."""
        self._is_closed = True
        self._batch_is_full.set()
        if self._writer is not None:
            _, late = await asyncio.wait((self._writer,), timeout=self._close_seconds)
            for task in late:
                task.cancel()

    async def _write_until_empty(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                await self._write_batch()
        finally:
            self._writer = None

    async def _gather(self) -> None:
        """Lets a batch come together: until it is full or the interval is over."""
        try:
            async with asyncio.timeout(self._interval_seconds):
                await self._batch_is_full.wait()
        except TimeoutError:
            return

    async def _write_batch(self) -> None:
        batch = [self._waiting.pop(entry_id) for entry_id in list(self._waiting)[: self._batch_max]]
        if not self._is_closed and len(self._waiting) < self._batch_max:
            self._batch_is_full.clear()
        try:
            await self._source.settle(batch)
        except StoreUnavailable as error:
            self.dropped += len(batch)
            logger.warning("{} marks were not written, the relay repeats them: {}", len(batch), error.message)
        except Exception:  # noqa: BLE001 - marks are only economy; the entries stay PENDING and are repeated
            self.dropped += len(batch)
            logger.exception("{} marks were not written, the relay repeats them", len(batch))
