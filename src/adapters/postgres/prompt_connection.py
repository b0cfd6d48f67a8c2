"""A connection to PostgreSQL for the hot path: left at once by whoever is cancelled, and quick at plain writes."""

import asyncio
import select
from collections.abc import Sequence
from typing import Any, TypeVar

from psycopg import AsyncConnection, pq
from psycopg.abc import PQGen
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.generators import execute
from psycopg.waiting import wait_async

R = TypeVar("R")
Row = tuple[Any, ...]
Texts = Sequence[bytes | None]
"""Values in PostgreSQL's own notation, in UTF-8 without NUL."""


class PromptConnection(AsyncConnection[Row]):
    """A connection that a cancelled caller leaves at once.

    psycopg asks the server to cancel and waits for its answer, up to ten seconds when the server is frozen. Here the
    connection is dropped instead: the server notices, or ends the statement by its own time-out.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._planned: dict[str, bytes] = {}
        self._plans_made = 0

    async def wait(
        self,
        gen: PQGen[R],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109 - the driver's signature
    ) -> R:
        """Runs one exchange with the server; the connection does not outlive an interrupted one."""
        try:
            return await wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except (asyncio.CancelledError, KeyboardInterrupt):
            self.pgconn.finish()
            raise

    async def change(self, statement: str, values: Texts) -> int:
        """How many rows a statement changed that answers none; its parameters are `$1`, `$2`, …

        Goes past the cursor, which looks at every value to find out what to make of it.
        """
        async with self.lock:
            return await self.wait(self._change(statement, values))

    async def forget_plans(self) -> None:
        """Has every statement planned anew."""
        self._planned.clear()
        await self.execute("DEALLOCATE ALL")

    def _change(self, statement: str, values: Texts) -> PQGen[int]:
        if statement in self._planned:
            try:
                return (yield from self._run(self._planned[statement], values))
            except InvalidSqlStatementName:
                # The driver has the server forget all plans after a rollback, these among them. Nothing was run.
                self._planned.clear()
        # A name is never used again: the server may still have the plan, or not any more.
        self._plans_made += 1
        name = b"tandem_%d" % self._plans_made
        self.pgconn.send_prepare(name, statement.encode())
        yield from self._outcome()
        self._planned[statement] = name
        return (yield from self._run(name, values))

    def _run(self, name: bytes, values: Texts) -> PQGen[int]:
        self.pgconn.send_query_prepared(name, values)
        return (yield from self._outcome())

    def _outcome(self) -> PQGen[int]:
        """The number of rows that what was sent has changed. Raises what the server says against it."""
        (result,) = yield from execute(self.pgconn)
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise error_from_result(result)
        return result.command_tuples or 0

    def is_stale(self) -> bool:
        """Whether the server said something unasked, which it only does when it hangs up."""
        if self.closed:
            return True
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return bool(poll.poll(0))
