"""The health of the components."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

CLOCK_SECONDS_MAX: Final = 5.0
"""The clock of a store that differs by more from that of this machine is off: times that people read would jump."""


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """Whether one component works: down (`up` is false), degraded (it works for part of the records), or up.

    `detail` says why and may be shown to everybody. `cause` is the same for operators, with addresses and paths.
    """

    up: bool
    detail: str | None = None
    is_degraded: bool = False
    cause: str | None = None

    @property
    def status(self) -> str:
        """UP, DEGRADED or DOWN."""
        if not self.up:
            return "DOWN"
        return "DEGRADED" if self.is_degraded else "UP"

    @property
    def reason(self) -> str | None:
        """Why it does not work as it should, for operators; None if it does."""
        return self.cause or self.detail


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """The product and version of a store, its topology, and its clock if it has one."""

    product: str
    topology: str | None = None
    clock: datetime | None = None

    def seconds_apart(self, before: datetime, after: datetime) -> float:
        """How far its clock is from the time in which it was read; 0 without a clock."""
        if self.clock is None:
            return 0.0
        return max((before - self.clock).total_seconds(), (self.clock - after).total_seconds(), 0.0)


class HealthProbe(Protocol):
    """Asks every component within a deadline. Every report of the service's state is made from this answer."""

    async def components(self) -> Mapping[str, ComponentHealth]:
        """`db` is the store that requests need; `target` and `cache` are present if they exist. Never raises."""
