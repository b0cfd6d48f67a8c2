"""What tests of the cache in Redis share: processes with a cache, a wire that can be cut, and what must always hold."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from adapters.cache.cached_store import CachedStore
from adapters.cache.record_cache import CacheNamespace
from adapters.cache.redis_cache import RedisCache, RedisSettings
from adapters.records.record import VERSION
from tests.unit.contracts.builders import change_set, fetched, put, task
from tests.unit.contracts.cache import NAMESPACE
from tests.unit.faults import Step

PATIENT = RedisSettings(timeout_ms=5_000)
"""For tests without a failure: a busy machine must not look like one."""

TIMEOUT_MS, GRACE_MS, LOOK_SECONDS = 50, 100, 0.25
QUICK = RedisSettings(
    timeout_ms=TIMEOUT_MS, connect_timeout_ms=200, pause_ms=20, grace_ms=GRACE_MS, write_lease_seconds=1
)

SLACK_MS = 150
"""What a busy machine may add to a time limit."""

RECOVERY_SECONDS_MAX = 15.0


async def until(condition: Callable[[], bool], reason: str) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, reason
        await asyncio.sleep(0.001)


async def in_use(
    url: str, settings: RedisSettings = PATIENT, namespace: CacheNamespace = NAMESPACE
) -> RedisCache:
    cache = RedisCache(url, settings=settings)
    cache.use_namespace(namespace)
    await until(lambda: cache.in_use, "the cache never came up")
    return cache


class Halt:
    """A gate that stops at one step, while it is closed, until it is opened."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.is_closed = False
        self.arrived = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, step: Step) -> None:
        if step == self._step and self.is_closed:
            self.is_closed = False
            self.arrived.set()
            await self.opened.wait()


class Wire:
    """Forwards connections to a port of this machine until it is cut; then every connection is lost or refused."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def close(self) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self._is_cut = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            if not self._is_cut:
                from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
                self._writers |= {writer, to_server}
                await asyncio.gather(_forward(reader, to_server), _forward(from_server, writer))
        writer.transport.abort()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(64 * 1024):
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def warm(store: CachedStore, number: int = 1) -> None:
    """Returns once a read of this task came from the cache."""
    hits, deadline = store.statistics.hits, time.monotonic() + RECOVERY_SECONDS_MAX
    while store.statistics.hits == hits:
        assert time.monotonic() < deadline, "no read came from the cache"
        assert await fetched(store, "tasks", number) is not None
        await asyncio.sleep(0.005)


async def write(store: CachedStore, version: int) -> None:
    await store.commit(change_set(put("tasks", task(1, version=version))))


async def nothing_older_is_read(version: int, *stores: CachedStore, seconds: float) -> None:
    """Reads through every store for some time; each read has this version or a newer one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for store in stores:
            record = await fetched(store, "tasks", 1)
            assert record is not None
            assert record[VERSION] >= version
        await asyncio.sleep(0.002)


async def elapsed_ms(operation: Awaitable[object]) -> float:
    began_at = time.perf_counter()
    await operation
    return (time.perf_counter() - began_at) * 1000
