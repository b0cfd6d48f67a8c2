"""The continuous verification of the stores of this process, whichever of them is the source."""

import os
import secrets
import socket
from collections.abc import Callable

from adapters.dual_write.lease import RelayLease
from adapters.migration.continuous import Continuous
from adapters.ownership.control import Ownership
from application.ports.clock import Clock
from entrypoints.composition.direction import Direction
from entrypoints.composition.store_stack import StoreStack

LEASE_ID = "verification-lease"
LEASE_MS = 30_000


class ContinuousVerification:
    """One process at a time verifies. `rate` bounds the records per second; 0 stands for never."""

    def __init__(self, stack: StoreStack, *, rate: int, clock: Clock) -> None:
        self._stack = stack
        self._rate = rate
        self._clock = clock
        self._holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._direction: Direction | None = None
        self._lease: RelayLease | None = None
        self._continuous: Continuous | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether the settings ask for it."""
        return self._rate > 0

    async def tick(self) -> None:
        """Moves the horizon, and begins a pass where one is due. Raises StoreUnavailable."""
        await self._follow()
        if self._continuous is None or self._lease is None:
            return
        is_ready = await self._stack.direction.target_trouble() is None
        if is_ready and await self._lease.hold():
            await self._continuous.tick()
        else:
            await self._continuous.stop()

    async def close(self) -> None:
        """Ends a pass under way. Harmless when closed already."""
        if self._continuous is not None:
            await self._continuous.stop()

    async def _follow(self) -> None:
        """Uses the stores in their present roles."""
        direction = self._stack.direction
        if direction is self._direction:
            return
        await self.close()
        self._direction, self._continuous, self._lease = direction, None, None
        if direction.raw_target is not None:
            self._lease = RelayLease(direction.source, holder=self._holder, lease_ms=LEASE_MS, id=LEASE_ID)
            self._continuous = Continuous(
                direction.raw_source,
                direction.raw_target,
                owned=direction.source,
                change=self._change,
                clock=self._clock,
                rate=self._rate,
            )

    async def _change(self, changed: Callable[[Ownership], Ownership]) -> Ownership:
        return (await self._stack.ownership.change(changed)).ownership
