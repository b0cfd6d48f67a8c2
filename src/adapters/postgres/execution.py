"""How a statement is run on a connection, so that it never runs in a session with other settings.

On a connection of its own the settings hold until it ends. A statement that the connection does not know yet is sent
together with the settings, and gets a name that no other connection uses. So while a name is known to a server process,
the settings are in force there, and a name that is unknown shows that something stands between: a pooler that gave
the connection another server process, or that reset the session. From then on, as where the server process is not
the one that answered at first, each transaction sets its own session, and no statement is prepared.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from loguru import logger
from psycopg import AsyncConnection, AsyncCursor, IsolationLevel, pq
from psycopg import errors as driver
from psycopg.types.json import set_json_loads

from adapters.postgres.errors import Contention
from adapters.postgres.fail_fast_connection import FailFastConnection, Row
from adapters.postgres.session import Session
from domain.errors import StoreUnavailable

PREPARED_MAX = 200
"""Prepared statements per connection; enough for every statement and the usual questions."""

Parameters = Sequence[Any] | Mapping[str, Any]

_FORGOTTEN = (driver.InvalidSqlStatementName, driver.DuplicatePreparedStatement)
_IDLE = pq.TransactionStatus.IDLE


class Execution:
    """Runs the statements of one address. `is_pooled` once a pooler is known to stand before the server."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
        self.is_pooled = False

    async def set_up(self, connection: AsyncConnection[Any]) -> None:
        """Sets the session of a new connection: one round trip. Raises StoreUnavailable where it cannot be set."""
        connection.prepared_max = PREPARED_MAX
        # Names of prepared statements must differ between connections that share server processes through a pooler;
        # by itself every connection of the driver begins with `_pg3_0`.
        connection._prepared._prepared_idx = secrets.randbits(60)
        set_json_loads(msgspec.json.decode, connection)
        await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
        cursor = await connection.execute(self._session.setting, prepare=False)
        await cursor.set_result(-1)
        row = await cursor.fetchone()
        facts = self._session.read_back(row or ())
        if connection.info.encoding != "utf-8":
            raise StoreUnavailable(
                f"The connection to PostgreSQL keeps the encoding {connection.info.encoding}."
            )
        if facts.was_read_only:
            self._begin = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE"
        if facts.server_process != connection.info.backend_pid:
            self._note_pooler()

    async def run(
        self, connection: FailFastConnection, cursor: AsyncCursor[Row], statement: str, parameters: Parameters
    ) -> None:
        """Runs one statement, in a transaction of its own or in the open one. Raises the driver's errors, and
        Contention where the open transaction has to begin again.
        """
        is_alone = connection.pgconn.transaction_status == _IDLE
        await self._keep_encoding(connection)
        if self.is_pooled:
            await self._run_pooled(connection, cursor, statement, parameters, is_alone=is_alone)
            return
        try:
            await self._run_prepared(connection, cursor, statement, parameters)
        except _FORGOTTEN as error:
            # The server refused before it executed anything.
            self._note_pooler()
            if not is_alone:
                raise Contention from error
            await self._run_pooled(connection, cursor, statement, parameters, is_alone=True)
        except driver.FeatureNotSupported:
            # The statement was prepared before a migration changed the columns; it would fail here forever.
            connection.known.clear()
            if not is_alone:
                await connection.close()
                raise
            await connection.execute("DEALLOCATE ALL", prepare=False)
            await self._run_prepared(connection, cursor, statement, parameters)

    async def begun(self, connection: FailFastConnection) -> None:
        """Sets the session of a transaction that has just begun."""
        if self.is_pooled:
            await self._keep_encoding(connection)
            await connection.execute(self._session.for_transaction, prepare=False)

    async def _run_prepared(
        self, connection: FailFastConnection, cursor: AsyncCursor[Row], statement: str, parameters: Parameters
    ) -> None:
        if statement in connection.known:
            await cursor.execute(statement, parameters, prepare=True)
            return
        async with connection.pipeline():
            await connection.execute(self._session.repeated, prepare=False)
            await cursor.execute(statement, parameters, prepare=True)
        # Bounded as the driver's own memory, which then still has every one of these.
        if len(connection.known) >= PREPARED_MAX:
            connection.known.clear()
        connection.known.add(statement)

    async def _run_pooled(
        self,
        connection: FailFastConnection,
        cursor: AsyncCursor[Row],
        statement: str,
        parameters: Parameters,
        *,
        is_alone: bool,
    ) -> None:
        if not is_alone:
            await cursor.execute(statement, parameters, prepare=False)
            return
        try:
            async with connection.pipeline():
                await connection.execute(self._begin, prepare=False)
                await connection.execute(self._session.for_transaction, prepare=False)
                await cursor.execute(statement, parameters, prepare=False)
                await connection.execute("COMMIT", prepare=False)
        except driver.Error:
            if not connection.closed:
                await connection.rollback()
            raise

    async def _keep_encoding(self, connection: FailFastConnection) -> None:
        """The driver encodes by what the server reported last, before the settings of the same round trip apply."""
        if connection.pgconn.parameter_status(b"client_encoding") == b"UTF8":
            return
        await connection.execute("SET client_encoding = 'UTF8'", prepare=False)
        if connection.info.encoding != "utf-8":
            raise StoreUnavailable(
                f"The connection to PostgreSQL keeps the encoding {connection.info.encoding}."
            )

    def _note_pooler(self) -> None:
        if not self.is_pooled:
            self.is_pooled = True
            logger.warning(
                "A pooler stands before PostgreSQL: each transaction sets its own session,"
                " and no statement is prepared."
            )
