"""How far a source has been written, from what a restore of it does not take back: memory, and a file."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from loguru import logger

from adapters.ownership.last_seen import LastSeen
from adapters.records.change_set import LaneStamp
from adapters.records.lanes import LanedStore, Positions

LANES_MAX = 256
"""Of so many lanes a process remembers how far they have written; any of them shows that a copy is older."""


class Evidence:
    """Of one process about its source. The file is written, too, for those that come later."""

    def __init__(self, store: LanedStore, last_seen: LastSeen, *, has_target: bool) -> None:
        self._store = store
        self._last_seen = last_seen
        self._only_store = None if has_target else store.name
        self._numbers: dict[int, int] = {}

    def note_commit(self, stamp: LaneStamp) -> None:
        """Remembers a stored commit."""
        numbers = self._numbers
        if stamp.lane not in numbers and len(numbers) >= LANES_MAX:
            del numbers[next(iter(numbers))]
        numbers[stamp.lane] = max(stamp.number, numbers.get(stamp.lane, 0))

    def note_positions(self, positions: Positions) -> None:
        """Remembers what other processes have written, too, as a comparison found it."""
        for lane in positions.lanes.values():
            if lane.is_open and lane.number:
                self.note_commit(LaneStamp(lane.lane, lane.number))

    async def is_beyond_in_memory(self) -> bool:
        """Whether more was written, as far as this process knows, than the source holds. Raises StoreUnavailable."""
        known = dict(self._numbers)
        return bool(_beyond(known, await self._store.positions(with_checkpointed=True)))

    async def is_beyond_in_file(self, installation: str) -> bool:
        """Whether the file shows more than the source holds. Raises DamagedFile and StoreUnavailable."""
        positions = await self._store.positions(with_checkpointed=True)
        return await asyncio.to_thread(self._last_seen.is_ahead_of, positions, installation=installation)

    async def keep(self, installation: str) -> None:
        """Writes what this process remembers into the file, at least the installation. Logs where that fails."""
        known, only_store = dict(self._numbers), self._only_store
        with self._reported():
            await asyncio.to_thread(
                self._last_seen.note, known, installation=installation, only_store=only_store
            )

    async def forget_beyond(self, installation: str) -> bool:
        """Forgets what is beyond the source, which is vouched for. Returns whether there was anything.

        Raises StoreUnavailable.
        """
        known = dict(self._numbers)
        positions = await self._store.positions(with_checkpointed=True)
        lost = _beyond(known, positions)
        for lane in lost:
            self._numbers.pop(lane, None)
        with self._reported():
            await asyncio.to_thread(self._last_seen.forget_beyond, positions, installation=installation)
        return bool(lost)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            logger.warning("The file {} was not written: {}", self._last_seen.path, error)


def _beyond(known: Mapping[int, int], positions: Positions) -> list[int]:
    return [lane for lane, number in known.items() if positions.number_of(lane) < number]
