"""Whether the parts answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """One part: up or down, and since when it is not worth asking (`detail` is safe to show)."""

    up: bool
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What a store says of itself: product and version, how it is arranged, and its clock where it has one."""

    product: str
    topology: str | None = None
    clock: datetime | None = None


class HealthProbe(Protocol):
    """Asks each part within a deadline."""

    async def components(self) -> Mapping[str, ComponentHealth]:
        """`db` is the store that requests need; `target` and `cache` stand beside it where they exist. Never raises."""
        ...
