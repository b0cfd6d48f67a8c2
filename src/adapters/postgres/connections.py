"""Connections to PostgreSQL: bounded in number and time, and closed at once when their server does not answer."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg import AsyncConnection, AsyncCursor, AsyncRawCursor, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import FeatureNotSupported, ReadOnlySqlTransaction
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.errors import ConnectionBroken, translated
from adapters.postgres.fail_fast_connection import FailFastConnection, Row
from domain.errors import StoreUnavailable

PING_TIMEOUT_MS = 1_000
ANSWER_MARGIN_MS = 500
"""How much longer than the server's own time limit the client waits for an answer."""
LOCK_TIMEOUT_MS = 2_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000
RECONNECT_SECONDS = 0.5
"""How long the pool tries to replace a lost connection; afterwards the next request does."""
IDLE_SECONDS_MAX = 300.0
LIFETIME_SECONDS_MAX = 3_600.0
PREPARED_MAX = 200
"""Prepared statements per connection; enough for every statement and the usual questions."""
KEEPALIVE_IDLE_SECONDS = 10
KEEPALIVE_INTERVAL_SECONDS = 5
KEEPALIVES_MAX = 3

Parameters = Sequence[Any] | Mapping[str, Any]
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


def conninfo_of(url: str, bounds: Bounds) -> str:
    """The address with every timeout spelled out; `options` in the address itself stay."""
    given = conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
    settings = {
        "statement_timeout": bounds.statement_timeout_ms,
        "lock_timeout": min(bounds.lock_timeout_ms, bounds.statement_timeout_ms),
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_TIMEOUT_MS,
        "timezone": "UTC",
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    silence_ms = (KEEPALIVE_IDLE_SECONDS + KEEPALIVES_MAX * KEEPALIVE_INTERVAL_SECONDS) * 1_000
    parts: dict[str, str | int | None] = {
        "application_name": "tandem",
        **given,
        "options": f"{given.get('options') or ''} {options}".strip(),
        "connect_timeout": math.ceil(bounds.connect_timeout_ms / 1_000),
        "keepalives": 1,
        "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
        "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
        "keepalives_count": KEEPALIVES_MAX,
        "tcp_user_timeout": silence_ms,
    }
    return make_conninfo("", **parts)


async def _configure(connection: AsyncConnection[Any]) -> None:
    connection.prepared_max = PREPARED_MAX
    set_json_loads(msgspec.json.decode, connection)


class Connections:
    """A pool of autocommit connections. Every method raises StoreUnavailable where no answer arrives in time."""

    def __init__(self, url: str, bounds: Bounds) -> None:
        self._conninfo = conninfo_of(url, bounds)
        self._bounds = bounds
        self._pool: AsyncConnectionPool[FailFastConnection] | None = None
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
            with translated():
                async with asyncio.timeout(self._connect_seconds):
                    first = await FailFastConnection.connect(self._conninfo, autocommit=True)
            await first.close()
        self._pool = AsyncConnectionPool(
            self._conninfo,
            connection_class=FailFastConnection,
            kwargs={"autocommit": True},
            configure=_configure,
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

    async def close(self) -> None:
        """Accepts no more calls, waits for running ones, and closes every connection. Harmless when closed already."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if self._running:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), self._answer_seconds)
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
        with translated():
            async with asyncio.timeout(seconds_max or self._answer_seconds), self._held() as connection:
                return await _execute(connection, statement, parameters)

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
        with translated():
            async with asyncio.timeout(self._answer_seconds), self._held() as connection:
                # A raw cursor, because the others parse long statements on every call.
                cursor = AsyncRawCursor(connection)
                await cursor.execute(statement, values, prepare=True)
                return cursor.rowcount

    @contextlib.asynccontextmanager
    async def transaction(self, *, is_rehearsal: bool = False) -> AsyncIterator["Transaction"]:
        """A transaction for several statements; a rehearsal is rolled back at the end."""
        with translated():
            async with (
                asyncio.timeout(self._answer_seconds),
                self._held() as connection,
                connection.transaction(force_rollback=is_rehearsal),
            ):
                yield Transaction(connection)

    async def ping(self) -> None:
        """Returns if the server answers now."""
        await self.run("SELECT 1", seconds_max=PING_TIMEOUT_MS / 1_000)

    async def ping_anew(self) -> None:
        """Returns if the server accepts a new connection and answers. Raises StoreUnavailable with the cause."""
        with translated():
            async with asyncio.timeout(PING_TIMEOUT_MS / 1_000):
                connection = await FailFastConnection.connect(self._conninfo, autocommit=True)
                try:
                    await connection.execute("SELECT 1")
                finally:
                    await connection.close()

    @contextlib.asynccontextmanager
    async def _held(self) -> AsyncIterator[FailFastConnection]:
        pool = self._pool
        if pool is None:
            raise StoreUnavailable("PostgreSQL is not open.")
        self._running += 1
        try:
            connection = await self._live_connection(pool)
            try:
                yield connection
            except ReadOnlySqlTransaction:
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
            connection = await pool.getconn()
            if not connection.is_stale():
                return connection
            await connection.close()
            await pool.putconn(connection)
        return await pool.getconn()


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction on one connection."""

    connection: FailFastConnection

    async def run(self, statement: str, parameters: Parameters = ()) -> AsyncCursor[Row]:
        """The result of one statement of the transaction."""
        return await _execute(self.connection, statement, parameters)


async def _execute(
    connection: FailFastConnection, statement: str, parameters: Parameters
) -> AsyncCursor[Row]:
    cursor = connection.cursor(binary=True)
    try:
        return await cursor.execute(statement, parameters, prepare=True)
    except FeatureNotSupported:
        # The statement was prepared before a migration changed the columns; it would fail on this connection forever.
        if connection.info.transaction_status is not pq.TransactionStatus.IDLE:
            await connection.close()
            raise
        await connection.execute("DEALLOCATE ALL")
        return await cursor.execute(statement, parameters, prepare=True)
