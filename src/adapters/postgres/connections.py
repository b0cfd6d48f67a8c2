"""Connections to PostgreSQL: bounded in number and time, and closed at once when their server does not answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncCursor, AsyncRawCursor
from psycopg.errors import LockNotAvailable, ReadOnlySqlTransaction
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.postgres.driver_log import replace_driver_log
from adapters.postgres.errors import (
    AnswerLost,
    ConnectionBroken,
    Contention,
    NoneMade,
    NoSlots,
    ServerReadOnly,
    translated,
    translation_of,
)
from adapters.postgres.execution import Execution, Parameters
from adapters.postgres.fail_fast_connection import FailFastConnection, Row
from adapters.postgres.installed_schema import KnownTables, explained
from adapters.postgres.left_sessions import LOOK, LeftSessions, is_write
from adapters.postgres.origins import raised_by
from adapters.postgres.session import Session, TimeLimits, conninfo_of
from adapters.postgres.table_locks import TableLocks
from adapters.records.cancellation import heeding_cancellation
from adapters.records.record_store import NotOpen, OpeningFailed, SchemaMissing
from domain.errors import StoreUnavailable

PING_TIMEOUT_MS = 700
LOOK_MS = 1_000
"""Time limit of the query for lock holders."""
NEW_CONNECTION_MS = 500
"""How long a ping whose pool failed tries a connection of its own."""
ANSWER_MARGIN_MS = 500
"""How much longer than the server's own time limit the client waits for an answer."""
LOCK_TIMEOUT_MS = 2_000
RECONNECT_SECONDS = 0.5
"""How long the pool tries to replace a lost connection; afterwards the next request does."""
IDLE_SECONDS_MAX = 300.0
LIFETIME_SECONDS_MAX = 3_600.0
Texts = Sequence[str | None]
"""Values in PostgreSQL's own text notation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The number of connections, and the time limit of each step."""

    pool_max: int
    connect_timeout_ms: int
    statement_timeout_ms: int
    lock_timeout_ms: int = LOCK_TIMEOUT_MS
    is_opened_early: bool = True
    """Whether a connection is made when the pool opens, and kept; otherwise only when one is needed."""
    is_repeated: bool = False
    """Whether each statement is harmless to end and to repeat, its commit included."""


class Connections:
    """A pool of autocommit connections. Every method raises StoreUnavailable where no answer arrives in time."""

    def __init__(
        self,
        url: str,
        bounds: Bounds,
        *,
        known_tables: KnownTables | None = None,
        left: LeftSessions | None = None,
    ) -> None:
        """`known_tables`, where the tables were found, and `left` are shared by the pools of a store."""
        self.known_tables = known_tables or KnownTables()
        self._left = left or LeftSessions()
        self._conninfo = conninfo_of(url, connect_timeout_ms=bounds.connect_timeout_ms)
        lock_ms = min(bounds.lock_timeout_ms, bounds.statement_timeout_ms)
        limits = TimeLimits(statement_ms=bounds.statement_timeout_ms, lock_ms=lock_ms)
        self._execution = Execution(Session.of(url, limits))
        self._bounds = bounds
        self._locks = TableLocks(self._rows_anew)
        self._pool: AsyncConnectionPool[FailFastConnection] | None = None
        self._failure: psycopg.Error | None = None
        """Why the newest attempt of the pool to connect failed."""
        self._not_opened: StoreUnavailable | None = None
        """Why the newest attempt to open it failed."""
        self._running = 0
        self._idle = asyncio.Event()
        self._answer_seconds = (bounds.statement_timeout_ms + ANSWER_MARGIN_MS) / 1_000
        self._connect_seconds = bounds.connect_timeout_ms / 1_000

    @property
    def statement_timeout_ms(self) -> int:
        """The time after which the server ends a statement."""
        return self._bounds.statement_timeout_ms

    async def open(self) -> None:
        """Makes the first connection, so that a wrong address fails at once. Harmless when open already."""
        if self._pool is not None:
            return
        if self._bounds.is_opened_early:
            await self._try_address()
        replace_driver_log()
        self._pool = AsyncConnectionPool(
            self._conninfo,
            connection_class=FailFastConnection.noting_failures(self._note_failure),
            kwargs={"autocommit": True},
            configure=self._set_up,
            min_size=1 if self._bounds.is_opened_early else 0,
            max_size=self._bounds.pool_max,
            timeout=self._connect_seconds,
            reconnect_timeout=RECONNECT_SECONDS,
            max_idle=IDLE_SECONDS_MAX,
            max_lifetime=LIFETIME_SECONDS_MAX,
            open=False,
            name="tandem",
        )
        await self._pool.open()

    async def _try_address(self) -> None:
        try:
            async with self._new_connection(self._connect_seconds) as first:
                await self._execution.set_up(first)
        except StoreUnavailable as error:
            self._not_opened = error
            raise
        self._not_opened = None

    def _opened(self) -> AsyncConnectionPool[FailFastConnection]:
        """The pool. Raises StoreUnavailable with the cause for which the newest attempt to open it failed."""
        if self._pool is not None:
            return self._pool
        if self._not_opened is not None:
            raise OpeningFailed(self._not_opened.message)
        raise NotOpen("PostgreSQL is not open.")

    async def close(self) -> None:
        """Accepts no more calls, waits for running ones, and closes every connection. Harmless when closed already."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if self._running:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._answer_seconds):
                    await self._idle.wait()
        await pool.close(timeout=self._connect_seconds)

    async def run(
        self, statement: str, parameters: Parameters = (), *, seconds_max: float | None = None
    ) -> AsyncCursor[Row]:
        """The result of one statement that is safe to repeat: retried once where the connection broke."""
        try:
            return await self.run_once(statement, parameters, seconds_max=seconds_max)
        except ConnectionBroken:
            return await self.run_once(statement, parameters, seconds_max=seconds_max)

    async def run_once(
        self, statement: str, parameters: Parameters, *, seconds_max: float | None = None
    ) -> AsyncCursor[Row]:
        """The result of one statement in its own transaction: one round trip. AnswerLost leaves the outcome open."""
        if is_write(statement):
            await self._left.require_commits(self._end_left)
        bound = asyncio.timeout(seconds_max or self._answer_seconds)
        async with self._explained([statement]), bound, self._held() as connection:
            cursor = connection.cursor(binary=True)
            await self._execution.run(connection, cursor, statement, parameters)
            return cursor

    async def change(self, statement: str, values: Texts) -> int:
        """`change_once` for a statement that is harmless to repeat: done once more where the connection broke."""
        try:
            return await self.change_once(statement, values)
        except ConnectionBroken:
            return await self.change_once(statement, values)

    async def change_once(self, statement: str, values: Texts) -> int:
        """How many rows a statement changed, committed by itself: one round trip. Its parameters are `$1`, `$2`, …

        AnswerLost leaves its outcome open.
        """
        await self._left.require_commits(self._end_left)
        bound = asyncio.timeout(self._answer_seconds)
        async with self._explained([statement]), bound, self._held() as connection:
            # A raw cursor, because the others parse long statements on every call.
            cursor = AsyncRawCursor(connection)
            await self._execution.run(connection, cursor, statement, values)
            return cursor.rowcount

    @contextlib.asynccontextmanager
    async def transaction(self, *, is_rehearsal: bool = False) -> AsyncIterator["Transaction"]:
        """A transaction for several statements; a rehearsal is rolled back at the end."""
        if not is_rehearsal:
            await self._left.require_commits(self._end_left)
        newest: list[str] = []
        async with (
            self._explained(newest),
            asyncio.timeout(self._answer_seconds),
            self._held() as connection,
            self._execution.transaction(connection, is_rehearsal=is_rehearsal),
        ):
            yield Transaction(connection, self._execution, newest)

    async def ping(self) -> None:
        """Returns if the server answers now, and commits. Raises StoreUnavailable with the reason that a new connection
        meets.
        """
        pool = self._opened()
        # Waiting for the pool would hide why it has no connection, or why the one that it had was closed.
        if pool.get_stats().get("pool_available", 0):
            with contextlib.suppress(AnswerLost):
                await self._look()
                return
        await self.ping_anew()

    async def ping_anew(self) -> None:
        """Returns if the server accepts a new connection, answers, and commits. Raises StoreUnavailable with the cause.

        Where it accepts no further connection, one that works is enough.
        """
        asked = self._left.parameters()
        try:
            async with self._new_connection(NEW_CONNECTION_MS / 1_000) as connection:
                rows = await (await connection.execute(LOOK, asked)).fetchall()
        except NoSlots:
            if not await self._is_answered():
                raise
        else:
            self._left.learn(asked["left"], rows)

    async def _is_answered(self) -> bool:
        """Whether a connection of the pool answers, once it is free."""
        pool = self._pool
        if pool is None or not pool.get_stats().get("pool_size", 0):
            return False
        try:
            await self._look()
        except AnswerLost:
            return False
        return True

    async def _look(self, *, is_ending: bool = False) -> None:
        """Asks the server, over a connection of the pool, how the sessions are that were left. Raises StoreUnavailable,
        WaitsForStandby among it.
        """
        asked = self._left.parameters(is_ending=is_ending)
        answer = await self.run_once(LOOK, asked, seconds_max=PING_TIMEOUT_MS / 1_000)
        self._left.learn(asked["left"], await answer.fetchall())

    async def _end_left(self) -> None:
        """`_look` that also ends those that may be ended."""
        await self._look(is_ending=True)

    async def _set_up(self, connection: FailFastConnection) -> None:
        await self._execution.set_up(connection)
        connection.on_left = self._note_left

    def _note_left(self, server_process: int) -> None:
        if not self._execution.is_pooled:  # a pooler makes up the numbers
            self._left.note(server_process, look=self._end_left if self._bounds.is_repeated else None)

    async def _rows_anew(self, statement: str, parameters: Sequence[Any]) -> list[Row]:
        """The rows of a statement over a connection of its own."""
        async with self._new_connection(LOOK_MS / 1_000) as connection:
            await self._execution.set_up(connection)
            return await (await connection.execute(statement, parameters)).fetchall()

    async def require_writable(self) -> None:
        """Returns if a new connection may write. Raises StoreUnavailable with the cause, ServerReadOnly among them."""
        async with self._new_connection(NEW_CONNECTION_MS / 1_000) as connection:
            await self._execution.set_up(connection)
            await self._execution.require_writable(connection)

    @contextlib.asynccontextmanager
    async def _new_connection(self, seconds_max: float) -> AsyncIterator[FailFastConnection]:
        """A connection besides the pool, for one exchange within this time. Raises only our own errors."""
        with translated():
            async with asyncio.timeout(seconds_max):
                connection = await FailFastConnection.connect(self._conninfo, autocommit=True)
                try:
                    yield connection
                finally:
                    await connection.close()

    @contextlib.asynccontextmanager
    async def _explained(self, newest: Sequence[str]) -> AsyncIterator[None]:
        """Raises only our own errors. What the newest statement does not find is looked for in the catalogue, and so is
        who has locked its tables.
        """
        try:
            with translated():
                yield
        except Contention as contention:
            if isinstance(contention.__cause__, LockNotAvailable) and raised_by(contention.__cause__) is None:
                explanation = await self._locks.explained(contention, "".join(newest))
                raise explanation from contention.__cause__
            raise
        except SchemaMissing as missing:
            raise await explained(missing, self._rows, self.known_tables) from missing.__cause__

    async def _rows(self, statement: str, parameters: Sequence[Any]) -> list[Row]:
        answer = await self.run_once(statement, parameters)
        return await answer.fetchall()

    @contextlib.asynccontextmanager
    async def _held(self) -> AsyncIterator[FailFastConnection]:
        pool = self._opened()
        self._running += 1
        try:
            with heeding_cancellation():
                connection = await self._live_connection(pool)
                try:
                    yield connection
                except (ReadOnlySqlTransaction, ServerReadOnly):
                    # A session keeps its settings: a new one finds out whether the server is still read-only.
                    await connection.close()
                    await pool.putconn(connection)
                    raise
                except BaseException:
                    # The caller may be cancelled again while the connection returns to the pool.
                    await asyncio.shield(pool.putconn(connection))
                    raise
                else:
                    await pool.putconn(connection)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def _live_connection(self, pool: AsyncConnectionPool[FailFastConnection]) -> FailFastConnection:
        """A connection whose server has not hung up meanwhile, as all have after a restart."""
        for _ in range(self._bounds.pool_max):
            connection = await self._connection_of(pool)
            if not connection.is_stale():
                return connection
            await connection.close()
            await pool.putconn(connection)
        return await self._connection_of(pool)

    async def _connection_of(self, pool: AsyncConnectionPool[FailFastConnection]) -> FailFastConnection:
        try:
            return await pool.getconn()
        except PoolTimeout as timeout:
            if self._failure is None:
                raise
            # The pool waits for attempts to connect, and does not say why they failed.
            raise NoneMade(translation_of(self._failure).message) from timeout

    def _note_failure(self, failure: psycopg.Error | None) -> None:
        self._failure = failure


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction on one connection."""

    connection: FailFastConnection
    execution: Execution
    newest: list[str]
    """The statement that was run last, if any."""

    async def run(self, statement: str, parameters: Parameters = ()) -> AsyncCursor[Row]:
        """The result of one statement of the transaction."""
        self.note(statement)
        cursor = self.connection.cursor(binary=True)
        await self.execution.run(self.connection, cursor, statement, parameters)
        return cursor

    def note(self, statement: str) -> None:
        """Notes the statement that is run next, to explain what it fails on."""
        self.newest[:] = [statement]
