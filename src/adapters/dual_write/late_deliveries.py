"""Deliveries that take long go on beside the others, so that one slow table does not stop the rest."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from itertools import chain
from typing import Any

from adapters.dual_write.grouping import Entries, by_tables, connected
from adapters.records.record import Record

HELD_UP_SECONDS_MAX = 1.0
"""How long one delivery holds up the others."""

Deliver = Callable[[Sequence[Record]], Coroutine[Any, Any, object]]


class LateDeliveries:
    """Runs deliveries one after the other. One that takes longer than HELD_UP_SECONDS_MAX and concerns several tables
    is cancelled and done again table by table; that of a single table goes on in the background. What touches its
    tables stays due, so at most one runs for each table, and no record is overtaken by its own later version.
    """

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._running: dict[asyncio.Future[object], frozenset[str]] = {}
        self.late_count = 0
        """How many deliveries have gone on in the background; others may have been left due because of them."""

    @property
    def busy(self) -> frozenset[str]:
        """The collections of the deliveries that still run."""
        running = (collections for task, collections in self._running.items() if not task.done())
        return frozenset[str]().union(*running)

    async def run(self, entries: Sequence[Record]) -> None:
        """Returns once these are delivered, or late; leaves those due that are connected with a delivery that runs.

        Raises what a delivery raised, also one that was late.
        """
        self.raise_failed()
        free = self._free(entries)
        if not free:
            return
        together = self._begin(free)
        if await self._ends_soon(together) or len(parts := by_tables(connected(free), _collections)) == 1:
            return
        await self._cancel(together)
        for part in (list(chain(*groups)) for groups in parts):
            if self._free(part):
                await self._ends_soon(self._begin(part))

    async def finish(self) -> None:
        """Waits for those that are late. Raises as `run`."""
        while self._running:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            self.raise_failed()

    async def cancel(self) -> None:
        """Ends those that are late: what they have not delivered stays due."""
        await self._cancel(*self._running)

    def raise_failed(self) -> None:
        """Raises what one that was late has raised since."""
        done = [task for task in self._running if task.done()]
        for task in done:
            del self._running[task]
        # All are retrieved: the event loop reports those that nobody asks for.
        errors = [error for task in done if (error := task.exception()) is not None]
        if errors:
            raise errors[0]

    def _free(self, entries: Sequence[Record]) -> Entries:
        """Those that are not connected with a delivery that runs."""
        busy = self.busy
        if not busy:
            return list(entries)
        return [entry for group in connected(entries) if not busy & _collections(group) for entry in group]

    def _begin(self, entries: Entries) -> asyncio.Future[object]:
        task = asyncio.ensure_future(self._deliver(entries))
        self._running[task] = _collections(entries)
        return task

    async def _ends_soon(self, task: asyncio.Future[object]) -> bool:
        """Whether it is not late. Raises its error."""
        await asyncio.wait((task,), timeout=HELD_UP_SECONDS_MAX)
        is_late = not task.done()
        self.late_count += is_late
        self.raise_failed()
        return not is_late

    async def _cancel(self, *tasks: asyncio.Future[object]) -> None:
        for task in tasks:
            task.cancel()
            del self._running[task]
        # Errors are of no interest: what was not delivered is delivered again.
        await asyncio.gather(*tasks, return_exceptions=True)


def _collections(entries: Sequence[Record]) -> frozenset[str]:
    return frozenset(entry["collection"] for entry in entries)
