"""The cache in the process keeps every promise of a cache, and its bounds."""

from collections.abc import AsyncIterator

import pytest

from adapters.cache.memory_cache import MemoryCache
from adapters.cache.record_cache import HOLD_SECONDS, LEASE_SECONDS, RecordCache
from tests.unit.contracts.builders import put, same, task
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
    cache = MemoryCache(monotonic=seconds, record_seconds=60)
    yield cache
    await cache.close()


class TestMemoryCache(RecordCacheContract):
    pass


class TestMemoryCacheNotEntered(NotEnteredContract):
    pass


async def test_a_copy_is_kept_for_a_bounded_time(cache: RecordCache, seconds: Seconds) -> None:
    cache.enter(NAMESPACE)
    await fill(cache, task(1))
    seconds.now += 59.9
    assert same(await cached(cache, 1), task(1))
    seconds.now += 0.1
    assert await cached(cache, 1) is None


async def test_a_lease_runs_out(cache: RecordCache, seconds: Seconds) -> None:
    cache.enter(NAMESPACE)
    late = await leased(cache, 1)
    seconds.now += LEASE_SECONDS
    await cache.fill("tasks", [task(1)], lease=late)
    assert await cached(cache, 1) is None


async def test_a_hold_without_an_end_runs_out(cache: RecordCache, seconds: Seconds) -> None:
    cache.enter(NAMESPACE)
    await cache.hold([ONE])
    seconds.now += HOLD_SECONDS - 0.1
    assert (await cache.look_up(ONE[0], [ONE[1]])).lease is None
    seconds.now += 0.1
    await fill(cache, task(1))
    assert same(await cached(cache, 1), task(1))


async def test_the_least_recently_used_goes_first() -> None:
    cache = MemoryCache(records_max=3)
    cache.enter(NAMESPACE)
    for number in (1, 2, 3):
        await fill(cache, task(number))
    assert await cached(cache, 1) is not None
    await fill(cache, task(4))
    assert len(cache) == 3
    assert [number for number in (1, 3, 4) if await cached(cache, number)] == [1, 3, 4]


async def test_the_bytes_are_bounded() -> None:
    cache = MemoryCache(bytes_max=100_000)
    cache.enter(NAMESPACE)
    for number in range(200):
        await write(cache, put("tasks", task(number, description="x" * (number * 37 % 5_000))))
        assert cache.bytes_used <= 100_000
    assert same(await cached(cache, 199), task(199, description="x" * (199 * 37 % 5_000)))


async def test_an_empty_cache_uses_nothing() -> None:
    cache = MemoryCache(bytes_max=50_000)
    cache.enter(NAMESPACE)
    for number in range(100):
        await fill(cache, task(number))
        await cache.release(await cache.hold([("tasks", task(number)["id"])]))
    assert (len(cache), cache.bytes_used) == (0, 0)
