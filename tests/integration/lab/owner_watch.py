"""Looks at both control records all the time: at no moment may both stores take writes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from adapters.ownership import control
from adapters.ownership.control import Held
from adapters.records.lanes import LanedStore
from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable
from tests.integration.lab.installation import Installation
from tests.unit.adapters.migration.move_world import takes_writes

PAUSE_SECONDS = 0.1


class OwnerWatch:
    """`looks` counts how often both records were read; `violations` are the moments with two owners, in words."""

    def __init__(self, first: LanedStore, second: LanedStore) -> None:
        self._first, self._second = first, second
        self._is_ended = False
        self._tokens: dict[str, list[int]] = {first.name: [], second.name: []}
        self._positions: dict[str, dict[int, int]] = {}
        """The lanes of a store that was put back, as they were then."""
        self.looks = 0
        self.violations: list[str] = []

    async def run(self) -> None:
        """Until `end`. Not cancelled: a cancelled call may count as one that failed, and the watch would go on."""
        while not self._is_ended:
            with suppress(StoreUnavailable, StoreRefused):
                await self._look()
            await asyncio.sleep(PAUSE_SECONDS)

    def end(self) -> None:
        """Looks no more."""
        self._is_ended = True

    async def _look(self) -> None:
        """The first record is read before and after the second one: if it stayed, both were valid at one moment."""
        before = await control.read(self._first)
        other = await control.read(self._second)
        is_idle = [
            await self._is_idle_copy(self._first, before),
            await self._is_idle_copy(self._second, other),
        ]
        after = await control.read(self._first)
        if before is None or other is None or before != after:
            return
        self.looks += 1
        first, second = before.ownership, other.ownership
        if takes_writes(first, second) and takes_writes(second, first) and not any(is_idle):
            self.violations.append(f"{first} and {second}")

    async def _is_idle_copy(self, store: LanedStore, held: Held | None) -> bool:
        """Whether the store is an older copy of itself, put back, in which nobody has written since: each change of the
        record has a new token, and each write advances a lane. What such a record says was true before.
        """
        if held is None:
            return False
        tokens = self._tokens[store.name]
        if held.token not in tokens:
            tokens.append(held.token)
        if held.token == tokens[-1]:
            self._positions.pop(store.name, None)
            return False
        numbers = {lane.lane: lane.number for lane in (await store.positions()).lanes.values()}
        return self._positions.setdefault(store.name, numbers) == numbers


@asynccontextmanager
async def watched(installation: Installation) -> AsyncIterator[OwnerWatch | None]:
    """Watches inside the block; None for MontyDB, whose files only one process may open."""
    if installation.mongo is None:
        yield None
        return
    first, second = installation.former_owner(), installation.new_owner()
    await first.open()
    await second.open()
    watch = OwnerWatch(first, second)
    watching = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        watch.end()
        await watching
        await first.close()
        await second.close()
    assert not watch.violations, f"two stores took writes at one moment: {watch.violations[:3]}"
