"""The cache in Redis passes the contract, and processes that share it read nothing stale."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from adapters.cache.cached_store import CachedStore
from adapters.cache.record_cache import CacheNamespace, RecordCache
from adapters.cache.redis_cache import RedisCache, RedisSettings
from adapters.records.record_store import RecordStore
from tests.integration.cache_processes import Halt, in_use, warm
from tests.unit.contracts.builders import change_set, commit_all, fetched, numbered_id, put, same, task
from tests.unit.contracts.cache import (
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
from tests.unit.contracts.record_store import StateContract
from tests.unit.faults import FaultyStore, Moment, Step
from tests.unit.memory_store import MemoryRecordStore


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[RecordCache]:
    cache = await in_use(redis_url)
    yield cache
    await cache.close()


class TestRedisCache(RecordCacheContract):
    pass


class TestStoreCachedInRedis(StateContract):
    """The cache hands questions on; the unit tests of the cached store show that it does."""

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
