"""No failure of Redis shows a reader anything stale, fails a request, or delays more than it may."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from adapters.cache.cached_store import CachedStore
from adapters.cache.redis_cache import PENDING_MAX, RedisCache, RedisSettings
from adapters.records.record import VERSION
from adapters.records.record_store import RecordStore
from domain.errors import StoreUnavailable
from tests.integration.cache_processes import (
    GRACE_MS,
    LOOK_SECONDS,
    QUICK,
    SLACK_MS,
    TIMEOUT_MS,
    Wire,
    elapsed_ms,
    in_use,
    nothing_older_is_read,
    until,
    warm,
    write,
)
from tests.servers.redis import OwnRedisServer
from tests.unit.contracts.builders import commit_all, fetched, numbered_id, same, task
from tests.unit.contracts.cache import NAMESPACE, cached, fill
from tests.unit.faults import FaultyStore, Moment, Step
from tests.unit.memory_store import MemoryRecordStore


class TestOutages:
    """A writer and a reader that share a Redis which fails; the writer reaches it through a wire that can be cut."""

    @pytest.fixture
    async def wire(self, own_redis_server: OwnRedisServer) -> AsyncIterator[Wire]:
        wire = Wire(own_redis_server.server.port)
        await wire.open()
        yield wire
        await wire.close()

    @pytest.fixture
    async def kept(self) -> MemoryRecordStore:
        return MemoryRecordStore()

    @pytest.fixture
    async def writer(self, wire: Wire, kept: MemoryRecordStore) -> AsyncIterator[CachedStore]:
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
        self, writer: CachedStore, reader: CachedStore, wire: Wire
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
        self, kept: MemoryRecordStore, reader: CachedStore, wire: Wire
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
        self, kept: MemoryRecordStore, writer: CachedStore, reader: CachedStore, wire: Wire
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
