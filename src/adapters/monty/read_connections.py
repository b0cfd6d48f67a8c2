"""Runs reads: short ones on the event loop with a time budget, long ones in threads."""

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar, TypeVarTuple

from adapters.monty.errors import DRIVER_ERRORS, code_of, unavailable
from adapters.monty.tuning import Tuning

R = TypeVar("R")
Arguments = TypeVarTuple("Arguments")
STEPS_BETWEEN_LOOKS = 2_000
"""The number of SQLite's steps between checks of the time: about a tenth of a millisecond."""


class ReadConnections:
    """`slots` counts the long connections; in memory, commits acquire it as well."""

    def __init__(
        self,
        short: sqlite3.Connection,
        long: Sequence[sqlite3.Connection],
        *,
        slots: asyncio.Semaphore,
        tuning: Tuning,
        note_error: Callable[[BaseException], None],
    ) -> None:
        """`note_error` gets each error that a read meets."""
        self.short, self._slots, self._tuning = short, slots, tuning
        self._note_error = note_error
        self._free = [*long]
        self._abandoned: set[sqlite3.Connection] = set()
        for connection in long:
            connection.set_progress_handler(partial(self._is_abandoned, connection), STEPS_BETWEEN_LOOKS)
        self._count = len(long)
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="monty-reader")
        self._deadline = math.inf
        short.set_progress_handler(lambda: time.monotonic() > self._deadline, STEPS_BETWEEN_LOOKS)

    async def close(self) -> None:
        """Waits for running reads."""
        for _ in range(self._count):
            await self._slots.acquire()
        self._threads.shutdown()

    async def soon(
        self, read: Callable[[sqlite3.Connection, *Arguments], R], *arguments: *Arguments, rows: int = 0
    ) -> R:
        """Reads on the event loop. If that takes too long, or `rows` are too many, reads in a thread."""
        if rows > self._tuning.on_loop_rows_max:
            return await self.in_thread(read, *arguments)
        self._deadline = time.monotonic() + self._tuning.on_loop_ms / 1_000
        try:
            return read(self.short, *arguments)
        except DRIVER_ERRORS as error:
            if code_of(error) != sqlite3.SQLITE_INTERRUPT:
                self._note_error(error)
                raise unavailable(error) from error
        finally:
            self._deadline = math.inf
        return await self.in_thread(read, *arguments)

    async def in_thread(
        self, read: Callable[[sqlite3.Connection, *Arguments], R], *arguments: *Arguments
    ) -> R:
        """Reads in a thread. The read is interrupted when its caller is cancelled."""
        await self._slots.acquire()
        long = self._free.pop()
        running = asyncio.get_running_loop().run_in_executor(self._threads, read, long, *arguments)
        running.add_done_callback(partial(self._give_back, long))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if not running.done():  # Otherwise the connection may already serve another caller.
                self._abandoned.add(long)
            raise
        except DRIVER_ERRORS as error:
            self._note_error(error)
            raise unavailable(error) from error

    def _is_abandoned(self, long: sqlite3.Connection) -> bool:
        return long in self._abandoned

    def _give_back(self, long: sqlite3.Connection, _: object) -> None:
        # On the event loop, so that the next read does not get a connection that is about to be interrupted.
        self._abandoned.discard(long)
        self._free.append(long)
        self._slots.release()
