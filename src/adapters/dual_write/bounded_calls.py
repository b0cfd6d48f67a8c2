"""Calls to a store that may hang: each has a time limit, and the number of abandoned calls is bounded.

Cancelling a call to a frozen server can itself hang for seconds (the driver asks the server to cancel), so a late call
is cancelled but not awaited.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from adapters.records.cancellation import retrieve_error
from domain.errors import StoreUnavailable

T = TypeVar("T")


class TimedOut(StoreUnavailable):
    """The store did not answer in time."""

    names_cause = False


class BoundedCalls:
    """Runs calls with a time limit, and keeps track of abandoned ones until they end."""

    def __init__(self, *, abandoned_max: int) -> None:
        self._abandoned_max = abandoned_max
        self._abandoned: set[asyncio.Task[Any]] = set()

    @property
    def abandoned(self) -> int:
        """The number of abandoned calls that still run: at most `abandoned_max`, plus those of cancelled callers."""
        return len(self._abandoned)

    async def within(self, timeout_ms: float, call: Coroutine[Any, Any, T]) -> T:
        """The call's result.

        Raises TimedOut if it is late, StoreUnavailable without calling if too many abandoned calls still hang, and all
        errors of the call.
        """
        if len(self._abandoned) >= self._abandoned_max:
            call.close()
            raise StoreUnavailable(f"{len(self._abandoned)} earlier calls still hang.")
        task = asyncio.ensure_future(call)
        try:
            await asyncio.wait((task,), timeout=timeout_ms / 1000)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not task.done():
            self._abandon(task)
            raise TimedOut(f"The store did not answer within {timeout_ms:.0f} ms.")
        if task.cancelled():
            raise StoreUnavailable("The store cancelled the call.")
        return task.result()

    async def close(self, timeout_ms: float) -> None:
        """Cancels the abandoned calls again and waits for them, but not longer than this."""
        for task in self._abandoned:
            task.cancel()
        if self._abandoned:
            await asyncio.wait(tuple(self._abandoned), timeout=timeout_ms / 1000)

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)
        task.add_done_callback(retrieve_error)
