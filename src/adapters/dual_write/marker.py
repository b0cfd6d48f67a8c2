"""Marks delivery outcomes on entries of the source: lazily, in batches, off the request path."""

import asyncio
from contextlib import suppress

from loguru import logger

from adapters.dual_write.settings import DualWriteSettings
from adapters.records.change_set import DeliveryMark
from adapters.records.record_store import RecordStore
from domain.errors import StoreUnavailable


class Marker:
    """Buffers marks and writes them together.

    A mark that is lost (the buffer is full, the source is down, the process dies) costs one harmless replay by the
    relay, so no caller waits for marks.
    """

    def __init__(self, source: RecordStore, *, settings: DualWriteSettings) -> None:
        self._source = source
        self._settings = settings
        self._waiting: dict[str, DeliveryMark] = {}
        self._batch_is_full = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._is_closed = False

    def mark(self, mark: DeliveryMark) -> None:
        """Adds a mark to the buffer, or drops it if the buffer is full."""
        if self._is_closed or len(self._waiting) >= self._settings.mark_queue_max:
            return
        self._waiting[mark.entry_id] = mark
        if len(self._waiting) >= self._settings.mark_batch_max:
            self._batch_is_full.set()
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write_until_empty())

    async def close(self) -> None:
        """Writes the remaining marks within a time limit; accepts no more marks."""
        self._is_closed = True
        self._batch_is_full.set()
        if self._writer is not None:
            _, late = await asyncio.wait((self._writer,), timeout=self._settings.close_timeout_ms / 1000)
            for task in late:
                task.cancel()

    async def _write_until_empty(self) -> None:
        try:
            while self._waiting:
                # A batch that is not full is written after the interval.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.mark_interval_ms / 1000):
                        await self._batch_is_full.wait()
                await self._write_batch()
        finally:
            self._writer = None

    async def _write_batch(self) -> None:
        limit = self._settings.mark_batch_max
        batch = [self._waiting.pop(entry_id) for entry_id in list(self._waiting)[:limit]]
        if not self._is_closed and len(self._waiting) < limit:
            self._batch_is_full.clear()
        try:
            await self._source.mark(batch)
        except StoreUnavailable as error:
            logger.warning(
                "{} marks were not written; the relay repeats their delivery: {}", len(batch), error.message
            )
        except Exception:  # noqa: BLE001 - a lost mark is harmless: its entry stays PENDING and is delivered again
            logger.exception("{} marks were not written; the relay repeats their delivery", len(batch))
