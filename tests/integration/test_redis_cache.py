"""The cache in Redis passes the contract, and no failure of Redis shows a reader anything stale or fails a request."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from adapters.cache.cached_store import CachedStore
from adapters.cache.record_cache import CacheNamespace, RecordCache
from adapters.cache.redis_cache import PENDING_MAX, RedisCache, RedisSettings
from adapters.records.record import VERSION
from adapters.records.record_store import RecordStore
from domain.errors import StoreUnavailable
from tests.servers.redis import OwnRedisServer
from tests.unit.contracts.builders import change_set, commit_all, fetched, numbered_id, put, same, task
from tests.unit.contracts.cache import (
    NAMESPACE,
    ONE,
    ReadTwice,
    RecordCacheContract,
    cached,
    can_be_filled,
    fill,
    leased,
    nothing_is_cached_before_a_namespace_is_used,
    stale_reads,
)
from tests.unit.contracts.record_store import RecordStoreContract
from tests.unit.faults import FaultyStore, Moment, Step
from tests.unit.memory_store import MemoryRecordStore

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


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[RecordCache]:
    cache = await in_use(redis_url)
    yield cache
    await cache.close()


class TestRedisCache(RecordCacheContract):
    pass


class TestStoreCachedInRedis(RecordStoreContract):
    @pytest.fixture
    async def store(self, cache: RecordCache) -> AsyncIterator[RecordStore]:
        store = CachedStore(MemoryRecordStore(), cache)
        await store.open()
        await store.fetch(
            "tasks", [numbered_id(0)]
        )  # looks for a notice, so that the test reads from the cache
        await asyncio.sleep(0)
        yield ReadTwice(store)
        await store.close()


async def test_nothing_is_cached_before_a_namespace_is_used(redis_url: str) -> None:
    await nothing_is_cached_before_a_namespace_is_used(RedisCache(redis_url))


@pytest.mark.parametrize(
    "other",
    [
        CacheNamespace(store="mongo", database="tandem", identity="a1", epoch=1),
        CacheNamespace(store="postgres", database="tandem2", identity="a1", epoch=1),
        CacheNamespace(store="postgres", database="tandem", identity="b2", epoch=1),
        CacheNamespace(store="postgres", database="tandem", identity="a1", epoch=2),
    ],
    ids=["store", "database", "identity", "epoch"],
)
async def test_namespaces_never_meet(cache: RecordCache, redis_url: str, other: CacheNamespace) -> None:
    await fill(cache, task(1))
    stranger = await in_use(redis_url, namespace=other)
    assert await cached(stranger, 1) is None
    await stranger.invalidate([ONE], lease=await stranger.take_write_lease([ONE]))
    assert same(await cached(cache, 1), task(1))
    await stranger.close()


class TestBounds:
    @pytest.fixture
    async def cache(self, redis_url: str) -> AsyncIterator[RecordCache]:
        brief = RedisSettings(
            timeout_ms=5_000, record_seconds=0.2, read_lease_seconds=0.1, write_lease_seconds=0.2
        )
        cache = await in_use(redis_url, brief)
        yield cache
        await cache.close()

    async def test_everything_in_redis_expires(self, cache: RecordCache, redis_url: str) -> None:
        await fill(cache, task(1))
        await leased(cache, 2)
        await cache.take_write_lease([("tasks", numbered_id(3))])
        async with Redis.from_url(redis_url) as client:
            keys = [key for key in await client.keys("*") if b":probe" not in key]
            assert len(keys) == 3
            assert all([0 < await client.pttl(key) <= 200 for key in keys])

    async def test_a_reader_does_not_fill_after_its_lease_expired(self, cache: RecordCache) -> None:
        lease = await leased(cache, 1)
        await asyncio.sleep(0.15)  # the bound itself is under test
        await cache.fill("tasks", {numbered_id(1): task(1)}, lease=lease)
        assert await cached(cache, 1) is None

    async def test_records_beyond_the_bytes_of_one_call_are_not_cached(self, cache: RecordCache) -> None:
        found = await cache.look_up("tasks", [numbered_id(number) for number in range(6)])
        assert found.lease is not None
        records = {numbered_id(number): task(number, description="x" * 200_000) for number in range(6)}
        await cache.fill("tasks", records, lease=found.lease)
        assert same(await cached(cache, 4), records[numbered_id(4)])
        assert await cached(cache, 5) is None

    async def test_bytes_that_are_no_record_are_not_found(self, cache: RecordCache, redis_url: str) -> None:
        await fill(cache, task(1))
        async with Redis.from_url(redis_url) as client:
            (key,) = [key for key in await client.keys("*") if b":probe" not in key]
            await client.set(key, b"R\xc1 broken", px=5_000)
        assert await cached(cache, 1) is None
        await cache.invalidate([ONE], lease=None)
        assert await can_be_filled(cache, 1)


class TestSharing:
    """Processes that share a Redis without failures."""

    @pytest.fixture
    async def processes(self, redis_url: str) -> AsyncIterator[list[CachedStore]]:
        kept = MemoryRecordStore()
        processes = [CachedStore(kept, await in_use(redis_url)) for _ in range(3)]
        yield processes
        for process in processes:
            await process.close()

    async def test_a_record_is_read_from_the_store_once(self, processes: list[CachedStore]) -> None:
        await commit_all(processes[0], "tasks", task(1))
        for process in processes:
            await warm(process)
        assert sum(process.statistics.misses for process in processes) == 1
        await processes[1].commit(change_set(put("tasks", task(1, version=2))))
        for process in processes:
            assert same(await fetched(process, "tasks", 1), task(1, version=2))
        assert sum(process.statistics.misses for process in processes) == 2

    async def test_no_read_is_older_than_a_commit_acknowledged_before_it(
        self, processes: list[CachedStore]
    ) -> None:
        assert await stale_reads(processes, seed=7, writes=60) == []
        assert all(process.statistics.in_use for process in processes)
        assert sum(process.statistics.hits for process in processes) > 0

    async def test_many_reads_at_once_share_one_connection(
        self, processes: list[CachedStore], redis_url: str
    ) -> None:
        store = processes[0]
        await commit_all(store, "tasks", *(task(number) for number in range(50)))
        await warm(store)
        async with Redis.from_url(redis_url) as client:
            before = (await client.info("clients"))["connected_clients"]
            answers = await asyncio.gather(*(fetched(store, "tasks", number % 50) for number in range(2_000)))
            assert (await client.info("clients"))["connected_clients"] <= before
        assert all(same(answer, task(number % 50)) for number, answer in enumerate(answers))
        assert store.statistics.in_use
        assert store.statistics.hits > 1_000

    async def test_a_caller_that_leaves_does_not_disturb_the_others(
        self, processes: list[CachedStore]
    ) -> None:
        store = processes[0]
        await commit_all(store, "tasks", task(1))
        await warm(store)
        leaving = [asyncio.create_task(fetched(store, "tasks", 1)) for _ in range(50)]
        staying = [asyncio.create_task(fetched(store, "tasks", 1)) for _ in range(50)]
        await asyncio.sleep(0)
        for one in leaving:
            one.cancel()
        assert all(same(one, task(1)) for one in await asyncio.gather(*staying))
        assert store.statistics.in_use

    async def test_a_writer_that_dies_after_its_commit_leaves_nothing_stale(self, redis_url: str) -> None:
        gate = Halt(Step("memory", "commit", Moment.AFTER))
        kept = MemoryRecordStore()
        writer = CachedStore(FaultyStore(kept, gate), await in_use(redis_url))
        reader = CachedStore(kept, await in_use(redis_url))
        await commit_all(kept, "tasks", task(1))
        await warm(reader)
        gate.is_closed = True
        dying = asyncio.create_task(writer.commit(change_set(put("tasks", task(1, version=2)))))
        await gate.arrived.wait()
        dying.cancel()
        with suppress(asyncio.CancelledError):
            await dying
        for _ in range(3):
            assert same(await fetched(reader, "tasks", 1), task(1, version=2))
        await writer.close()
        await reader.close()

    async def test_a_slow_reader_does_not_write_back_a_stale_record(self, redis_url: str) -> None:
        gate = Halt(Step("memory", "fetch", Moment.AFTER))
        kept = MemoryRecordStore()
        slow, writer = [
            CachedStore(store, await in_use(redis_url)) for store in (FaultyStore(kept, gate), kept)
        ]
        await commit_all(kept, "tasks", task(1), task(2))
        await warm(slow, 2)
        gate.is_closed = True
        reading = asyncio.create_task(fetched(slow, "tasks", 1))
        await gate.arrived.wait()
        await writer.commit(change_set(put("tasks", task(1, version=2))))
        gate.opened.set()
        assert same(await reading, task(1))
        for store in (slow, writer):
            assert same(await fetched(store, "tasks", 1), task(1, version=2))
            await store.close()

    async def test_a_flush_during_a_commit_leaves_nothing_stale(self, redis_url: str) -> None:
        gate = Halt(Step("memory", "commit", Moment.BEFORE))
        kept = MemoryRecordStore()
        writer = CachedStore(FaultyStore(kept, gate), await in_use(redis_url))
        reader = CachedStore(kept, await in_use(redis_url))
        await commit_all(kept, "tasks", task(1))
        await warm(reader)
        gate.is_closed = True
        writing = asyncio.create_task(writer.commit(change_set(put("tasks", task(1, version=2)))))
        await gate.arrived.wait()
        async with Redis.from_url(redis_url) as client:
            await client.flushdb()
        await warm(reader)
        assert same(await fetched(reader, "tasks", 1), task(1))
        gate.opened.set()
        await writing
        assert same(await fetched(reader, "tasks", 1), task(1, version=2))
        assert all(store.statistics.in_use for store in (writer, reader))
        await writer.close()
        await reader.close()


class TestOutages:
    """A writer and a reader that share a Redis which fails; the writer reaches it through a wire that can be cut."""

    @pytest.fixture
    async def wire(self, own_redis_server: OwnRedisServer) -> AsyncIterator["Wire"]:
        wire = Wire(own_redis_server.server.port)
        await wire.open()
        yield wire
        await wire.close()

    @pytest.fixture
    async def kept(self) -> MemoryRecordStore:
        return MemoryRecordStore()

    @pytest.fixture
    async def writer(self, wire: "Wire", kept: MemoryRecordStore) -> AsyncIterator[CachedStore]:
        store = await self._process(wire.url, kept)
        await commit_all(store, "tasks", task(1))
        await warm(store)
        yield store
        await store.close()

    @pytest.fixture
    async def reader(
        self, writer: CachedStore, kept: MemoryRecordStore, own_redis_server: OwnRedisServer
    ) -> AsyncIterator[CachedStore]:
        store = await self._process(own_redis_server.url, kept)
        await warm(store)
        assert writer.statistics.in_use
        yield store
        await store.close()

    async def test_a_killed_redis_fails_nothing_and_delays_only_the_first_write(
        self, writer: CachedStore, own_redis_server: OwnRedisServer
    ) -> None:
        own_redis_server.server.kill()
        first_ms = await elapsed_ms(write(writer, 2))
        assert first_ms < GRACE_MS + LOOK_SECONDS * 1000 + SLACK_MS
        assert not writer.statistics.in_use
        began_at = time.perf_counter()
        for version in range(3, 200):
            await write(writer, version)
            assert same(await fetched(writer, "tasks", 1), task(1, version=version))
        assert time.perf_counter() - began_at < 1.0

    async def test_a_frozen_redis_delays_the_reads_that_wait_for_it_by_its_time_limit(
        self, writer: CachedStore, own_redis_server: OwnRedisServer
    ) -> None:
        own_redis_server.server.freeze()
        delays_ms = await asyncio.gather(*(elapsed_ms(fetched(writer, "tasks", 1)) for _ in range(20)))
        assert max(delays_ms) < TIMEOUT_MS + SLACK_MS
        assert not writer.statistics.in_use
        later_ms = [await elapsed_ms(fetched(writer, "tasks", 1)) for _ in range(200)]
        assert sorted(later_ms)[len(later_ms) // 2] < 5

    async def test_nobody_reads_anything_stale_while_redis_freezes_and_thaws(
        self, writer: CachedStore, reader: CachedStore, own_redis_server: OwnRedisServer
    ) -> None:
        version = 1
        for _ in range(4):
            own_redis_server.server.freeze()
            for _ in range(2):
                version += 1
                await write(writer, version)
            own_redis_server.server.thaw()
            await nothing_older_is_read(version, writer, reader, seconds=0.3)
        await until(lambda: writer.statistics.in_use, "the writer's cache never came back")

    async def test_nobody_reads_anything_stale_while_only_the_writer_cannot_reach_redis(
        self, writer: CachedStore, reader: CachedStore, wire: "Wire"
    ) -> None:
        wire.cut()
        reading = asyncio.create_task(nothing_older_is_read(1, reader, seconds=1.0))
        for version in range(2, 5):
            await write(writer, version)
            await nothing_older_is_read(version, reader, seconds=0.1)
        await reading
        wire.mend()
        await until(lambda: writer.statistics.in_use, "the writer's cache never came back")
        await nothing_older_is_read(4, writer, reader, seconds=0.2)
        hits = writer.statistics.hits
        assert same(await fetched(writer, "tasks", 1), task(1, version=4))
        assert writer.statistics.hits > hits

    async def test_a_cut_between_commit_and_invalidation_leaves_nothing_stale(
        self, kept: MemoryRecordStore, reader: CachedStore, wire: "Wire"
    ) -> None:
        async def cut_the_wire(step: Step) -> None:
            if (step.operation, step.moment) == ("commit", Moment.AFTER):
                wire.cut()

        gate = FaultyStore(kept)
        writer = await self._process(wire.url, gate)
        gate.gate = cut_the_wire
        await write(writer, 2)
        await nothing_older_is_read(2, writer, reader, seconds=1.5)
        await writer.close()

    async def test_a_restart_from_a_snapshot_brings_no_stale_record_back(
        self, writer: CachedStore, reader: CachedStore, own_redis_server: OwnRedisServer
    ) -> None:
        async with Redis.from_url(own_redis_server.url) as client:
            await client.save()
        await write(writer, 2)
        own_redis_server.server.kill()
        own_redis_server.server.restart()
        async with Redis.from_url(own_redis_server.url) as client:
            assert await client.keys(f"*{numbered_id(1)}")
        await nothing_older_is_read(2, writer, reader, seconds=0.3)
        for store in (writer, reader):
            await warm(store)
            assert same(await fetched(store, "tasks", 1), task(1, version=2))

    async def test_a_server_that_accepts_no_writes_is_bypassed_until_it_does(
        self, writer: CachedStore, reader: CachedStore, own_redis_server: OwnRedisServer
    ) -> None:
        async with Redis.from_url(own_redis_server.url) as client:
            await client.config_set("maxmemory", "1")
            await write(writer, 2)
            await nothing_older_is_read(2, writer, reader, seconds=0.3)
            assert not writer.statistics.in_use
            await client.config_set("maxmemory", "0")
        await warm(writer)
        assert same(await fetched(writer, "tasks", 1), task(1, version=2))

    async def test_after_an_unknown_outcome_in_an_outage_the_store_is_read(
        self, kept: MemoryRecordStore, writer: CachedStore, reader: CachedStore, wire: "Wire"
    ) -> None:
        async def lose_the_answer(step: Step) -> None:
            is_stored = (await fetched(kept, "tasks", 1) or {}).get(VERSION) == 3
            if (step.operation, step.moment) == ("commit", Moment.AFTER) and is_stored:
                raise StoreUnavailable

        gate = FaultyStore(kept)
        losing = await self._process(wire.url, gate)
        await losing.fetch("tasks", [numbered_id(1)])
        wire.cut()
        await write(writer, 2)
        gate.gate = lose_the_answer
        with pytest.raises(StoreUnavailable):
            await write(losing, 3)
        wire.mend()
        await nothing_older_is_read(3, losing, writer, reader, seconds=0.5)
        await losing.close()

    async def test_more_invalidations_than_are_kept_expire_before_the_cache_is_used(
        self, own_redis_server: OwnRedisServer
    ) -> None:
        brief = RedisSettings(
            timeout_ms=TIMEOUT_MS, pause_ms=20, grace_ms=0, record_seconds=0.8, read_lease_seconds=0.2
        )
        cache = await in_use(own_redis_server.url, brief)
        await fill(cache, task(1))
        own_redis_server.server.freeze()
        many = [("tasks", numbered_id(number)) for number in range(1, PENDING_MAX + 2)]
        assert not await cache.invalidate(many, lease=None)
        failed_at = time.monotonic()
        own_redis_server.server.thaw()
        await until(lambda: cache.in_use, "the cache never came back")
        assert time.monotonic() > failed_at + 0.9
        assert await cached(cache, 1) is None
        await cache.close()

    async def test_a_redis_that_was_never_there_fails_nothing(self, own_redis_server: OwnRedisServer) -> None:
        own_redis_server.server.kill()
        cache = RedisCache(own_redis_server.url, settings=QUICK)
        cache.use_namespace(NAMESPACE)
        store = CachedStore(MemoryRecordStore(), cache, look_seconds=LOOK_SECONDS)
        await commit_all(store, "tasks", task(1))
        assert same(await fetched(store, "tasks", 1), task(1))
        await store.close()

    async def _process(self, url: str, store: RecordStore, settings: RedisSettings = QUICK) -> CachedStore:
        return CachedStore(store, await in_use(url, settings), look_seconds=LOOK_SECONDS)


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
