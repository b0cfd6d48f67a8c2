"""The port of a record cache, and the algorithm that keeps its copies current.

Promise: a read through the cache never returns a record older than a commit that was acknowledged before the read
began, whichever process committed. The order of events guarantees this; clocks only bound how long a state lasts.

1. *Read-through.* A reader that finds no copy takes a read lease on the empty key, reads the store, and fills its copy
   in only if its lease is still there. An invalidation deletes the lease, so a slow reader cannot write back a stale
   record. While one read is in progress, the same read in the same process waits and looks again (single-flight).
2. *Write lease, then invalidation after commit.* A writer puts a write lease on its keys before it commits. This
   deletes copies and read leases and keeps new ones out. After the commit the invalidation removes the lease. If the
   outcome is unknown or the process dies, the lease stays for WRITE_LEASE_SECONDS, which is longer than any commit.
3. *Bypass.* After its first failure a cache server is bypassed: reads go to the store, and the keys of writes are kept
   as pending invalidations. A background task reconnects and delivers them before this process uses the cache again.
4. *Bypass notice.* Other processes may still reach a server that a writer cannot. Such a writer acknowledges nothing
   until it has left a notice in the store and every process has had the time to see it and to stop reading from the
   cache, until the copies in question have expired.
5. *Namespace.* Keys contain the identity and epoch of the data, and the run id of the Redis server: after a restart
   from a snapshot, or a failover to a replica, older copies are out of reach. A flush or an eviction only loses copies
   and leases: a reader without its lease does not fill, and a writer invalidates after its commit in any case.

Every process that writes to the store must use the same cache.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from adapters.records.record import Record

RecordKey = tuple[str, str]
"""A record's collection and id."""

READ_LEASE_SECONDS = 5.0
WRITE_LEASE_SECONDS = 30.0
RECORD_SECONDS = 30.0
"""How long a copy is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheNamespace:
    """The data that copies belong to.

    `identity` is a text that only this data's store keeps; `epoch` counts changes of ownership. `is_shared`: other
    processes may write to the store, too.
    """

    store: str
    database: str
    identity: str
    epoch: int
    is_shared: bool = True

    @property
    def prefix(self) -> str:
        """The beginning of every key; no two namespaces share one."""
        names = (self.store, self.database, self.identity)
        return ":".join(("tandem", *(quote(name, safe="") for name in names), str(self.epoch)))


@dataclass(frozen=True, slots=True)
class LookUp:
    """The copies found, by id, and a read lease on the keys that were empty; None if none was.

    The copy of a record that does not exist is None.
    """

    records: dict[str, Record | None]
    lease: str | None


class RecordCache(Protocol):
    """Copies of records by collection and id.

    No method raises, except when cancelled, and each has a time limit: a cache that fails finds nothing. Callers own
    the records they give and get. Records that could not be returned equal, field by field, are not cached.
    """

    @property
    def in_use(self) -> bool:
        """False while the cache has no namespace or is bypassed."""

    @property
    def shared_seconds(self) -> float | None:
        """How long other processes may find a copy that was not invalidated; None if no other process can."""

    async def check(self) -> str | None:
        """Asks the cache now. None if it answers and takes writes, otherwise why not, without any address."""

    def use_namespace(self, namespace: CacheNamespace) -> None:
        """Caches the records of this namespace from now on. Before the first call nothing is cached."""

    async def look_up(self, collection: str, ids: Sequence[str]) -> LookUp:
        """The copies of these records at one moment; takes a read lease on empty keys."""

    async def fill(self, collection: str, records: Mapping[str, Record | None], *, lease: str) -> None:
        """Copies records, by id, that were read after the look-up; each only if its read lease is still there."""

    async def take_write_lease(self, keys: Sequence[RecordKey]) -> str | None:
        """Deletes the copies and read leases of these keys and keeps new ones out; None if this is not confirmed."""

    async def invalidate(self, keys: Sequence[RecordKey], *, lease: str | None) -> bool:
        """Ends this write lease and deletes copies and read leases; other write leases stay. False while pending."""

    async def close(self) -> None:
        """Closes the connection or frees the memory. Harmless when closed already."""
