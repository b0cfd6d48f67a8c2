"""A connection to PostgreSQL that a cancelled caller leaves at once."""

import asyncio
import select
from collections.abc import Callable
from typing import Any, Self, TypeVar

import psycopg
from psycopg import AsyncConnection, pq
from psycopg.abc import PQGen
from psycopg.pq.abc import PGconn
from psycopg.waiting import wait_async

R = TypeVar("R")
Row = tuple[Any, ...]


class FailFastConnection(AsyncConnection[Row]):
    """psycopg's connection without its wait for the server when the caller is cancelled.

    psycopg asks the server to cancel and waits for its answer, up to ten seconds when the server is frozen. Here the
    connection is dropped instead: the server notices, or ends the statement by its own time-out.
    """

    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn)
        self.known: set[str] = set()
        """The statements that this connection prepared together with the settings of its session."""
        self.is_set_by_transaction = False
        """Whether the newest transaction has set its session itself, so that it prepares nothing."""
        self.on_left: Callable[[int], None] | None = None
        """Called with the server process that is left while it executes something."""

    async def wait(
        self,
        gen: PQGen[R],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109 - the driver's signature
    ) -> R:
        """Runs one exchange with the server; an interrupted exchange closes the connection."""
        try:
            return await wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except (asyncio.CancelledError, KeyboardInterrupt):
            if self.on_left is not None and self.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
                self.on_left(self.pgconn.backend_pid)
            self.pgconn.finish()
            raise

    @classmethod
    def noting_failures(cls, note: Callable[[psycopg.Error | None], None]) -> type["FailFastConnection"]:
        """The same kind of connection, which notes why the newest one could not be made, or that it was made (None)."""

        class Noting(cls):  # type: ignore[misc,valid-type]
            @classmethod
            async def connect(cls, *arguments: Any, **settings: Any) -> Self:
                try:
                    connection: Self = await super().connect(*arguments, **settings)
                except psycopg.Error as error:
                    note(error)
                    raise
                note(None)
                return connection

        Noting.__name__ = cls.__name__  # as logs show it
        return Noting

    def is_stale(self) -> bool:
        """Whether the server sent data outside an exchange, which it only does when it closes the connection."""
        if self.closed:
            return True
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return bool(poll.poll(0))
