"""Copies of records in Redis, shared by every process that uses the same server."""

import secrets
from collections.abc import Iterable, Sequence
from itertools import count

from adapters.cache.encoded_record import decoded, encoded
from adapters.cache.record_cache import PUT_RECORDS_MAX, CacheNamespace, Hold, LookUp, RecordKey
from adapters.cache.redis_connection import ScriptCall
from adapters.cache.redis_scripts import VERSION_DIGITS
from adapters.cache.redis_server import RedisServer, RedisSettings
from adapters.records.change_set import Put
from adapters.records.record import ID, VERSION, Record

PUT_BYTES_MAX = 1024 * 1024
"""Larger change sets would take longer than a request may wait; they are dropped from the cache instead."""


class RedisCache:
    """A RecordCache on a Redis server (one node, or one primary with replicas that nobody reads).

    Whatever of a change the server did not confirm is owed to it: this process asks it nothing until it has forgotten
    those records. Commands that were sent and given up may still run later: they find their claim gone and do nothing.
    """

    def __init__(self, url: str, *, settings: RedisSettings | None = None) -> None:
        self._settings = settings or RedisSettings()
        self._server = RedisServer(url, settings=self._settings)
        self._record_ms = round(self._settings.record_seconds * 1000)
        self._lease_ms = round(self._settings.lease_seconds * 1000)
        self._hold_ms = round(self._settings.hold_seconds * 1000)
        self._prefix: str | None = None
        self._process = secrets.token_hex(8)
        self._numbers = count(1)

    @property
    def in_use(self) -> bool:
        return self._prefix is not None and not self._server.is_set_aside

    def enter(self, namespace: CacheNamespace) -> None:
        self._prefix = namespace.prefix

    async def look_up(self, collection: str, ids: Sequence[str]) -> LookUp:
        if not self.in_use:
            return LookUp({}, None)
        lease = self._token()
        keys = self._keys((collection, record_id) for record_id in ids)
        answer = await self._server.ask(ScriptCall("LOOK_UP", keys, (lease, self._lease_ms)))
        if answer is None:
            return LookUp({}, None)
        leased, places = answer
        records = {
            record_id: record
            for record_id, data in zip(ids, places, strict=True)
            if data is not None and (record := decoded(data)) is not None
        }
        return LookUp(records, lease if leased else None)

    async def fill(self, collection: str, records: Sequence[Record], *, lease: str) -> None:
        copies = {record[ID]: data for record in records if (data := _copy(record)) is not None}
        if not self.in_use or not copies:
            return
        keys = self._keys((collection, record_id) for record_id in copies)
        # Whether it runs does not matter: the copies are as fresh as their lease.
        await self._server.ask(ScriptCall("FILL", keys, (lease, self._record_ms, *copies.values())))

    async def hold(self, keys: Sequence[RecordKey]) -> Hold:
        token = self._token()
        confirmed = await self._told("HOLD", keys, (token, self._hold_ms))
        return Hold(tuple(keys), token if confirmed else None)

    async def put(self, hold: Hold, puts: Sequence[Put]) -> None:
        if hold.token is None or len(puts) > PUT_RECORDS_MAX:
            await self.release(hold)
            return
        keys = [(put.collection, put.record_id) for put in puts]
        copies = [_copy(put.record) or _version(put.version) for put in puts]
        if sum(map(len, copies)) > PUT_BYTES_MAX:
            await self.release(hold)
            return
        await self._told("PUT", keys, (hold.token, self._record_ms, *copies))

    async def release(self, hold: Hold) -> None:
        if hold.token is None:
            await self._told("FORGET", hold.keys, (self._token(), self._hold_ms))
        else:
            await self._told("RELEASE", hold.keys, (hold.token,))

    async def close(self) -> None:
        await self._server.close()

    async def _told(
        self, script: str, keys: Sequence[RecordKey], arguments: Sequence[str | bytes | int]
    ) -> bool:
        return self._prefix is not None and await self._server.tell(script, self._keys(keys), arguments)

    def _keys(self, keys: Iterable[RecordKey]) -> list[str]:
        return [f"{self._prefix}:{collection}:{record_id}" for collection, record_id in keys]

    def _token(self) -> str:
        return f"{self._process}{next(self._numbers)}"


def _copy(record: Record) -> bytes | None:
    """The version and the bytes; None where the record is not to be cached."""
    data = encoded(record)
    return None if data is None else _version(record[VERSION]) + data


def _version(version: int) -> bytes:
    return b"%0*d" % (VERSION_DIGITS, version)
