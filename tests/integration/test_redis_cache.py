"""The cache in Redis keeps every promise of a cache, and is never in the way when Redis is not there."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio import Redis

from adapters.cache.cached_store import CachedStore
from adapters.cache.owed_forgets import OWED_MAX
from adapters.cache.record_cache import CacheNamespace, RecordCache
from adapters.cache.redis_cache import RedisCache
from adapters.cache.redis_server import RedisSettings
from adapters.records.record_store import RecordStore
from domain.errors import StoreUnavailable
from tests.servers.redis import OwnRedisServer
from tests.unit.adapters.cache.test_cached_store import stale_reads
from tests.unit.contracts.builders import change_set, commit_all, fetched, numbered_id, put, same, task
from tests.unit.contracts.cache import (
    NAMESPACE,
    ONE,
    NotEnteredContract,
    RecordCacheContract,
    cached,
    fill,
    leased,
    write,
)
from tests.unit.contracts.record_store import RecordStoreContract
from tests.unit.faults import FaultyStore, Moment, Step
from tests.unit.memory_store import MemoryRecordStore

PATIENT = RedisSettings(timeout_ms=5_000)
"""Where an answer is wanted and no outage: a busy machine must not look like one."""

TIMEOUT_MS = 50
QUICK = RedisSettings(timeout_ms=TIMEOUT_MS, hold_seconds=1)
"""As in the product, save that a place which a busy machine was too late to put is soon free again."""

SLACK_MS = 150
"""What a busy machine may add to a time-out."""

RECOVERY_SECONDS_MAX = 15.0


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[RecordCache]:
    cache = RedisCache(redis_url, settings=PATIENT)
    yield cache
    await cache.close()


async def until(condition: Callable[[], bool], reason: str) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, reason
        await asyncio.sleep(0.01)


class TestRedisCache(RecordCacheContract):
    pass


class TestRedisCacheNotEntered(NotEnteredContract):
    pass


class TestStoreCachedInRedis(RecordStoreContract):
    @pytest.fixture
    async def store(self, cache: RecordCache) -> AsyncIterator[RecordStore]:
        cache.enter(NAMESPACE)
        store = CachedStore(MemoryRecordStore(), cache)
        await store.open()
        yield store
        await store.close()


class TestSharing:
    @pytest.fixture
    async def processes(self, redis_url: str) -> AsyncIterator[list[CachedStore]]:
        kept = MemoryRecordStore()
        caches = [RedisCache(redis_url, settings=PATIENT) for _ in range(3)]
        for cache in caches:
            cache.enter(NAMESPACE)
        yield [CachedStore(kept, cache) for cache in caches]
        for cache in caches:
            await cache.close()

    async def test_what_one_process_wrote_the_others_read_from_the_cache(
        self, processes: list[CachedStore]
    ) -> None:
        await commit_all(processes[0], "tasks", task(1))
        assert same(await fetched(processes[1], "tasks", 1), task(1))
        await processes[1].commit(change_set(put("tasks", task(1, version=2))))
        for process in processes:
            assert same(await fetched(process, "tasks", 1), task(1, version=2))
        assert [process.statistics.misses for process in processes] == [0, 0, 0]

    async def test_no_read_is_older_than_what_was_acknowledged_before_it(
        self, processes: list[CachedStore]
    ) -> None:
        assert await stale_reads(processes, seed=7, writes=60) == []
        assert all(process.statistics.in_use for process in processes)
        assert sum(process.statistics.hits for process in processes) > 0

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
    async def test_namespaces_never_meet(
        self, cache: RecordCache, redis_url: str, other: CacheNamespace
    ) -> None:
        cache.enter(NAMESPACE)
        await fill(cache, task(1))
        stranger = RedisCache(redis_url, settings=PATIENT)
        stranger.enter(other)
        assert await cached(stranger, 1) is None
        await write(stranger, put("tasks", task(1, version=9)))
        assert same(await cached(cache, 1), task(1))
        await stranger.close()


class TestBounds:
    @pytest.fixture
    async def cache(self, redis_url: str) -> AsyncIterator[RecordCache]:
        brief = RedisSettings(timeout_ms=5_000, record_seconds=0.2, lease_seconds=0.1, hold_seconds=0.2)
        cache = RedisCache(redis_url, settings=brief)
        cache.enter(NAMESPACE)
        yield cache
        await cache.close()

    async def test_everything_in_redis_runs_out(self, cache: RecordCache, redis_url: str) -> None:
        await fill(cache, task(1))
        await leased(cache, 2)
        await cache.hold([("tasks", numbered_id(3))])
        async with Redis.from_url(redis_url) as client:
            keys = await client.keys("*")
            assert len(keys) == 3
            assert all([0 < await client.pttl(key) <= 200 for key in keys])

    async def test_a_late_reader_does_not_fill(self, cache: RecordCache) -> None:
        lease = await leased(cache, 1)
        await asyncio.sleep(0.15)  # the bound itself is under test
        await cache.fill("tasks", [task(1)], lease=lease)
        assert await cached(cache, 1) is None

    async def test_a_change_set_of_many_bytes_is_forgotten(self, cache: RecordCache) -> None:
        puts = [put("tasks", task(number, description="x" * 200_000)) for number in range(6)]
        await write(cache, *puts)
        assert await cached(cache, 1) is None
        await write(cache, *puts[:2])
        assert same(await cached(cache, 1), puts[1].record)

    async def test_what_is_no_record_is_a_miss(self, cache: RecordCache, redis_url: str) -> None:
        await fill(cache, task(1))
        async with Redis.from_url(redis_url) as client:
            (key,) = await client.keys("*")
            await client.set(key, b"R" + b"0" * 20 + b"\xc1 broken", px=5_000)
        assert await cached(cache, 1) is None
        await write(cache, put("tasks", task(1)))
        assert same(await cached(cache, 1), task(1))


class TestOutages:
    """One process whose Redis fails under it; the store goes on."""

    @pytest.fixture
    async def store(self, own_redis_server: OwnRedisServer) -> AsyncIterator[CachedStore]:
        cache = RedisCache(own_redis_server.url, settings=QUICK)
        cache.enter(NAMESPACE)
        store = CachedStore(MemoryRecordStore(), cache)
        await commit_all(store, "tasks", task(1))
        await self._warm(store)
        yield store
        await store.close()

    async def test_a_killed_redis_is_no_error_and_costs_nothing(
        self, store: CachedStore, own_redis_server: OwnRedisServer
    ) -> None:
        own_redis_server.server.kill()
        slowest_ms = await self._slowest_ms(self._one_write(store, 2))
        assert slowest_ms < TIMEOUT_MS + SLACK_MS
        assert not store.statistics.in_use
        started = time.perf_counter()
        for _ in range(1_000):
            assert same(await fetched(store, "tasks", 1), task(1, version=2))
        assert (time.perf_counter() - started) < 1.0

    async def test_a_frozen_redis_delays_one_request_by_its_bound_and_no_other(
        self, store: CachedStore, own_redis_server: OwnRedisServer
    ) -> None:
        own_redis_server.server.freeze()
        reads = [self._slowest_ms(self._one_read(store)) for _ in range(20)]
        assert max(await asyncio.gather(*reads)) < TIMEOUT_MS + SLACK_MS
        assert not store.statistics.in_use
        later = [await self._slowest_ms(self._one_read(store)) for _ in range(200)]
        assert sorted(later)[len(later) // 2] < 5
        assert max(later) < TIMEOUT_MS + SLACK_MS

    async def test_nothing_old_is_read_after_a_freeze(
        self, store: CachedStore, own_redis_server: OwnRedisServer
    ) -> None:
        own_redis_server.server.freeze()
        for version in range(2, 12):
            await self._one_write(store, version)()
            assert same(await fetched(store, "tasks", 1), task(1, version=version))
        own_redis_server.server.thaw()
        await until(lambda: store.statistics.in_use, "the cache never came back")
        for _ in range(3):
            assert same(await fetched(store, "tasks", 1), task(1, version=11))

    async def test_nothing_old_is_read_while_redis_comes_and_goes(
        self, store: CachedStore, own_redis_server: OwnRedisServer
    ) -> None:
        version = 1
        for _ in range(4):
            own_redis_server.server.freeze()
            for _ in range(3):
                version += 1
                await self._one_write(store, version)()
            own_redis_server.server.thaw()
            deadline = time.monotonic() + 0.4
            while time.monotonic() < deadline:
                assert same(await fetched(store, "tasks", 1), task(1, version=version))
                await asyncio.sleep(0.002)
        await until(lambda: store.statistics.in_use, "the cache never came back")
        assert same(await fetched(store, "tasks", 1), task(1, version=version))

    async def test_another_process_reads_nothing_old_once_the_writer_has_caught_up(
        self, store: CachedStore, own_redis_server: OwnRedisServer
    ) -> None:
        other = RedisCache(own_redis_server.url, settings=PATIENT)
        other.enter(NAMESPACE)
        assert same(await cached(other, 1), task(1))
        own_redis_server.server.freeze()
        await self._one_write(store, 2)()
        own_redis_server.server.thaw()
        await until(lambda: store.statistics.in_use, "the cache never came back")
        left = await cached(other, 1)
        assert left is None or same(left, task(1, version=2))
        await other.close()

    async def test_a_restarted_redis_is_used_again(
        self, store: CachedStore, own_redis_server: OwnRedisServer
    ) -> None:
        own_redis_server.server.kill()
        await self._one_write(store, 2)()
        own_redis_server.server.restart()
        await self._warm(store)
        assert same(await fetched(store, "tasks", 1), task(1, version=2))

    async def test_a_server_that_refuses_is_set_aside_and_nothing_old_is_left(
        self, store: CachedStore, own_redis_server: OwnRedisServer
    ) -> None:
        async with Redis.from_url(own_redis_server.url) as client:
            await client.config_set("maxmemory", "1")
            await self._one_write(store, 2)()
            assert not store.statistics.in_use
            assert same(await fetched(store, "tasks", 1), task(1, version=2))
            await client.config_set("maxmemory", "0")
        await until(lambda: store.statistics.in_use, "the cache never came back")
        assert same(await fetched(store, "tasks", 1), task(1, version=2))

    async def test_an_open_outcome_in_an_outage_is_read_from_the_store(
        self, own_redis_server: OwnRedisServer
    ) -> None:
        async def lose_the_answer(step: Step) -> None:
            if (step.operation, step.moment) == ("commit", Moment.AFTER):
                raise StoreUnavailable

        kept = FaultyStore(MemoryRecordStore())
        cache = RedisCache(own_redis_server.url, settings=QUICK)
        cache.enter(NAMESPACE)
        store = CachedStore(kept, cache)
        await commit_all(store, "tasks", task(1))
        await self._warm(store)
        kept.gate = lose_the_answer
        async with Redis.from_url(own_redis_server.url) as client:
            await client.config_set("maxmemory", "1")
            with pytest.raises(StoreUnavailable):
                await store.commit(change_set(put("tasks", task(1, version=2))))
            await client.config_set("maxmemory", "0")
        await until(lambda: store.statistics.in_use, "the cache never came back")
        assert same(await fetched(store, "tasks", 1), task(1, version=2))
        await store.close()

    async def test_what_is_too_much_to_remember_runs_out_before_the_cache_is_used(
        self, own_redis_server: OwnRedisServer
    ) -> None:
        brief = RedisSettings(timeout_ms=TIMEOUT_MS, pause_ms=20, record_seconds=1.0, lease_seconds=0.5)
        cache = RedisCache(own_redis_server.url, settings=brief)
        cache.enter(NAMESPACE)
        store = CachedStore(MemoryRecordStore(), cache)
        await commit_all(store, "tasks", task(1))
        own_redis_server.server.freeze()
        many = [put("tasks", task(number, version=2), expected=0) for number in range(2, OWED_MAX + 2)]
        await store.commit(change_set(put("tasks", task(1, version=2)), *many, entries=[]))
        owed_at = time.monotonic()
        own_redis_server.server.thaw()
        while not store.statistics.in_use:
            assert same(await fetched(store, "tasks", 1), task(1, version=2))
            assert time.monotonic() < owed_at + RECOVERY_SECONDS_MAX
            await asyncio.sleep(0.01)
        assert time.monotonic() > owed_at + 1.4
        assert same(await fetched(store, "tasks", 1), task(1, version=2))
        await store.close()

    async def test_many_at_once_travel_together(self, own_redis_server: OwnRedisServer) -> None:
        cache = RedisCache(own_redis_server.url, settings=PATIENT)
        cache.enter(NAMESPACE)
        store = CachedStore(MemoryRecordStore(), cache)
        await commit_all(store, "tasks", *(task(number) for number in range(50)))
        async with Redis.from_url(own_redis_server.url) as client:
            before = (await client.info("clients"))["connected_clients"]
            answers = await asyncio.gather(*(fetched(store, "tasks", number % 50) for number in range(2_000)))
            assert (await client.info("clients"))["connected_clients"] <= before + 1
        assert all(same(answer, task(number % 50)) for number, answer in enumerate(answers))
        assert (store.statistics.hits, store.statistics.misses) == (2_000, 0)
        await store.close()

    async def test_a_caller_that_leaves_does_not_disturb_the_others(
        self, own_redis_server: OwnRedisServer
    ) -> None:
        cache = RedisCache(own_redis_server.url, settings=PATIENT)
        cache.enter(NAMESPACE)
        store = CachedStore(MemoryRecordStore(), cache)
        await commit_all(store, "tasks", task(1))
        leaving = [asyncio.create_task(fetched(store, "tasks", 1)) for _ in range(50)]
        staying = [asyncio.create_task(fetched(store, "tasks", 1)) for _ in range(50)]
        await asyncio.sleep(0)
        for one in leaving:
            one.cancel()
        assert all(same(one, task(1)) for one in await asyncio.gather(*staying))
        assert store.statistics.in_use
        await store.close()

    async def test_a_put_that_runs_late_does_nothing(self, own_redis_server: OwnRedisServer) -> None:
        slow, quick = (RedisCache(own_redis_server.url, settings=PATIENT) for _ in range(2))
        slow.enter(NAMESPACE)
        quick.enter(NAMESPACE)
        hold = await slow.hold([ONE])
        # What a process does that could not reach the server when it committed version 3:
        await quick.release(type(hold)(hold.keys, None))
        await slow.put(hold, [put("tasks", task(1, version=2))])
        assert await cached(quick, 1) is None
        await slow.close()
        await quick.close()

    async def test_a_redis_that_was_never_there_is_no_error(self, own_redis_server: OwnRedisServer) -> None:
        own_redis_server.server.kill()
        cache = RedisCache(own_redis_server.url)
        cache.enter(NAMESPACE)
        store = CachedStore(MemoryRecordStore(), cache)
        await commit_all(store, "tasks", task(1))
        assert same(await fetched(store, "tasks", 1), task(1))
        await store.close()

    async def _warm(self, store: CachedStore) -> None:
        """Returns once a read came from the cache."""
        hits, deadline = store.statistics.hits, time.monotonic() + RECOVERY_SECONDS_MAX
        while store.statistics.hits == hits:
            assert time.monotonic() < deadline, "the cache never came up"
            assert await fetched(store, "tasks", 1) is not None
            await asyncio.sleep(0.01)

    def _one_read(self, store: CachedStore) -> Callable[[], Awaitable[None]]:
        async def read() -> None:
            assert await fetched(store, "tasks", 1) is not None

        return read

    def _one_write(self, store: CachedStore, version: int) -> Callable[[], Awaitable[None]]:
        async def write_next() -> None:
            await store.commit(change_set(put("tasks", task(1, version=version))))

        return write_next

    async def _slowest_ms(self, operation: Callable[[], Awaitable[None]]) -> float:
        started = time.perf_counter()
        await operation()
        return (time.perf_counter() - started) * 1000
