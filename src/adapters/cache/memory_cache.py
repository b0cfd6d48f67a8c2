"""A record cache in the memory of one process."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from adapters.cache.encoded_record import decoded, encoded
from adapters.cache.record_cache import WRITE_LEASE_SECONDS, CacheNamespace, LookUp, RecordKey
from adapters.records.record import Record

BYTES_MAX = 64 * 1024 * 1024
COPY_BYTES = 300
"""The approximate size of a copy without its data."""

LEASED_MAX = 50_000
"""How many records have a write lease at once; further writes only invalidate."""


class MemoryCache:
    """A RecordCache for a store that only this process writes to. The least recently used copy is evicted first.

    A read lease is the number of changes so far: after any change, earlier reads are not filled in.
    """

    shared_seconds = None

    def __init__(
        self, *, bytes_max: int = BYTES_MAX, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._bytes_max = bytes_max
        self._monotonic = monotonic
        self._copies: OrderedDict[RecordKey, bytes] = OrderedDict()
        self._leased: dict[RecordKey, dict[str, float]] = {}
        self._changes = 0
        self._has_namespace = False
        self.bytes_used = 0

    @property
    def in_use(self) -> bool:
        return self._has_namespace

    async def check(self) -> str | None:
        """It is part of this process, so it always answers."""
        return None

    def use_namespace(self, namespace: CacheNamespace) -> None:
        """Forgets what it held. It stays unused over a store that other processes can write to, which the data may have
        moved to.
        """
        self._clear()
        self._has_namespace = not namespace.is_shared

    async def look_up(self, collection: str, ids: Sequence[str]) -> LookUp:
        records = decoded((record_id, self._copies.get((collection, record_id))) for record_id in ids)
        for record_id in records:
            self._copies.move_to_end((collection, record_id))
        is_complete = len(records) == len(ids)
        return LookUp(records, None if is_complete or not self._has_namespace else str(self._changes))

    async def fill(self, collection: str, records: Mapping[str, Record | None], *, lease: str) -> None:
        if lease != str(self._changes):
            return
        for record_id, record in records.items():
            key = (collection, record_id)
            if not self._is_leased(key) and (data := encoded(record)) is not None:
                self._delete(key)
                self._copies[key] = data
                self.bytes_used += len(data) + COPY_BYTES
        while self.bytes_used > self._bytes_max:
            self._delete(next(iter(self._copies)))

    async def take_write_lease(self, keys: Sequence[RecordKey]) -> str | None:
        await self.invalidate(keys, lease=None)
        if len(self._leased) + len(keys) > LEASED_MAX:
            for key in list(self._leased):
                self._is_leased(key)  # forgets leases that have expired
        if not self._has_namespace or len(self._leased) + len(keys) > LEASED_MAX:
            return None
        lease = str(self._changes)
        for key in keys:
            self._leased.setdefault(key, {})[lease] = self._monotonic() + WRITE_LEASE_SECONDS
        return lease

    async def invalidate(self, keys: Sequence[RecordKey], *, lease: str | None) -> bool:
        self._changes += 1
        for key in keys:
            self._delete(key)
            if lease is not None and key in self._leased:
                self._leased[key].pop(lease, None)
                self._is_leased(key)
        return True

    async def close(self) -> None:
        self._clear()
        self._has_namespace = False

    def _is_leased(self, key: RecordKey) -> bool:
        leases = self._leased.get(key, {})
        if any(expires_at > self._monotonic() for expires_at in leases.values()):
            return True
        self._leased.pop(key, None)
        return False

    def _delete(self, key: RecordKey) -> None:
        data = self._copies.pop(key, None)
        if data is not None:
            self.bytes_used -= len(data) + COPY_BYTES

    def _clear(self) -> None:
        self._changes += 1
        self._copies.clear()
        self._leased.clear()
        self.bytes_used = 0
