"""Deliveries that take long go on beside the others, so that one slow table does not stop the rest."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from adapters.dual_write.grouping import Entries, connected
from adapters.records.record import Record

PATIENCE_SECONDS = 1.0
"""How long the others wait for one delivery."""

Deliver = Callable[[Sequence[Record]], Coroutine[Any, Any, object]]


class LateDeliveries:
    """Runs deliveries one after the other. One that takes longer than PATIENCE_SECONDS and concerns several tables is
    cancelled and done again table by table; that of a single table goes on in the background. What touches its tables
    waits for it, so at most one runs for each table, and no record is overtaken by its own later version.
    """

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._late: dict[asyncio.Future[object], frozenset[str]] = {}

    @property
    def busy(self) -> frozenset[str]:
        """The collections of the deliveries that still run."""
        running = (collections for task, collections in self._late.items() if not task.done())
        return frozenset[str]().union(*running)

    def free_of(self, entries: Sequence[Record]) -> Entries:
        """Those entries that need not wait, with everything that they are connected with."""
        busy = self.busy
        if not busy:
            return list(entries)
        return [entry for group in connected(entries) if not busy & _collections(group) for entry in group]

    async def run(self, entries: Sequence[Record]) -> None:
        """Returns once these are delivered, or late. Raises what a delivery raised, also one that was late."""
        self.raise_failed()
        if not entries:
            return
        task = asyncio.ensure_future(self._deliver(entries))
        if await self._is_done(task):
            return
        parts = _by_tables(entries)
        if len(parts) == 1:
            self._late[task] = _collections(entries)
            return
        await _cancelled([task])
        late: list[Entries] = []
        for part in parts:
            task = asyncio.ensure_future(self._deliver(part))
            if not await self._is_done(task):
                # Only after the others: what they have in common would be locked for long.
                await _cancelled([task])
                late.append(part)
        for part in late:
            self._late[asyncio.ensure_future(self._deliver(part))] = _collections(part)

    async def _is_done(self, task: asyncio.Future[object]) -> bool:
        """Whether it ends soon. Raises its error."""
        try:
            await asyncio.wait((task,), timeout=PATIENCE_SECONDS)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if task.done():
            task.result()
        return task.done()

    async def settle(self) -> None:
        """Waits for those that are late. Raises as `run`."""
        while self._late:
            await asyncio.wait(self._late, return_when=asyncio.FIRST_COMPLETED)
            self.raise_failed()

    async def cancel(self) -> None:
        """Ends those that are late: what they have not delivered stays due."""
        late, self._late = list(self._late), {}
        await _cancelled(late)

    def raise_failed(self) -> None:
        """Raises what one that was late has raised since."""
        done = [task for task in self._late if task.done()]
        for task in done:
            del self._late[task]
        # All are retrieved: the event loop reports those that nobody asks for.
        errors = [error for task in done if (error := task.exception()) is not None]
        if errors:
            raise errors[0]


async def _cancelled(tasks: Sequence[asyncio.Future[object]]) -> None:
    for task in tasks:
        task.cancel()
    # Errors are of no interest: what was not delivered is delivered again.
    await asyncio.gather(*tasks, return_exceptions=True)


def _by_tables(entries: Sequence[Record]) -> list[Entries]:
    """The entries in parts of which each has the same collections; what is connected stays together."""
    parts: dict[frozenset[str], Entries] = {}
    for group in connected(entries):
        parts.setdefault(_collections(group), []).extend(group)
    return list(parts.values())


def _collections(entries: Sequence[Record]) -> frozenset[str]:
    return frozenset(entry["collection"] for entry in entries)
