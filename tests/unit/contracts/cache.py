"""The suite that every record cache passes.

A cache's test module subclasses `RecordCacheContract` and supplies the fixture `cache`: empty and not entered yet.
"""

from typing import Any

import pytest

from adapters.cache.record_cache import PUT_RECORDS_MAX, RECORD_BYTES_MAX, CacheNamespace, RecordCache
from adapters.records.change_set import Put
from adapters.records.record import Record, tombstone
from adapters.records.record_store import FETCH_MAX
from domain.storable import INTEGER_MAX, INTEGER_MIN
from tests.unit.contracts.builders import minutes, numbered_id, put, same, task, timeline, user
from tests.unit.contracts.values import INSTANTS, TEXTS, TREES

NAMESPACE = CacheNamespace(store="postgres", database="tandem", identity="a1", epoch=1)
ONE = ("tasks", numbered_id(1))
TWO = ("tasks", numbered_id(2))


async def cached(cache: RecordCache, number: int, collection: str = "tasks") -> Record | None:
    """The copy of the record with this number. An empty place is leased by the look, as by every look."""
    return (await cache.look_up(collection, [numbered_id(number)])).records.get(numbered_id(number))


async def leased(cache: RecordCache, number: int) -> str:
    """A lease on the empty place of a task."""
    known = await cache.look_up("tasks", [numbered_id(number)])
    assert known.records == {}
    assert known.lease is not None
    return known.lease


async def fill(cache: RecordCache, record: Record, collection: str = "tasks") -> None:
    """Reads through: look up, then put what the store would have answered."""
    known = await cache.look_up(collection, [record["id"]])
    assert known.lease is not None
    await cache.fill(collection, [record], lease=known.lease)


async def write(cache: RecordCache, *puts: Put) -> None:
    """Writes through: hold, then put what was committed."""
    hold = await cache.hold([(one.collection, one.record_id) for one in puts])
    await cache.put(hold, puts)


class EnteredContract:
    """Both halves of the suite start with a cache that has entered a namespace."""

    @pytest.fixture(autouse=True)
    def _enter(self, cache: RecordCache) -> None:
        cache.enter(NAMESPACE)


class CopiesContract(EnteredContract):
    """What comes out is what went in."""

    async def test_what_was_filled_is_found(self, cache: RecordCache) -> None:
        await fill(cache, task(1))
        assert same(await cached(cache, 1), task(1))
        assert await cached(cache, 2) is None
        assert cache.in_use

    async def test_what_was_written_is_found(self, cache: RecordCache) -> None:
        await write(cache, put("tasks", task(1)), put("timelines", timeline(1)), put("users", user(2)))
        assert same(await cached(cache, 1), task(1))
        assert same(await cached(cache, 1, "timelines"), timeline(1))
        assert same(await cached(cache, 2, "users"), user(2))

    async def test_collections_are_apart(self, cache: RecordCache) -> None:
        await fill(cache, task(1))
        assert await cached(cache, 1, "labels") is None

    @pytest.mark.parametrize("instant", INSTANTS.values(), ids=INSTANTS)
    async def test_instants_survive(self, cache: RecordCache, instant: Any) -> None:
        await fill(cache, task(1, dueAt=instant))
        copy = await cached(cache, 1)
        assert same(copy, task(1, dueAt=instant))
        assert copy is not None
        assert copy["dueAt"].utcoffset() == minutes(0).utcoffset()

    @pytest.mark.parametrize("number", [INTEGER_MAX, INTEGER_MIN, 2**53 + 1, -1, 0])
    async def test_integers_keep_every_digit(self, cache: RecordCache, number: int) -> None:
        await fill(cache, task(1, priority=number, rank=number))
        assert same(await cached(cache, 1), task(1, priority=number, rank=number))

    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
    async def test_texts_survive(self, cache: RecordCache, text: str) -> None:
        await fill(cache, task(1, title=text))
        assert same(await cached(cache, 1), task(1, title=text))

    @pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
    async def test_trees_survive(self, cache: RecordCache, tree: dict[str, Any]) -> None:
        await fill(cache, task(1, extra=tree))
        assert same(await cached(cache, 1), task(1, extra=tree))

    async def test_tombstones_are_records(self, cache: RecordCache) -> None:
        await fill(cache, task(1))
        await write(cache, Put("tasks", tombstone(numbered_id(1), 2), 1))
        assert await cached(cache, 1) == tombstone(numbered_id(1), 2)

    async def test_copies_belong_to_the_caller(self, cache: RecordCache) -> None:
        given = task(1, extra={"list": [1]})
        await fill(cache, given)
        given["extra"]["list"].append("spoiled")
        found = await cached(cache, 1)
        assert found is not None
        found["extra"]["list"].append("spoiled")
        assert same(await cached(cache, 1), task(1, extra={"list": [1]}))

    @pytest.mark.parametrize(
        "record",
        [
            task(1, version=2, title="a\ud800"),
            task(1, version=2, priority=2**64),
            task(1, version=2, dueAt=minutes(1).replace(tzinfo=None)),
            task(1, version=2, description="x" * RECORD_BYTES_MAX),
        ],
        ids=["half a surrogate pair", "beyond 64 bits", "no zone", "too large"],
    )
    async def test_what_cannot_be_copied_is_not_cached(self, cache: RecordCache, record: Record) -> None:
        await fill(cache, record)
        assert await cached(cache, 1) is None
        await write(cache, put("tasks", task(2)), put("tasks", record))
        assert await cached(cache, 1) is None
        assert same(await cached(cache, 2), task(2))

    @pytest.mark.parametrize("odd", ["", ":", "a:b", "é🙂", "\ud800", "\x00", "x" * 5_000])
    async def test_any_text_may_be_an_id(self, cache: RecordCache, odd: str) -> None:
        known = await cache.look_up("tasks", [odd])
        assert known.records == {}
        assert known.lease is not None
        await cache.fill("tasks", [task(1, id=odd)], lease=known.lease)
        assert set((await cache.look_up("tasks", [odd])).records) <= {odd}
        assert await cached(cache, 1) is None

    async def test_as_many_as_a_store_fetches_are_found(self, cache: RecordCache) -> None:
        ids = [numbered_id(number) for number in range(FETCH_MAX)]
        known = await cache.look_up("tasks", ids)
        assert known.lease is not None
        for start in range(0, FETCH_MAX, 100):
            some = [task(number) for number in range(start, start + 100)]
            await cache.fill("tasks", some, lease=known.lease)
        assert list((await cache.look_up("tasks", ids)).records) == ids

    async def test_closing_twice_is_harmless(self, cache: RecordCache) -> None:
        await fill(cache, task(1))
        await cache.close()
        await cache.close()
        assert await cached(cache, 1) is None
        assert not cache.in_use


class ClaimContract(EnteredContract):
    """Who may put what, and when."""

    async def test_only_the_holder_of_a_lease_fills(self, cache: RecordCache) -> None:
        lease = await leased(cache, 1)
        assert (await cache.look_up("tasks", [numbered_id(1)])).lease is None
        await cache.fill("tasks", [task(1, title="Stranger")], lease="made up")
        assert await cached(cache, 1) is None
        await cache.fill("tasks", [task(1)], lease=lease)
        assert same(await cached(cache, 1), task(1))

    async def test_a_lease_serves_once(self, cache: RecordCache) -> None:
        lease = await leased(cache, 1)
        await cache.fill("tasks", [task(1, version=2)], lease=lease)
        await cache.fill("tasks", [task(1)], lease=lease)
        assert same(await cached(cache, 1), task(1, version=2))

    async def test_a_slow_reader_does_not_put_the_old_over_the_new(self, cache: RecordCache) -> None:
        lease = await leased(cache, 1)
        await write(cache, put("tasks", task(1, version=2)))
        await cache.fill("tasks", [task(1)], lease=lease)
        assert same(await cached(cache, 1), task(1, version=2))

    async def test_a_slow_reader_does_not_put_while_a_commit_runs(self, cache: RecordCache) -> None:
        lease = await leased(cache, 1)
        hold = await cache.hold([ONE])
        await cache.fill("tasks", [task(1)], lease=lease)
        assert await cached(cache, 1) is None
        await cache.put(hold, [put("tasks", task(1, version=2))])
        assert same(await cached(cache, 1), task(1, version=2))

    async def test_a_slow_reader_does_not_put_the_old_after_the_new_was_forgotten(
        self, cache: RecordCache
    ) -> None:
        lease = await leased(cache, 1)
        await write(cache, put("tasks", task(1, version=2)))
        await cache.release(await cache.hold([ONE]))
        await cache.fill("tasks", [task(1)], lease=lease)
        assert await cached(cache, 1) is None

    async def test_what_is_held_is_neither_answered_nor_leased(self, cache: RecordCache) -> None:
        await fill(cache, task(1))
        await cache.hold([ONE])
        known = await cache.look_up("tasks", [numbered_id(1)])
        assert (known.records, known.lease) == ({}, None)

    async def test_a_released_place_can_be_filled_again(self, cache: RecordCache) -> None:
        await cache.release(await cache.hold([ONE, TWO]))
        await fill(cache, task(1))
        assert same(await cached(cache, 1), task(1))

    async def test_the_newest_hold_counts(self, cache: RecordCache) -> None:
        first, second = await cache.hold([ONE]), await cache.hold([ONE])
        await cache.put(first, [put("tasks", task(1, version=2))])
        assert await cached(cache, 1) is None
        await cache.put(second, [put("tasks", task(1, version=3))])
        assert same(await cached(cache, 1), task(1, version=3))

    async def test_a_release_leaves_what_others_hold(self, cache: RecordCache) -> None:
        first, second = await cache.hold([ONE]), await cache.hold([ONE])
        await cache.release(first)
        await _nothing_can_be_filled(cache)
        await cache.put(second, [put("tasks", task(1))])
        assert same(await cached(cache, 1), task(1))

    async def test_a_late_put_replaces_only_what_is_older(self, cache: RecordCache) -> None:
        first, second = await cache.hold([ONE]), await cache.hold([ONE])
        await cache.release(second)
        await fill(cache, task(1, version=3))
        await cache.put(first, [put("tasks", task(1, version=2))])
        assert same(await cached(cache, 1), task(1, version=3))
        await cache.put(first, [put("tasks", task(1, version=4))])
        assert same(await cached(cache, 1), task(1, version=4))

    async def test_versions_are_compared_to_the_last_digit(self, cache: RecordCache) -> None:
        first, second = await cache.hold([ONE]), await cache.hold([ONE])
        await cache.release(second)
        await fill(cache, task(1, version=INTEGER_MAX - 1))
        await cache.put(first, [put("tasks", task(1, version=INTEGER_MAX))])
        assert same(await cached(cache, 1), task(1, version=INTEGER_MAX))
        await cache.put(first, [put("tasks", task(1, version=9))])
        assert same(await cached(cache, 1), task(1, version=INTEGER_MAX))

    async def test_a_late_put_ends_the_leases_of_those_who_read_before_it(self, cache: RecordCache) -> None:
        first, second = await cache.hold([ONE]), await cache.hold([ONE])
        await cache.release(second)
        lease = await leased(cache, 1)
        await cache.put(first, [put("tasks", task(1, version=2))])
        await cache.fill("tasks", [task(1)], lease=lease)
        assert await cached(cache, 1) is None

    async def test_a_late_put_on_an_empty_place_does_nothing(self, cache: RecordCache) -> None:
        first, second = await cache.hold([ONE]), await cache.hold([ONE])
        await cache.release(second)
        await cache.put(first, [put("tasks", task(1))])
        assert await cached(cache, 1) is None

    async def test_a_large_change_set_is_forgotten(self, cache: RecordCache) -> None:
        puts = [put("tasks", task(number)) for number in range(PUT_RECORDS_MAX + 1)]
        await fill(cache, task(1, title="Old"))
        await write(cache, *puts)
        assert await cached(cache, 1) is None
        await write(cache, *puts[:PUT_RECORDS_MAX])
        assert same(await cached(cache, PUT_RECORDS_MAX - 1), task(PUT_RECORDS_MAX - 1))

    async def test_another_namespace_sees_nothing(self, cache: RecordCache) -> None:
        await fill(cache, task(1))
        lease, hold = await leased(cache, 2), await cache.hold([("tasks", numbered_id(3))])
        cache.enter(CacheNamespace(store="postgres", database="tandem", identity="a1", epoch=2))
        assert await cached(cache, 1) is None
        await cache.fill("tasks", [task(2)], lease=lease)
        await cache.put(hold, [put("tasks", task(3))])
        assert await cached(cache, 2) is None
        assert await cached(cache, 3) is None


class NotEnteredContract:
    """Before it knows whose records they are."""

    async def test_nothing_is_kept_before_a_namespace_is_entered(self, cache: RecordCache) -> None:
        assert not cache.in_use
        known = await cache.look_up("tasks", [numbered_id(1)])
        assert (known.records, known.lease) == ({}, None)
        hold = await cache.hold([ONE])
        assert hold.token is None
        await cache.put(hold, [put("tasks", task(1))])
        await cache.fill("tasks", [task(1)], lease="made up")
        cache.enter(NAMESPACE)
        assert await cached(cache, 1) is None


class RecordCacheContract(CopiesContract, ClaimContract):
    """Everything a record cache promises once it has entered."""


async def _nothing_can_be_filled(cache: RecordCache) -> None:
    known = await cache.look_up("tasks", [numbered_id(1)])
    await cache.fill("tasks", [task(1)], lease=known.lease or "none")
    assert await cached(cache, 1) is None
