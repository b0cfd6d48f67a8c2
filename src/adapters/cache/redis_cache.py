"""A record cache in Redis, shared by every process that uses the same server."""

import asyncio
import random
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from loguru import logger

from adapters.cache import record_cache
from adapters.cache.encoded_record import decoded, encoded
from adapters.cache.record_cache import CacheNamespace, LookUp, RecordKey
from adapters.cache.redis_connection import Argument, CacheUnavailable, RedisConnection
from adapters.cache.redis_scripts import FILL, INVALIDATE, LOOK_UP, TAKE_WRITE_LEASE
from adapters.records.record import Record

KEYS_MAX = 1_000
"""How many keys one call names."""

FILL_BYTES_MAX = 1024 * 1024
"""How many bytes of copies one call carries; further records are not cached."""

PROBE_KEY = "tandem:probe"
"""Never set."""

PENDING_MAX = 10_000
"""How many pending invalidations are kept. With more, the bypass lasts until all copies have expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """Time limits. A write waits for the end of a bypass, but at most until `grace_ms` after its beginning."""

    timeout_ms: float = 50
    connect_timeout_ms: float = 1_000
    pause_ms: float = 100
    pause_ms_max: float = 5_000
    grace_ms: float = 500
    record_seconds: float = record_cache.RECORD_SECONDS
    read_lease_seconds: float = record_cache.READ_LEASE_SECONDS
    write_lease_seconds: float = record_cache.WRITE_LEASE_SECONDS


class RedisCache:
    """A RecordCache on one Redis server, 6.0 or newer: one node, or a primary whose replicas nobody reads.

    The cache is bypassed until the first connection is made.
    """

    def __init__(self, url: str, *, settings: RedisSettings | None = None) -> None:
        self._settings = settings or RedisSettings()
        self._connection = RedisConnection(
            url, timeout_ms=self._settings.timeout_ms, connect_timeout_ms=self._settings.connect_timeout_ms
        )
        self._lease_ms = round(self._settings.write_lease_seconds * 1000)
        self._prefix: str | None = None
        self._pending: set[str] = set()
        self._pending_until = 0.0
        self._recovery: asyncio.Task[None] | None = None
        self._bypassed_at = 0.0
        self._is_closed = False
        self._process = secrets.token_hex(8)
        self._numbers = count(1)

    @property
    def in_use(self) -> bool:
        return self._prefix is not None and self._recovery is None and not self._is_closed

    @property
    def shared_seconds(self) -> float:
        return self._settings.read_lease_seconds + self._settings.record_seconds

    async def check(self) -> str | None:
        try:
            # A write command that changes nothing: a server that accepts no writes is of no use.
            await self._connection.call(INVALIDATE, [PROBE_KEY], "", self._lease_ms)
        except CacheUnavailable as error:
            return str(error)
        return None

    def use_namespace(self, namespace: CacheNamespace) -> None:
        is_first = self._prefix is None
        self._prefix = namespace.prefix
        if is_first:
            self._begin_bypass()

    async def look_up(self, collection: str, ids: Sequence[str]) -> LookUp:
        lease = self._token()
        keys = self._keys((collection, record_id) for record_id in ids)
        answer = await self._call(LOOK_UP, keys, lease, round(self._settings.read_lease_seconds * 1000))
        if answer is None:
            return LookUp({}, None)
        leased, copies = answer
        return LookUp(decoded(zip(ids, copies, strict=True)), lease if leased else None)

    async def fill(self, collection: str, records: Mapping[str, Record | None], *, lease: str) -> None:
        copies: dict[str, bytes] = {}
        free_bytes = FILL_BYTES_MAX
        for record_id, record in records.items():
            data = encoded(record)
            if data is not None and len(data) <= free_bytes:
                copies[record_id] = data
                free_bytes -= len(data)
        if copies:
            keys = self._keys((collection, record_id) for record_id in copies)
            await self._call(FILL, keys, lease, round(self._settings.record_seconds * 1000), *copies.values())

    async def take_write_lease(self, keys: Sequence[RecordKey]) -> str | None:
        lease = self._token()
        for _ in range(2):
            if await self._change(TAKE_WRITE_LEASE, keys, lease):
                return lease
            await self._wait_for_recovery()
        return None

    async def invalidate(self, keys: Sequence[RecordKey], *, lease: str | None) -> bool:
        if await self._change(INVALIDATE, keys, lease or ""):
            return True
        await self._wait_for_recovery()
        # A bypass ends when everything pending is delivered.
        return self.in_use

    async def close(self) -> None:
        self._is_closed = True
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.wait([self._recovery])
        await self._connection.close()

    async def _call(self, script: str, keys: Sequence[str], *arguments: Argument) -> Any:
        """The script's answer; None, and from then on a bypass, if there is none."""
        if not self.in_use:
            return None
        try:
            return await self._connection.call(script, keys, *arguments)
        except CacheUnavailable as error:
            if self.in_use:
                logger.warning("The cache is bypassed: {}", error)
                self._begin_bypass()
            return None

    async def _change(self, script: str, keys: Sequence[RecordKey], lease: str) -> bool:
        """Whether the server confirmed the change for all keys; if not, their invalidation is pending."""
        names = self._keys(keys)
        for start in range(0, len(names), KEYS_MAX):
            if await self._call(script, names[start : start + KEYS_MAX], lease, self._lease_ms) is None:
                self._pending.update(names)
                if len(self._pending) > PENDING_MAX:
                    self._pending.clear()
                    self._pending_until = time.monotonic() + self.shared_seconds
                return False
        return True

    def _begin_bypass(self) -> None:
        self._bypassed_at = time.monotonic()
        self._recovery = asyncio.get_running_loop().create_task(self._recover())

    async def _wait_for_recovery(self) -> None:
        seconds = self._bypassed_at + self._settings.grace_ms / 1000 - time.monotonic()
        if self._recovery is not None and seconds > 0:
            await asyncio.wait([self._recovery], timeout=seconds)

    async def _recover(self) -> None:
        pause_ms = self._settings.pause_ms
        while not await self._has_delivered_pending():
            # Jitter keeps the processes of one service from reconnecting at the same moment.
            await asyncio.sleep(pause_ms / 1000 * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            pause_ms = min(pause_ms * 2, self._settings.pause_ms_max)
        # There is no await between the last check of the pending keys and this.
        self._recovery = None
        logger.info("The cache is in use.")

    async def _has_delivered_pending(self) -> bool:
        keys: list[str] = []
        try:
            # A server that accepts no writes is of no use.
            await self._connection.call(TAKE_WRITE_LEASE, [f"{self._prefix}:probe"], "probe;", self._lease_ms)
            while self._pending:
                keys = [self._pending.pop() for _ in range(min(len(self._pending), KEYS_MAX))]
                await self._connection.call(INVALIDATE, keys, "", self._lease_ms)
        except CacheUnavailable:
            self._pending.update(keys)
            return False
        return time.monotonic() >= self._pending_until

    def _keys(self, keys: Iterable[RecordKey]) -> list[str]:
        return [f"{self._prefix}:{collection}:{record_id}" for collection, record_id in keys]

    def _token(self) -> str:
        return f"{self._process}-{next(self._numbers)};"
