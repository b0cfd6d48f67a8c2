"""The cache in memory passes the contract and keeps its bounds."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.cache.memory_cache import LEASED_MAX, MemoryCache
from adapters.cache.record_cache import WRITE_LEASE_SECONDS, RecordCache
from tests.unit.contracts.builders import numbered_id, task
from tests.unit.contracts.cache import (
    NAMESPACE,
    ONE,
    RecordCacheContract,
    cached,
    can_be_filled,
    fill,
    invalidate,
    nothing_is_cached_before_a_namespace_is_used,
)


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
async def cache(seconds: Seconds) -> AsyncIterator[RecordCache]:
    cache = MemoryCache(monotonic=seconds)
    cache.use_namespace(NAMESPACE)
    yield cache
    await cache.close()


class TestMemoryCache(RecordCacheContract):
    pass


async def test_nothing_is_cached_before_a_namespace_is_used() -> None:
    await nothing_is_cached_before_a_namespace_is_used(MemoryCache())


async def test_a_write_lease_expires(cache: RecordCache, seconds: Seconds) -> None:
    await cache.take_write_lease([ONE])
    seconds.now += WRITE_LEASE_SECONDS - 0.1
    assert not await can_be_filled(cache, 1)
    seconds.now += 0.1
    assert await can_be_filled(cache, 1)


async def test_the_number_of_write_leases_is_bounded(cache: RecordCache, seconds: Seconds) -> None:
    await fill(cache, task(1))
    many = [("tasks", numbered_id(number)) for number in range(2, LEASED_MAX + 2)]
    assert await cache.take_write_lease(many) is not None
    assert await cache.take_write_lease([ONE]) is None
    assert await cached(cache, 1) is None
    seconds.now += WRITE_LEASE_SECONDS
    assert await cache.take_write_lease([ONE]) is not None


async def test_the_least_recently_used_copies_are_evicted_at_the_bound() -> None:
    cache = MemoryCache(bytes_max=100_000)
    cache.use_namespace(NAMESPACE)
    await fill(cache, task(1))
    for number in range(2, 200):
        await fill(cache, task(number, description="x" * (number * 37 % 5_000)))
        assert await cached(cache, 1) is not None
        assert cache.bytes_used <= 100_000
    assert await cached(cache, 2) is None
    assert await cached(cache, 199) is not None


async def test_an_invalidated_cache_is_empty() -> None:
    cache = MemoryCache()
    cache.use_namespace(NAMESPACE)
    for number in range(100):
        await fill(cache, task(number))
        await invalidate(cache, ("tasks", numbered_id(number)))
    assert cache.bytes_used == 0


async def test_nothing_is_cached_over_a_store_that_other_processes_can_write_to() -> None:
    cache = MemoryCache()
    cache.use_namespace(NAMESPACE)
    assert (await cache.look_up("tasks", [numbered_id(1)])).lease is not None
    cache.use_namespace(replace(NAMESPACE, store="postgres", is_shared=True))
    assert (await cache.look_up("tasks", [numbered_id(1)])).lease is None
