"""The one lane of a process in its SQLite file: commits are queued, so their numbers are given when they are queued."""

import asyncio
from collections.abc import Awaitable, Callable

from adapters.records.change_set import LaneStamp
from adapters.records.lane_slots import new_lane
from adapters.records.lanes import Admission, LaneLost

Register = Callable[[int, Admission, int | None], Awaitable[None]]
"""Registers a lane in the file and closes the previous one, or raises LaneLost."""


class OwnLane:
    """Gives each write the next number. A number whose write is rejected is left out."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._registering = asyncio.Lock()
        self._is_required = False
        self.admission: Admission | None = None
        self.last: LaneStamp | None = None
        """The stamp that was given last; None while there is no lane."""
        self._previous: int | None = None

    def admit(self, admission: Admission | None) -> None:
        """See LanedStore.admit."""
        if self.last is not None:
            self._previous = self.last.lane
        self.admission, self._is_required, self.last = admission, True, None

    def forget_admission(self) -> None:
        """See LanedStore.forget_admission."""
        self.admission, self._is_required, self.last, self._previous = None, False, None, None

    async def register(self) -> None:
        """See LanedStore.register."""
        async with self._registering:
            if self.last is not None:
                return
            admission = self.admission
            if admission is None:
                raise LaneLost
            lane = new_lane()
            previous, self._previous = self._previous, lane
            await self._register(lane, admission, previous)
            if self.admission is admission:
                self.last = LaneStamp(lane, 0)

    async def next(self) -> LaneStamp | None:
        """The stamp for the next write, which must be queued before anything else is awaited; None without lanes."""
        while self.last is None and self._is_required:
            await self.register()
        if self.last is not None:
            self.last = LaneStamp(self.last.lane, self.last.number + 1)
        return self.last
