"""The health of the components."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """Whether one component is up. `detail` may be shown to everybody."""

    up: bool
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """The product and version of a store, its topology, and its clock if it has one."""

    product: str
    topology: str | None = None
    clock: datetime | None = None


class HealthProbe(Protocol):
    """Asks every component within a deadline."""

    async def components(self) -> Mapping[str, ComponentHealth]:
        """`db` is the store that requests need; `target` and `cache` are present if they exist. Never raises."""
