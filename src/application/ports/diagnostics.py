"""Observations of a running process about its stores."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowQuery:
    """One slow operation of a store: its name, its collection and its outcome; never any values."""

    at: datetime
    store: str
    operation: str
    collection: str
    outcome: str
    duration_ms: float


@dataclass(frozen=True, slots=True)
class CacheUse:
    """How many records requested by id the cache held and did not hold, and whether it is in use at present."""

    hits: int
    misses: int
    in_use: bool

    @property
    def ratio(self) -> float | None:
        """The share that the cache held; None before the first request."""
        requested = self.hits + self.misses
        return None if requested == 0 else self.hits / requested


class Diagnostics(Protocol):
    """Observations since the start of this process."""

    def slow_queries(self) -> Sequence[SlowQuery]:
        """The newest slow operations, newest first; bounded."""

    def cache_use(self) -> CacheUse | None:
        """How the cache is used; None without a cache."""
