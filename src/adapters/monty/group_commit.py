"""How writes become durable: in groups by a writer thread on disk, at once in memory."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from adapters.monty.errors import DRIVER_ERRORS, code_of, unavailable
from adapters.monty.writes import Transaction, Write, index_words
from domain.errors import StoreUnavailable

QUEUE_MAX = 10_000
GROUP_MAX = 1_000
Outcome = BaseException | None
Outcomes = tuple[list[Outcome], int]
"""What became of each write, and how many rows were added to those whose words are to be indexed."""


def run_group(connection: sqlite3.Connection, writes: Sequence[Write]) -> Outcomes:
    """One transaction for all writes; a rejected one is rolled back alone.

    Where the shared transaction fails, each write is tried alone, so that one cannot fail the others.
    """
    try:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            transaction = Transaction(connection)
            if len(writes) > 1:
                return [_outcome_in_savepoint(transaction, write) for write in writes], transaction.stale
            outcome = _outcome(transaction, writes[0])
            if outcome is not None:
                connection.rollback()
                return [outcome], 0
            return [None], transaction.stale
    except sqlite3.Error as error:
        if len(writes) == 1 or code_of(error) == sqlite3.SQLITE_BUSY:
            # Another program holds the file; each attempt would wait for the whole time-out.
            return [unavailable(error)] * len(writes), 0
    alone = [run_group(connection, [write]) for write in writes]
    return [outcomes[0] for outcomes, _ in alone], sum(stale for _, stale in alone)


def _outcome_in_savepoint(transaction: Transaction, write: Write) -> Outcome:
    transaction.execute("SAVEPOINT one")
    outcome = _outcome(transaction, write)
    if outcome is not None:
        transaction.execute("ROLLBACK TO one")
    transaction.execute("RELEASE one")
    return outcome


def _outcome(transaction: Transaction, write: Write) -> Outcome:
    try:
        write(transaction)
    except sqlite3.Error:
        raise
    except DRIVER_ERRORS as error:
        return unavailable(error)
    except Exception as error:  # noqa: BLE001 - it belongs to the caller of this write
        return error
    return None


class ImmediateCommits:
    """For memory: commits on the event loop's own connection, while no long read holds the database's only lock."""

    def __init__(self, connection: sqlite3.Connection, lock: asyncio.Semaphore, *, stale_max: int) -> None:
        self._connection, self._lock, self._stale_max = connection, lock, stale_max
        self._stale = 0

    async def submit(self, write: Write) -> None:
        """Raises what the write raises, or StoreUnavailable."""
        async with self._lock:
            (outcome,), stale = run_group(self._connection, [write])
            self._stale += stale
            if self._stale >= self._stale_max:
                self._stale = 0
                run_group(self._connection, [index_words])
        if outcome is not None:
            raise outcome

    async def close(self) -> None:
        """Nothing waits."""


class GroupCommits:
    """One transaction at a time, in a thread of its own; the writes that arrive meanwhile make up the next one.

    The steps are callbacks and not a task: there is nothing that could be cancelled in between.
    """

    def __init__(self, connection: sqlite3.Connection, *, stale_max: int) -> None:
        self._connection, self._stale_max = connection, stale_max
        self._queue: deque[tuple[Write, asyncio.Future[None] | None]] = deque()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="monty-writer")
        self._running: asyncio.Future[Outcomes] | None = None
        self._is_starting = self._is_closed = False
        self._stale = 0

    async def submit(self, write: Write) -> None:
        """Returns once the write is durable. Raises what the write raises, or StoreUnavailable."""
        if self._is_closed:
            raise StoreUnavailable("MontyDB is not open.")
        if len(self._queue) >= QUEUE_MAX:
            raise StoreUnavailable("MontyDB has too many writes waiting; try again in a moment.")
        loop = asyncio.get_running_loop()
        outcome = loop.create_future()
        self._queue.append((write, outcome))
        if not self._is_starting and self._running is None:
            self._is_starting = True
            loop.call_soon(self._start)
        await outcome

    async def close(self) -> None:
        """Finishes what was submitted."""
        self._is_closed = True
        while self._queue or self._running is not None:
            self._start()
            if self._running is not None:
                await asyncio.wait([self._running])
                await asyncio.sleep(0)
        self._writer.shutdown()

    def _start(self) -> None:
        self._is_starting = False
        if self._running is not None or not self._queue:
            return
        group = [self._queue.popleft() for _ in range(min(GROUP_MAX, len(self._queue)))]
        run = partial(run_group, self._connection, [write for write, _ in group])
        self._running = asyncio.get_running_loop().run_in_executor(self._writer, run)
        self._running.add_done_callback(partial(self._finish, [outcome for _, outcome in group]))

    def _finish(self, members: list[asyncio.Future[None] | None], ended: asyncio.Future[Outcomes]) -> None:
        self._running = None
        error = ended.exception()
        outcomes, stale = ([unavailable(error)] * len(members), 0) if error is not None else ended.result()
        for member, outcome in zip(members, outcomes, strict=True):
            if member is None or member.done():
                continue  # Its caller has gone; the write happened or not all the same.
            if outcome is None:
                member.set_result(None)
            else:
                member.set_exception(outcome)
        self._stale += stale
        if self._stale >= self._stale_max:
            self._stale = 0
            self._queue.append((index_words, None))
        self._start()
