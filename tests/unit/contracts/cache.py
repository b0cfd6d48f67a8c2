"""The suite that every record cache passes, and what tests of caches share.

A cache's test module subclasses `RecordCacheContract` and supplies the fixture `cache`: empty and in use for NAMESPACE.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from adapters.cache.encoded_record import RECORD_BYTES_MAX
from adapters.cache.record_cache import CacheNamespace, RecordCache, RecordKey
from adapters.records.record import ID, VERSION, Record, tombstone
from adapters.records.record_store import FETCH_MAX, RecordStore
from adapters.records.wrapped_store import WrappedStore
from domain.errors import VersionConflict
from domain.storable import INTEGER_MAX, INTEGER_MIN
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    fetched,
    minutes,
    numbered_id,
    put,
    same,
    task,
    timeline,
)
from tests.unit.contracts.values import INSTANTS, TEXTS, TREES

NAMESPACE = CacheNamespace(store="monty", database="tandem", identity="a1", epoch=1, is_shared=False)
NEXT_EPOCH = CacheNamespace(store="monty", database="tandem", identity="a1", epoch=2, is_shared=False)
ONE = ("tasks", numbered_id(1))
TWO = ("tasks", numbered_id(2))


async def cached(cache: RecordCache, number: int, collection: str = "tasks") -> Record | None:
    """The copy of the record with this number. Like every look-up it takes a read lease on an empty key."""
    return (await cache.look_up(collection, [numbered_id(number)])).records.get(numbered_id(number))


async def leased(cache: RecordCache, number: int) -> str:
    """A read lease on the empty key of a task."""
    found = await cache.look_up("tasks", [numbered_id(number)])
    assert found.records == {}
    assert found.lease is not None
    return found.lease


async def fill(cache: RecordCache, record: Record, collection: str = "tasks") -> None:
    """Looks up, then fills in what the store would have returned."""
    found = await cache.look_up(collection, [record[ID]])
    assert found.lease is not None
    await cache.fill(collection, {record[ID]: record}, lease=found.lease)


async def invalidate(cache: RecordCache, *keys: RecordKey) -> None:
    """What a writer does around its commit."""
    await cache.invalidate(keys, lease=await cache.take_write_lease(keys))


async def can_be_filled(cache: RecordCache, number: int) -> bool:
    """Whether a reader that begins now gets its copy into the cache."""
    found = await cache.look_up("tasks", [numbered_id(number)])
    await cache.fill("tasks", {numbered_id(number): task(number)}, lease=found.lease or "none")
    return await cached(cache, number) is not None


class CopiesContract:
    """A copy equals its record."""

    async def test_a_filled_record_is_found_in_its_collection_only(self, cache: RecordCache) -> None:
        assert cache.in_use
        await fill(cache, task(1))
        await fill(cache, timeline(1), "timelines")
        assert same(await cached(cache, 1), task(1))
        assert same(await cached(cache, 1, "timelines"), timeline(1))
        assert await cached(cache, 1, "labels") is None
        assert await cached(cache, 2) is None

    async def test_every_value_survives(self, cache: RecordCache) -> None:
        records: list[dict[str, Any]] = [
            *({"dueAt": instant} for instant in INSTANTS.values()),
            *({"title": text} for text in TEXTS.values()),
            *({"extra": tree} for tree in TREES.values()),
            *({"rank": number} for number in (INTEGER_MAX, INTEGER_MIN, 2**53 + 1, -1, 0)),
        ]
        for number, fields in enumerate(records):
            await fill(cache, task(number, **fields))
            assert same(await cached(cache, number), task(number, **fields)), fields
        await fill(cache, tombstone(numbered_id(999), 2))
        assert await cached(cache, 999) == tombstone(numbered_id(999), 2)

    async def test_a_record_that_does_not_exist_is_known_not_to(self, cache: RecordCache) -> None:
        lease = await leased(cache, 1)
        await cache.fill("tasks", {numbered_id(1): None}, lease=lease)
        assert (await cache.look_up("tasks", [numbered_id(1)])).records == {numbered_id(1): None}
        await invalidate(cache, ONE)
        assert await can_be_filled(cache, 1)

    async def test_callers_own_the_records_they_give_and_get(self, cache: RecordCache) -> None:
        given = task(1, extra={"list": [1]})
        await fill(cache, given)
        given["extra"]["list"].append("spoiled")
        found = await cached(cache, 1)
        assert found is not None
        found["extra"]["list"].append("spoiled")
        assert same(await cached(cache, 1), task(1, extra={"list": [1]}))

    @pytest.mark.parametrize(
        "fields",
        [
            {"title": "a\ud800"},
            {"priority": 2**64},
            {"dueAt": minutes(1).replace(tzinfo=None)},
            {"description": "x" * RECORD_BYTES_MAX},
        ],
        ids=["half a surrogate pair", "beyond 64 bits", "no zone", "too large"],
    )
    async def test_a_record_that_cannot_be_copied_is_not_cached(
        self, cache: RecordCache, fields: dict[str, Any]
    ) -> None:
        found = await cache.look_up("tasks", [numbered_id(1), numbered_id(2)])
        assert found.lease is not None
        records = {numbered_id(1): task(1, **fields), numbered_id(2): task(2)}
        await cache.fill("tasks", records, lease=found.lease)
        assert await cached(cache, 1) is None
        assert same(await cached(cache, 2), task(2))

    async def test_any_text_may_be_an_id(self, cache: RecordCache) -> None:
        for odd in ("", ":", "a:b", "é🙂", "\ud800", "\x00", "x" * 5_000):
            found = await cache.look_up("tasks", [odd])
            assert found.records == {}
            assert found.lease is not None
            await cache.fill("tasks", {odd: task(1, id=odd)}, lease=found.lease)
            assert set((await cache.look_up("tasks", [odd])).records) <= {odd}
        assert await cached(cache, 1) is None

    async def test_as_many_records_as_a_store_fetches_are_found(self, cache: RecordCache) -> None:
        ids = [numbered_id(number) for number in range(FETCH_MAX)]
        found = await cache.look_up("tasks", ids)
        assert found.lease is not None
        await cache.fill(
            "tasks", {task(number)[ID]: task(number) for number in range(FETCH_MAX)}, lease=found.lease
        )
        assert list((await cache.look_up("tasks", ids)).records) == ids

    async def test_a_closed_cache_finds_nothing(self, cache: RecordCache) -> None:
        await fill(cache, task(1))
        await cache.close()
        await cache.close()
        assert await cached(cache, 1) is None
        assert not cache.in_use


class LeaseContract:
    """Only a copy that no commit has outdated gets into the cache."""

    async def test_a_writer_deletes_the_copy_and_keeps_new_ones_out(self, cache: RecordCache) -> None:
        await fill(cache, task(1))
        lease = await cache.take_write_lease([ONE])
        assert lease is not None
        assert await cached(cache, 1) is None
        assert not await can_be_filled(cache, 1)
        assert await cache.invalidate([ONE], lease=lease)
        assert await can_be_filled(cache, 1)

    async def test_a_reader_that_was_overtaken_does_not_fill(self, cache: RecordCache) -> None:
        lease = await leased(cache, 1)
        await cache.fill("tasks", {numbered_id(1): task(1)}, lease="made up")
        assert await cached(cache, 1) is None
        write_lease = await cache.take_write_lease([ONE])
        await cache.fill("tasks", {numbered_id(1): task(1)}, lease=lease)
        await cache.invalidate([ONE], lease=write_lease)
        await cache.fill("tasks", {numbered_id(1): task(1)}, lease=lease)
        assert await cached(cache, 1) is None

    async def test_an_invalidation_without_a_lease_deletes_copies_and_read_leases(
        self, cache: RecordCache
    ) -> None:
        await fill(cache, task(1))
        lease = await leased(cache, 2)
        assert await cache.invalidate([ONE, TWO], lease=None)
        await cache.fill("tasks", {numbered_id(2): task(2)}, lease=lease)
        assert await cached(cache, 1) is None
        assert await cached(cache, 2) is None

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first in first out", "last in first out"])
    async def test_the_leases_of_other_writers_stay(self, cache: RecordCache, order: tuple[int, int]) -> None:
        leases = [await cache.take_write_lease([ONE]) for _ in range(2)]
        await cache.invalidate([ONE], lease=leases[order[0]])
        await cache.invalidate([ONE], lease=None)
        assert not await can_be_filled(cache, 1)
        await cache.invalidate([ONE], lease=leases[order[1]])
        assert await can_be_filled(cache, 1)

    async def test_another_namespace_sees_nothing(self, cache: RecordCache) -> None:
        await fill(cache, task(1))
        lease = await leased(cache, 2)
        cache.use_namespace(NEXT_EPOCH)
        await cache.fill("tasks", {numbered_id(2): task(2)}, lease=lease)
        assert await cached(cache, 1) is None
        assert await cached(cache, 2) is None


class RecordCacheContract(CopiesContract, LeaseContract):
    """Everything that a record cache promises while it is in use."""


class ReadTwice(WrappedStore):
    """Reads by id twice, so that the answer comes from the cache if it can."""

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        await super().fetch(collection, ids)
        return await super().fetch(collection, ids)

    async def gather(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        await super().gather(wanted)
        return await super().gather(wanted)


async def nothing_is_cached_before_a_namespace_is_used(cache: RecordCache) -> None:
    """Fails unless a new cache finds nothing, leases nothing and keeps nothing."""
    assert not cache.in_use
    found = await cache.look_up("tasks", [numbered_id(1)])
    assert (found.records, found.lease) == ({}, None)
    assert await cache.take_write_lease([ONE]) is None
    await cache.fill("tasks", {numbered_id(1): task(1)}, lease="made up")
    assert await cached(cache, 1) is None


async def stale_reads(stores: Sequence[RecordStore], *, seed: int, writes: int) -> list[tuple[int, int]]:
    """Writers and readers of three records at once; the reads that were older than what had been acknowledged."""
    numbers = (1, 2, 3)
    await commit_all(stores[0], "tasks", *(task(number) for number in numbers))
    acknowledged = dict.fromkeys(numbers, 1)
    stale: list[tuple[int, int]] = []
    done = asyncio.Event()

    async def read(store: RecordStore, chance: random.Random) -> None:
        while not done.is_set():
            number = chance.choice(numbers)
            at_least = acknowledged[number]
            version = await _version(store, number)
            if version < at_least:
                stale.append((version, at_least))
            await asyncio.sleep(0)

    async def write(store: RecordStore, chance: random.Random) -> None:
        for _ in range(writes):
            number = chance.choice(numbers)
            version = await _version(store, number) + 1
            try:
                await store.commit(change_set(put("tasks", task(number, version=version))))
            except VersionConflict:
                continue
            acknowledged[number] = max(acknowledged[number], version)

    await _while_running(
        [read(store, random.Random(seed * 7 + n)) for n, store in enumerate([*stores, *stores])],
        [write(store, random.Random(seed + n)) for n, store in enumerate([*stores, *stores])],
        done.set,
    )
    assert sum(acknowledged.values()) > writes
    return stale


async def _while_running(
    readers: Sequence[Awaitable[None]], writers: Sequence[Awaitable[None]], stop: Callable[[], None]
) -> None:
    reading = asyncio.gather(*readers)
    try:
        await asyncio.gather(*writers)
    finally:
        stop()
        await reading


async def _version(store: RecordStore, number: int) -> int:
    record = await fetched(store, "tasks", number)
    assert record is not None
    return int(record[VERSION])
