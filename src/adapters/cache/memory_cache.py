"""Copies of records in this process."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from adapters.cache.encoded_record import decoded, encoded
from adapters.cache.record_cache import (
    HOLD_SECONDS,
    LEASE_SECONDS,
    PUT_RECORDS_MAX,
    RECORD_SECONDS,
    CacheNamespace,
    Hold,
    LookUp,
    RecordKey,
)
from adapters.records.change_set import Put
from adapters.records.record import ID, VERSION, Record

RECORDS_MAX = 50_000
BYTES_MAX = 64 * 1024 * 1024
PLACE_BYTES = 300
"""What a place costs beside the record in it, roughly."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Exactly one of: a copy (`data`), a reader's lease, a writer's hold."""

    expires_at: float
    data: bytes | None = None
    version: int = 0
    lease: str | None = None
    hold: str | None = None

    @property
    def size(self) -> int:
        return PLACE_BYTES + (0 if self.data is None else len(self.data))


class MemoryCache:
    """A RecordCache in this process, bounded by count and bytes; the least recently used goes first.

    It knows of the writes of this process only: what other processes write is seen up to `record_seconds` late, so use
    it where one process owns the store. `monotonic` tells seconds.
    """

    def __init__(
        self,
        *,
        records_max: int = RECORDS_MAX,
        bytes_max: int = BYTES_MAX,
        record_seconds: float = RECORD_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._record_seconds = record_seconds
        self._monotonic = monotonic
        self._places: OrderedDict[RecordKey, _Place] = OrderedDict()
        self._bytes = 0
        self._tokens = count(1)
        self._has_entered = False

    @property
    def in_use(self) -> bool:
        return self._has_entered

    @property
    def bytes_used(self) -> int:
        """What the copies take, roughly; never above the bound."""
        return self._bytes

    def __len__(self) -> int:
        """How many places are taken; never above the bound."""
        return len(self._places)

    def enter(self, namespace: CacheNamespace) -> None:  # noqa: ARG002 - one process, one owner: the rest goes
        self._clear()
        self._has_entered = True

    async def look_up(self, collection: str, ids: Sequence[str]) -> LookUp:
        if not self._has_entered:
            return LookUp({}, None)
        now = self._monotonic()
        records: dict[str, Record] = {}
        lease: str | None = None
        for record_id in ids:
            place = self._standing((collection, record_id), now)
            if place is None:
                lease = lease or self._token()
                self._set((collection, record_id), _Place(now + LEASE_SECONDS, lease=lease))
            elif place.data is not None and (record := decoded(place.data)) is not None:
                self._places.move_to_end((collection, record_id))
                records[record_id] = record
        return LookUp(records, lease)

    async def fill(self, collection: str, records: Sequence[Record], *, lease: str) -> None:
        now = self._monotonic()
        for record in records:
            key = (collection, record[ID])
            place = self._standing(key, now)
            if place is not None and place.lease == lease:
                self._copy(key, record, now)

    async def hold(self, keys: Sequence[RecordKey]) -> Hold:
        if not self._has_entered:
            return Hold(tuple(keys), None)
        token, now = self._token(), self._monotonic()
        for key in keys:
            self._set(key, _Place(now + HOLD_SECONDS, hold=token))
        return Hold(tuple(keys), token)

    async def put(self, hold: Hold, puts: Sequence[Put]) -> None:
        if hold.token is None or len(puts) > PUT_RECORDS_MAX:
            await self.release(hold)
            return
        now = self._monotonic()
        for put in puts:
            key = (put.collection, put.record_id)
            place = self._standing(key, now)
            if place is None:
                continue
            is_older_copy = place.data is not None and place.version < put.version
            if place.hold == hold.token or is_older_copy:
                self._copy(key, put.record, now)
            elif place.lease is not None:
                self._drop(key)

    async def release(self, hold: Hold) -> None:
        for key in hold.keys:
            place = self._places.get(key)
            if place is not None and (place.hold is None or place.hold == hold.token):
                self._drop(key)

    async def close(self) -> None:
        self._clear()
        self._has_entered = False

    def _standing(self, key: RecordKey, now: float) -> _Place | None:
        place = self._places.get(key)
        if place is not None and place.expires_at <= now:
            self._drop(key)
            return None
        return place

    def _copy(self, key: RecordKey, record: Record, now: float) -> None:
        data = encoded(record)
        if data is None:
            self._drop(key)
        else:
            self._set(key, _Place(now + self._record_seconds, data=data, version=record[VERSION]))

    def _set(self, key: RecordKey, place: _Place) -> None:
        self._drop(key)
        self._places[key] = place
        self._bytes += place.size
        while len(self._places) > self._records_max or self._bytes > self._bytes_max:
            self._bytes -= self._places.popitem(last=False)[1].size

    def _drop(self, key: RecordKey) -> None:
        place = self._places.pop(key, None)
        if place is not None:
            self._bytes -= place.size

    def _clear(self) -> None:
        self._places.clear()
        self._bytes = 0

    def _token(self) -> str:
        return str(next(self._tokens))
