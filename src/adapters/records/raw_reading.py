"""Reading what a store holds by a second path, for verification.

The records that a store returns, and those that the mirror writes, pass through one encoder and one decoder. An error
in these is symmetrical, so whoever compares through them sees equal records. The raw path shares nothing with them: it
takes the values as the server or the file gives them, finds fields by the names stored there, and checks nothing.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from adapters.records.record import Record

RAW_MAX = 5_000
"""The most records in one page, and in one fetch."""
RANGES_MAX = 20
"""The most ranges of one call for digests."""


@dataclass(frozen=True, slots=True)
class RawPage:
    """Stored records as they lie there, by ascending id: each with its id under `id`.

    Instants are `datetime`s without a zone, in UTC; days are text. Missing fields may be None or absent. Values of
    kinds that records do not have keep the driver's types. `unreadable` holds the reason by id where nothing could be
    decoded. `last_id` is the highest id of the page, None for an empty one; `is_last`: no record follows.

    `prints` has one value for each record, in their order, which changes with anything in it: see `digest_of`. A store
    may leave it out.
    """

    records: list[Record]
    unreadable: dict[str, str] = field(default_factory=dict)
    last_id: str | None = None
    is_last: bool = True
    prints: Sequence[int | bytes] = ()


@dataclass(frozen=True, slots=True)
class Digest:
    """How many records a range holds, and a value that changes with any of them. Each store has values of its own."""

    count: int
    value: str


def digest_of(prints: Sequence[int | bytes]) -> Digest:
    """The digest of records with these prints, by ascending id: bytes are hashed, numbers are hashes already."""
    if prints and isinstance(prints[0], int):
        return Digest(len(prints), str(sum(prints)))  # type: ignore[arg-type]
    hashed = hashlib.blake2b(b"".join(prints), digest_size=16)  # type: ignore[arg-type]
    return Digest(len(prints), hashed.hexdigest() if prints else "0")


@runtime_checkable
class RawReader(Protocol):
    """A store with a second path for reading. Every method raises StoreUnavailable where the store does not answer."""

    async def raw_scan(self, collection: str, *, after: str | None, limit: int) -> RawPage:
        """At most `limit` (up to RAW_MAX) records with ids above `after`: everything, tombstones included."""
        ...

    async def raw_fetch(self, collection: str, ids: Sequence[str]) -> RawPage:
        """Those of the ids (at most RAW_MAX) that exist."""
        ...

    async def raw_digests(self, collection: str, *, after: str | None, bounds: Sequence[str]) -> list[Digest]:
        """The digests of consecutive ranges (at most RANGES_MAX): each ends with one of the ascending `bounds`, and
        begins behind the one before, the first one behind `after`. They equal `digest_of` the prints of the same
        records.
        """
        ...

    async def raw_count(self, collection: str, *, after: str | None = None, upto: str | None = None) -> int:
        """How many records with ids above `after`, up to `upto`, the collection holds, counted by the store itself."""
        ...
