"""What a cache of records promises, and the words it is asked with.

The order of events decides what may be cached, not the clock: whoever wants to put a record first leaves a claim in
its place. Readers lease an empty place before they read the store; writers hold the place before they commit. A hold
drives out copies and leases. So a reader that was overtaken finds its lease gone, and can never put an old record over
a newer one, also where the newer one has been evicted since.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from adapters.records.change_set import Put
from adapters.records.record import Record

RecordKey = tuple[str, str]
"""A record's collection and id."""

LEASE_SECONDS = 5.0
"""How long a reader has for reading the store; who is later does not put."""

HOLD_SECONDS = 30.0
"""How long a record stays out of the cache while the outcome of its commit is unknown; longer than a commit takes."""

RECORD_SECONDS = 60.0
"""How long a copy is kept: the bound of every staleness that cannot be ruled out."""

PUT_RECORDS_MAX = 100
"""Larger change sets are dropped from the cache instead of copied into it."""

RECORD_BYTES_MAX = 256 * 1024
"""Larger records are not cached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheNamespace:
    """Whose records they are. `identity` tells the data from other data under the same names, which may use the same
    cache: a text the store itself remembers, made when it was first prepared. `epoch` counts changes of ownership.
    """

    store: str
    database: str
    identity: str
    epoch: int

    @property
    def prefix(self) -> str:
        """What keys begin with; no two namespaces share one."""
        names = (self.store, self.database, self.identity)
        return ":".join(("tandem", *(quote(name, safe="") for name in names), str(self.epoch)))


@dataclass(frozen=True, slots=True)
class LookUp:
    """The copies that were there, and the lease under which the other records may be filled in (None: they may not)."""

    records: dict[str, Record]
    lease: str | None


@dataclass(frozen=True, slots=True)
class Hold:
    """A writer's claim on records. `token` is None where the cache did not confirm it."""

    keys: tuple[RecordKey, ...]
    token: str | None


class RecordCache(Protocol):
    """Copies of records by collection and id, for as long as it likes.

    No method raises, except when cancelled, and none takes longer than a bound: a cache that fails holds nothing. What
    it could not be told of a change is made up for before this object answers from it again. Copies are nobody's but
    the caller's. Records it could not give back equal, field by field, are not cached.
    """

    @property
    def in_use(self) -> bool:
        """Whether it answers at all at present."""
        ...

    def enter(self, namespace: CacheNamespace) -> None:
        """From now on it keeps and answers this namespace's records. Until the first call everything is a miss."""
        ...

    async def look_up(self, collection: str, ids: Sequence[str]) -> LookUp:
        """Copies of these records, as of one moment, and a lease on the places that were empty."""
        ...

    async def fill(self, collection: str, records: Sequence[Record], *, lease: str) -> None:
        """Puts records read from the store after the look-up, each where the lease on its place still stands."""
        ...

    async def hold(self, keys: Sequence[RecordKey]) -> Hold:
        """Drives these records out, and keeps readers from filling them until `put`, `release` or HOLD_SECONDS later.

        The newest hold counts.
        """
        ...

    async def put(self, hold: Hold, puts: Sequence[Put]) -> None:
        """The held puts are committed: each is copied where the hold still stands or only an older version is cached.

        Where the hold was not confirmed, the records are forgotten instead.
        """
        ...

    async def release(self, hold: Hold) -> None:
        """Gives the held places back and forgets what is cached of these records; what others hold stays held."""
        ...

    async def close(self) -> None:
        """Lets go. Harmless when closed already."""
        ...
