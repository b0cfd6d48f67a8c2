"""Where reads run: short ones on the event loop with a time budget, long ones in threads, until their callers go."""

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from adapters.monty.errors import DRIVER_ERRORS, code_of, unavailable
from adapters.monty.tuning import Tuning

R = TypeVar("R")
Read = Callable[[sqlite3.Connection], R]
STEPS_BETWEEN_LOOKS = 2_000
"""After how many of SQLite's steps the clock is looked at: about a tenth of a millisecond."""


class _LongConnection:
    """A connection for threads. Its statements stop soon after `is_abandoned` was set."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.is_abandoned = False
        connection.set_progress_handler(lambda: self.is_abandoned, STEPS_BETWEEN_LOOKS)


class ReadConnections:
    """`slots` are as many as long connections; in memory, commits take part in them."""

    def __init__(
        self,
        short: sqlite3.Connection,
        long: Sequence[sqlite3.Connection],
        *,
        slots: asyncio.Semaphore,
        tuning: Tuning,
    ) -> None:
        self.short, self._slots, self._tuning = short, slots, tuning
        self._all = [_LongConnection(connection) for connection in long]
        self._free = [*self._all]
        self._threads = ThreadPoolExecutor(len(long), thread_name_prefix="monty-reader")
        self._deadline = math.inf
        short.set_progress_handler(lambda: time.monotonic() > self._deadline, STEPS_BETWEEN_LOOKS)

    async def close(self) -> None:
        """Waits for the reads that are running."""
        for _ in self._all:
            await self._slots.acquire()
        self._threads.shutdown()

    async def soon(self, read: Read[R], *, rows: int = 0) -> R:
        """On the event loop, and once more in a thread where that takes too long or `rows` says that it will."""
        if rows > self._tuning.on_loop_rows_max:
            return await self.in_thread(read)
        self._deadline = time.monotonic() + self._tuning.on_loop_ms / 1_000
        try:
            return read(self.short)
        except DRIVER_ERRORS as error:
            if code_of(error) != sqlite3.SQLITE_INTERRUPT:
                raise unavailable(error) from error
        finally:
            self._deadline = math.inf
        return await self.in_thread(read)

    async def in_thread(self, read: Read[R]) -> R:
        """In a thread. The read is interrupted when its caller is cancelled."""
        await self._slots.acquire()
        long = self._free.pop()
        long.is_abandoned = False
        running = asyncio.get_running_loop().run_in_executor(self._threads, read, long.connection)
        running.add_done_callback(partial(self._give_back, long))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            long.is_abandoned = True
            raise
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error

    def _give_back(self, long: _LongConnection, _: object) -> None:
        # On the loop, so that nobody is given a connection that may still be interrupted.
        self._free.append(long)
        self._slots.release()
