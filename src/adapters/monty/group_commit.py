"""Commits writes: on disk in groups by a writer thread, in memory at once."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from loguru import logger

from adapters.monty.errors import DRIVER_ERRORS, changed_table, code_of, unavailable
from adapters.monty.lane_rows import advance
from adapters.monty.sqlite_file import SqliteFile
from adapters.monty.writes import Transaction, Write, index_words, stale_count
from adapters.records.change_set import LaneStamp
from adapters.records.lanes import LaneLost
from adapters.records.record_store import NotOpen
from domain.errors import StoreUnavailable

QUEUE_MAX = 10_000
GROUP_MAX = 1_000
SHARING_ROWS_MAX = 100
"""Larger writes have a transaction of their own. In a shared one each write needs a savepoint, and the time that SQLite
takes for the changes after one grows with their square: minutes for a large project.
"""
Outcome = BaseException | None
LanedWrite = tuple[Write, LaneStamp | None]
"""A write, and the number that it gives to the lane of this process."""


class Writer:
    """Runs writes on the writing connection, and indexes the words of `stale_max` changed texts together.

    `failure` says why SQLite failed to store a write: a full disk, a directory that has become read-only, a lock of
    another program. A later write may succeed because it is smaller, so it is unset only after a check that there is
    room.
    """

    def __init__(self, file: SqliteFile, *, stale_max: int) -> None:
        self._file, self._connection, self._stale_max = file, file.writer, stale_max
        self._stale = stale_count(file.writer)
        self._numbers: dict[int, int] = {}
        self.failure: str | None = None

    def run(self, writes: Sequence[LanedWrite]) -> list[Outcome]:
        """Makes the writes durable. Returns the outcome of each: None or its error.

        Their numbers rise, so the last one is the lane's number afterwards; those of rejected writes are left out.
        """
        try:
            self._file.prepare_writing()
        except DRIVER_ERRORS as error:
            return self._failed(error, len(writes))
        outcomes = self._run(writes)
        if self._stale >= self._stale_max:
            (outcome,) = self._run([(index_words, None)])
            if outcome is None:
                self._stale = 0
            else:
                # Searches read the texts that are not indexed yet, so this costs time and no result.
                logger.error("The full-text index could not be brought up to date: {!r}", outcome)
                self._stale //= 2
        self._bound_log()
        # A file that is not there any more is found before the next write.
        with suppress(OSError):
            self._file.note_written()
        return outcomes

    def _bound_log(self) -> None:
        try:
            self._file.bound_log()
        except DRIVER_ERRORS as error:
            # What was committed is durable all the same.
            self._file.note_error(error)
            logger.warning("The log of the database was not written back: {}", error)

    def _run(self, writes: Sequence[LanedWrite]) -> list[Outcome]:
        """One transaction for all writes; a rejected one is rolled back alone.

        If the shared transaction fails, each write is retried alone, so that one cannot fail the others.
        """
        outcomes: list[Outcome] = [None]
        try:
            with self._connection as connection:
                connection.execute("BEGIN IMMEDIATE")
                transaction = Transaction(connection)
                if len(writes) == 1:
                    _run_alone(transaction, writes[0][0])
                else:
                    outcomes = [_outcome(transaction, write) for write, _ in writes]
                numbers = {stamp.lane: stamp.number for _, stamp in writes if stamp is not None}
                for lane, number in numbers.items():
                    advance(transaction, lane, since=self._numbers.get(lane, 0), to=number)
        except _Rejected as rejected:
            return [rejected.error]
        except LaneLost as lost:
            if len(writes) == 1:
                return [lost]
            return [outcome for write in writes for outcome in self._run([write])]
        except sqlite3.Error as error:
            if len(writes) == 1 or code_of(error) == sqlite3.SQLITE_BUSY:
                # Another program has locked the file, so each attempt would wait for the whole timeout.
                return self._failed(error, len(writes))
            return [outcome for write in writes for outcome in self._run([write])]
        self._file.note_lock(is_foreign=False)
        self._stale += transaction.stale
        self._numbers |= numbers
        return outcomes

    def _failed(self, error: BaseException, count: int) -> list[Outcome]:
        self._file.note_error(error)
        failure = unavailable(error)
        self.failure = failure.message
        if code_of(error) == sqlite3.SQLITE_BUSY:
            self._file.note_lock(is_foreign=True)
        return [failure] * count


class _Rejected(Exception):
    """The only write of a transaction was rejected, which rolls everything back."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _run_alone(transaction: Transaction, write: Write) -> None:
    try:
        write(transaction)
    except sqlite3.Error as error:
        changed = changed_table(error)
        if changed is None:
            raise
        raise _Rejected(changed) from error
    except Exception as error:
        raise _Rejected(error) from error


def _outcome(transaction: Transaction, write: Write) -> Outcome:
    transaction.execute("SAVEPOINT one")
    outcome: Outcome = None
    try:
        write(transaction)
    except sqlite3.Error as error:
        outcome = changed_table(error)
        if outcome is None:
            raise  # The whole transaction may be gone.
        transaction.execute("ROLLBACK TO one")
    except Exception as error:  # noqa: BLE001 - raised to the caller of this write
        transaction.execute("ROLLBACK TO one")
        outcome = error
    transaction.execute("RELEASE one")
    return outcome


@dataclass(slots=True)
class _Submitted:
    write: LanedWrite
    is_large: bool
    outcome: asyncio.Future[None]


class ImmediateCommits:
    """For memory: commits on the event loop's connection, while no long read has the lock."""

    def __init__(self, writer: Writer, lock: asyncio.Semaphore) -> None:
        self._writer, self._lock = writer, lock

    async def submit(self, write: Write, stamp: LaneStamp | None = None, *, rows: int = 1) -> None:  # noqa: ARG002
        """Raises the errors of the write, or StoreUnavailable. Every write has a transaction of its own."""
        async with self._lock:
            (outcome,) = self._writer.run([(write, stamp)])
        if outcome is not None:
            raise outcome

    async def close(self) -> None:
        """Does nothing, because no writes are waiting."""


class GroupCommits:
    """One transaction at a time, in a separate thread; writes that arrive meanwhile are committed together next.

    The steps are callbacks and not a task, so they cannot be cancelled.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._queue: deque[_Submitted] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="monty-writer")
        self._running: asyncio.Future[list[Outcome]] | None = None
        self._is_starting = self._is_closed = False

    async def submit(self, write: Write, stamp: LaneStamp | None = None, *, rows: int = 1) -> None:
        """Returns once the write, which changes about so many rows, is durable. Raises the errors of the write, or
        StoreUnavailable.
        """
        if self._is_closed:
            raise NotOpen("MontyDB is not open.")
        if len(self._queue) >= QUEUE_MAX:
            raise StoreUnavailable("MontyDB has too many writes waiting; try again in a moment.")
        loop = asyncio.get_running_loop()
        outcome = loop.create_future()
        self._queue.append(_Submitted((write, stamp), rows > SHARING_ROWS_MAX, outcome))
        if not self._is_starting and self._running is None:
            self._is_starting = True
            loop.call_soon(self._start)
        await outcome

    async def close(self) -> None:
        """Finishes the submitted writes."""
        self._is_closed = True
        while self._queue or self._running is not None:
            self._start()
            if self._running is not None:
                await asyncio.wait([self._running])
                await asyncio.sleep(0)
        self._thread.shutdown()

    def _start(self) -> None:
        self._is_starting = False
        if self._running is not None or not self._queue:
            return
        group = [self._queue.popleft()]
        while self._queue and len(group) < GROUP_MAX and not (group[0].is_large or self._queue[0].is_large):
            group.append(self._queue.popleft())
        run = partial(self._writer.run, [each.write for each in group])
        self._running = asyncio.get_running_loop().run_in_executor(self._thread, run)
        self._running.add_done_callback(partial(self._finish, [each.outcome for each in group]))

    def _finish(self, members: list[asyncio.Future[None]], ended: asyncio.Future[list[Outcome]]) -> None:
        self._running = None
        error = ended.exception()
        outcomes = ended.result() if error is None else [unavailable(error)] * len(members)
        for member, outcome in zip(members, outcomes, strict=True):
            if member.done():
                continue  # Its caller was cancelled, which does not affect the write.
            if outcome is None:
                member.set_result(None)
            else:
                member.set_exception(outcome)
        self._start()
