"""Reading what a store holds by a second path, for verification.

The records that a store returns, and those that the mirror writes, pass through one encoder and one decoder. An error
in these is symmetrical, so whoever compares through them sees equal records. The raw path shares nothing with them: it
takes the values as the server or the file gives them, finds fields by the names stored there, and checks nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from adapters.records.record import Record

RAW_MAX = 5_000
"""The most records in one page, and in one fetch."""


@dataclass(frozen=True, slots=True)
class RawPage:
    """Stored records as they lie there, by ascending id: each with its id under `id`.

    Instants are `datetime`s without a zone, in UTC; days are text. Missing fields may be None or absent. Values of
    kinds that records do not have keep the driver's types. `unreadable` holds the reason by id where nothing could be
    decoded. `last_id` is the highest id of the page, None for an empty one; `is_last`: no record follows.
    """

    records: list[Record]
    unreadable: dict[str, str] = field(default_factory=dict)
    last_id: str | None = None
    is_last: bool = True


@runtime_checkable
class RawReader(Protocol):
    """A store with a second path for reading. Every method raises StoreUnavailable where the store does not answer."""

    async def raw_scan(self, collection: str, *, after: str | None, limit: int) -> RawPage:
        """At most `limit` (up to RAW_MAX) records with ids above `after`: everything, tombstones included."""
        ...

    async def raw_fetch(self, collection: str, ids: Sequence[str]) -> RawPage:
        """Those of the ids (at most RAW_MAX) that exist."""
        ...

    async def raw_count(self, collection: str) -> int:
        """How many records the collection holds, counted by the store itself."""
        ...
