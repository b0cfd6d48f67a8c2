"""What a running process knows about its stores."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowQuery:
    """One operation of a store that took long: which, on which collection, and how it ended; never with what values."""

    at: datetime
    store: str
    operation: str
    collection: str
    outcome: str
    duration_ms: float


@dataclass(frozen=True, slots=True)
class CacheUse:
    """How many records asked for by id the cache knew and did not know, and whether it is in use at present."""

    hits: int
    misses: int
    in_use: bool

    @property
    def ratio(self) -> float | None:
        """The part that the cache knew; None as long as nothing was asked for."""
        asked = self.hits + self.misses
        return None if asked == 0 else self.hits / asked


class Diagnostics(Protocol):
    """What this process has seen since its start."""

    def slow_queries(self) -> Sequence[SlowQuery]:
        """The newest slow operations, newest first; bounded."""
        ...

    def cache_use(self) -> CacheUse | None:
        """How the cache is used; None without a cache."""
        ...
