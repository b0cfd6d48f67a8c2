"""How a statement is run on a connection, so that it never runs in a session with other settings.

On a connection of its own the settings hold until it ends. A statement that the connection does not know yet is sent
together with the settings, and gets a name that no other connection uses. So while a name is known to a server process,
the settings are in force there, and a name that is unknown shows that something stands between: a pooler that gave
the connection another server process, or that reset the session. From then on, as where the server process is not
the one that answered at first, each transaction sets its own session, and no statement is prepared.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
from loguru import logger
from psycopg import AsyncConnection, AsyncCursor, pq
from psycopg import errors as driver
from psycopg.types.json import set_json_loads

from adapters.postgres.errors import Contention, ServerReadOnly
from adapters.postgres.fail_fast_connection import FailFastConnection, Row
from adapters.postgres.instants import InstantLoader
from adapters.postgres.origins import is_from_stale_plan
from adapters.postgres.session import IS_KEPT, Session
from domain.errors import StoreUnavailable

PREPARED_MAX = 200
"""Prepared statements per connection; enough for every statement and the usual questions."""

Parameters = Sequence[Any] | Mapping[str, Any]

_FORGOTTEN = (driver.InvalidSqlStatementName, driver.DuplicatePreparedStatement)
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_BEGIN_TO_WRITE = f"{_BEGIN}, READ WRITE"
_IS_READ_ONLY = "SELECT current_setting('transaction_read_only')::boolean"
_COMMIT = "COMMIT"
_IMMEDIATE = "SET CONSTRAINTS ALL IMMEDIATE"
"""Checks now what the database would check at the commit, which a rehearsal never reaches."""
_IDLE = pq.TransactionStatus.IDLE


class Execution:
    """Runs the statements of one address. `is_pooled` once a pooler is known to stand before the server."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._begin = _BEGIN
        self.is_pooled = False

    async def set_up(self, connection: AsyncConnection[Any]) -> None:
        """Sets the session of a new connection: two round trips. Raises StoreUnavailable where it cannot be set."""
        connection.prepared_max = PREPARED_MAX
        # Names of prepared statements must differ between connections that share server processes through a pooler;
        # by itself every connection of the driver begins with `_pg3_0`.
        connection._prepared._prepared_idx = secrets.randbits(60)
        set_json_loads(msgspec.json.decode, connection)
        connection.adapters.register_loader("timestamptz", InstantLoader)
        cursor = await connection.execute(self._session.setting, prepare=False)
        await cursor.set_result(-1)
        row = await cursor.fetchone()
        facts = self._session.read_back(row or ())
        await _keep_encoding(connection)
        if facts.was_read_only:
            self._begin = _BEGIN_TO_WRITE
        if facts.server_process != connection.info.backend_pid or not await _is_kept(connection):
            self._note_pooler()

    async def run(
        self, connection: FailFastConnection, cursor: AsyncCursor[Row], statement: str, parameters: Parameters
    ) -> None:
        """Runs one statement, in a transaction of its own or in the open one.

        Raises the driver's errors, ServerReadOnly, or Contention where the open transaction has to begin again.
        """
        is_alone = connection.pgconn.transaction_status == _IDLE
        await _keep_encoding(connection)
        # Decided once: another connection may find the pooler while this statement is under way. A transaction that
        # began before that has not set its session.
        is_prepared = not (self.is_pooled if is_alone else connection.is_set_by_transaction)
        try:
            if is_prepared:
                await self._run_prepared(connection, cursor, statement, parameters, is_alone=is_alone)
            elif is_alone:
                await self._run_in_its_session(connection, cursor, statement, parameters)
            else:
                await cursor.execute(statement, parameters, prepare=False)
        except driver.Error as error:
            # In each of these cases the server refused before it executed anything.
            if is_prepared and self._is_lost_session(error):
                self._note_pooler()
                if not is_alone:
                    raise Contention from error
                await self._run_in_its_session(connection, cursor, statement, parameters)
            elif is_from_stale_plan(error):
                # The statement was prepared before a migration changed the columns; it would fail here forever.
                await self._forget(connection, is_alone=is_alone)
                if not is_alone:
                    raise
                await self._run_prepared(connection, cursor, statement, parameters, is_alone=True)
            elif isinstance(error, driver.ReadOnlySqlTransaction):
                raise ServerReadOnly(_why_read_only(connection)) from error
            else:
                raise

    @contextlib.asynccontextmanager
    async def transaction(
        self, connection: FailFastConnection, *, is_rehearsal: bool = False
    ) -> AsyncIterator[None]:
        """A transaction in which the settings are in force from the beginning; a rehearsal is rolled back, after what
        would be checked at its commit.
        """
        await _keep_encoding(connection)
        connection.is_set_by_transaction = self.is_pooled
        begin = f"{self._begin}; {self._session.for_transaction}" if self.is_pooled else self._begin
        try:
            await connection.execute(begin, prepare=False)
            yield
            if not is_rehearsal:
                await connection.commit()
                return
            await connection.execute(_IMMEDIATE, prepare=False)
        except BaseException:
            # Where the connection broke, nothing is left to be rolled back.
            with contextlib.suppress(driver.Error):
                await self._roll_back(connection)
            raise
        await self._roll_back(connection)

    async def require_writable(self, connection: FailFastConnection) -> None:
        """Raises ServerReadOnly where a transaction cannot write anything, whatever table and row."""
        async with self.transaction(connection, is_rehearsal=True):
            cursor = await connection.execute(_IS_READ_ONLY, prepare=False)
            if await cursor.fetchone() == (True,):
                raise ServerReadOnly(_why_read_only(connection))

    async def _run_prepared(
        self,
        connection: FailFastConnection,
        cursor: AsyncCursor[Row],
        statement: str,
        parameters: Parameters,
        *,
        is_alone: bool,
    ) -> None:
        if statement in connection.known:
            await cursor.execute(statement, parameters, prepare=True)
            return
        async with self._one_round_trip(connection, begin=self._begin if is_alone else None):
            await connection.execute(self._session.repeated, prepare=False)
            await cursor.execute(statement, parameters, prepare=True)
        # Bounded as the driver's own memory, which then still has every one of these.
        if len(connection.known) >= PREPARED_MAX:
            connection.known.clear()
        connection.known.add(statement)

    async def _run_in_its_session(
        self, connection: FailFastConnection, cursor: AsyncCursor[Row], statement: str, parameters: Parameters
    ) -> None:
        """One round trip for a transaction with its settings."""
        async with self._one_round_trip(connection, begin=self._begin):
            await connection.execute(self._session.for_transaction, prepare=False)
            await cursor.execute(statement, parameters, prepare=False)

    @contextlib.asynccontextmanager
    async def _one_round_trip(
        self, connection: FailFastConnection, *, begin: str | None
    ) -> AsyncIterator[None]:
        """Sends several statements at once: in a transaction of their own, or, without `begin`, in the open one.

        The commit is a statement, too. Left to the end of the pipeline, its error would reach nobody: the driver
        reports that it cannot leave the pipeline, and the connection is of no more use.
        """
        try:
            async with connection.pipeline():
                if begin is not None:
                    await connection.execute(begin, prepare=False)
                yield
                if begin is not None:
                    await connection.execute(_COMMIT, prepare=False)
        except driver.Error:
            if begin is not None:
                with contextlib.suppress(driver.Error):
                    await self._roll_back(connection)
            raise

    def _is_lost_session(self, error: driver.Error) -> bool:
        """Whether a prepared statement failed because the server process does not know what this connection did
        before.
        """
        if isinstance(error, driver.ReadOnlySqlTransaction):
            return self._begin == _BEGIN_TO_WRITE
        return isinstance(error, _FORGOTTEN)

    @staticmethod
    async def _roll_back(connection: FailFastConnection) -> None:
        # The driver forgets what it prepared.
        connection.known.clear()
        await connection.rollback()

    async def _forget(self, connection: FailFastConnection, *, is_alone: bool) -> None:
        connection.known.clear()
        if is_alone:
            await connection.execute("DEALLOCATE ALL", prepare=False)
        else:
            await connection.close()

    def _note_pooler(self) -> None:
        if not self.is_pooled:
            self.is_pooled = True
            logger.warning(
                "A pooler stands before PostgreSQL: each transaction sets its own session,"
                " and no statement is prepared."
            )


async def _keep_encoding(connection: AsyncConnection[Any]) -> None:
    """The driver encodes by what the server reported last, before the settings of the same round trip apply.

    A pooler may report the encoding of a server process that has another client by now. So where the report is wrong,
    the encoding is changed and changed back: the server reports changes only.
    """
    if connection.pgconn.parameter_status(b"client_encoding") == b"UTF8":
        return
    changes = ("SET client_encoding = 'SQL_ASCII'", "SET client_encoding = 'UTF8'")
    is_alone = connection.pgconn.transaction_status == _IDLE
    for statement in ("BEGIN", *changes, "COMMIT") if is_alone else changes:
        await connection.execute(statement, prepare=False)
    if connection.info.encoding != "utf-8":
        raise StoreUnavailable(f"A pooler before PostgreSQL keeps the encoding {connection.info.encoding}.")


async def _is_kept(connection: AsyncConnection[Any]) -> bool:
    """Whether the session outlives a transaction."""
    cursor = await connection.execute(IS_KEPT, prepare=False)
    return await cursor.fetchone() == (True,)


def _why_read_only(connection: FailFastConnection) -> str:
    if connection.pgconn.parameter_status(b"in_hot_standby") == b"on":
        return "PostgreSQL is read-only: this server is a standby. Let POSTGRES_URL name the primary server."
    return (
        "PostgreSQL is read-only: the server's configuration sets default_transaction_read_only, as some providers do"
        " when a disk is full. Make room if that is the reason, and set it to off."
    )
