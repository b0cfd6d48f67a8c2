"""Calls into a store that may hang: awaited for a bounded time, then abandoned, and only so many of them.

Cancelling a call to a frozen server can itself hang for seconds (the driver asks the server to cancel), so a call that
is late is told to stop but never awaited.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from domain.errors import StoreUnavailable

T = TypeVar("T")


class TimedOut(StoreUnavailable):
    """The store did not answer in time."""


class BoundedCalls:
    """Runs calls within a time; remembers those it gave up until they end."""

    def __init__(self, *, abandoned_max: int) -> None:
        self._abandoned_max = abandoned_max
        self._abandoned: set[asyncio.Task[Any]] = set()

    @property
    def abandoned(self) -> int:
        """How many late calls have not ended yet; never more than `abandoned_max`, save for cancelled callers."""
        return len(self._abandoned)

    async def within(self, timeout_ms: float, call: Coroutine[Any, Any, T]) -> T:
        """The call's result.

        Raises TimedOut when it is late, StoreUnavailable without calling when too many late calls still hang, and
        whatever the call raises.
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
            raise StoreUnavailable("The store gave the call up.")
        return task.result()

    async def close(self, timeout_ms: float) -> None:
        """Tells the abandoned calls to stop once more and waits for them, but not longer than this."""
        for task in self._abandoned:
            task.cancel()
        if self._abandoned:
            await asyncio.wait(tuple(self._abandoned), timeout=timeout_ms / 1000)

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            # Read so that the loop does not report it as forgotten: nobody waits for it any more.
            task.exception()
