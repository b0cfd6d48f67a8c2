"""Batches that take the target too long while it answers a ping are bisected. A change set that is slow alone is
rejected if others of its table pass meanwhile; otherwise it waits, and with it a table that is slow as a whole.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from adapters.records.change_set import ApplyOutcome, ChangeSet
from domain.errors import StoreUnavailable
from tests.unit.adapters.dual_write.virtual_time import simulate
from tests.unit.adapters.dual_write.world import (
    LABEL,
    LONG_ENOUGH,
    QUICK,
    Process,
    Stores,
    assert_promises,
    change_set_of,
    creation,
    entries_of,
    left_pending,
    relaying,
    statuses,
    stopped,
)
from tests.unit.faults import Weather
from tests.unit.memory_store import MemoryRecordStore

HOURS = 100_000.0


class LaboriousStore(MemoryRecordStore):
    """Takes a second for each record, and hours where the name says so, or for every label."""

    def __init__(self) -> None:
        super().__init__("target")
        self.is_saturated = False
        self.calls = 0

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        self.calls += 1
        collections = {put.collection for change_set in change_sets for put in change_set.puts}
        if self.is_saturated and LABEL in collections:
            await asyncio.sleep(HOURS)
        names = [put.record["name"] for change_set in change_sets for put in change_set.puts]
        await asyncio.sleep(sum(HOURS if name == "endless" else 1.0 for name in names))
        return await super().apply(change_sets)


async def backlog_of(*changes: tuple[int, str]) -> Stores:
    """As many pending change sets over a target that labours."""
    stores = Stores(target=LaboriousStore())
    await left_pending(stores, *(change_set_of(creation(number, name=name)) for number, name in changes))
    return stores


def test_a_batch_that_takes_too_long_goes_in_smaller_ones() -> None:
    async def check() -> None:
        stores = await backlog_of(*((number, f"Label {number}") for number in range(1, 41)))
        process = Process(stores)
        await process.store.open()
        await process.relay.drain()
        assert await statuses(stores) == ["SYNCED"] * 40
        assert not process.target.breaker.is_open
        await process.store.close()
        await assert_promises(stores)

    simulate(check())


def test_a_record_that_takes_too_long_is_parked_alone_with_that_reason() -> None:
    async def check() -> None:
        stores = await backlog_of((1, "one"), (2, "two"), (3, "endless"), (4, "four"), (5, "five"))
        process, running = await relaying(stores)
        await asyncio.sleep(60)
        assert [entry["syncStatus"] for entry in await entries_of(stores, 1, 2, 4, 5)] == ["SYNCED"] * 4
        await asyncio.sleep(LONG_ENOUGH)
        (endless,) = await entries_of(stores, 3)
        assert (endless["syncStatus"], endless["syncAttempts"]) == ("PARKED", QUICK.retry_attempts)
        assert endless["syncError"] == f"It takes longer than {QUICK.relay_timeout_ms} ms to store."
        assert not process.target.breaker.is_open
        await stopped(process, running)

    simulate(check())


def test_a_table_that_is_slow_as_a_whole_is_blocked_and_parks_nothing() -> None:
    async def check() -> None:
        target = LaboriousStore()
        stores = Stores(target=target)
        process, running = await relaying(stores)
        await process.create(1)
        await asyncio.sleep(30)
        assert await statuses(stores) == ["SYNCED"]
        target.is_saturated = True
        await left_pending(stores, *(change_set_of(creation(number)) for number in range(2, 42)))
        calls = target.calls
        await asyncio.sleep(3 * LONG_ENOUGH)
        entries = await entries_of(stores, *range(2, 42))
        assert {(entry["syncStatus"], entry["syncAttempts"]) for entry in entries} == {("FAILED", 0)}
        (blocked,) = process.target.blockages.tables()
        reason = f"It takes longer than {QUICK.relay_timeout_ms} ms to store."
        assert reason in blocked.blocked.cause
        assert all(reason in entry["syncError"] for entry in entries)
        assert target.calls - calls <= 3 * LONG_ENOUGH * 1_000 / QUICK.relay_timeout_ms + 2
        target.is_saturated = False
        await asyncio.sleep(2 * QUICK.relay_timeout_ms / 1_000 + 90)
        await stopped(process, running)
        await assert_promises(stores)

    simulate(check())


def test_a_slow_record_without_another_one_to_compare_with_waits() -> None:
    async def check() -> None:
        stores = await backlog_of((1, "endless"))
        process, running = await relaying(stores)
        await asyncio.sleep(LONG_ENOUGH)
        (endless,) = await entries_of(stores, 1)
        assert (endless["syncStatus"], endless["syncAttempts"]) == ("FAILED", 0)
        assert endless["syncError"] == f"It takes longer than {QUICK.relay_timeout_ms} ms to store."
        await stopped(process, running)

    simulate(check())


def test_a_target_that_answers_no_ping_either_counts_no_attempt() -> None:
    async def check() -> None:
        stores = await backlog_of((1, "one"), (2, "endless"), (3, "three"))
        weather = Weather()
        process = Process(stores, target_gate=weather)
        await process.store.open()
        weather.freeze()
        with pytest.raises(StoreUnavailable):
            await process.relay.drain()
        assert process.target.breaker.is_open
        assert await statuses(stores) == ["PENDING"] * 3
        assert {entry["syncAttempts"] for entry in await entries_of(stores, 1, 2, 3)} == {0}
        weather.thaw()
        await process.store.close()

    simulate(check())


def test_the_breaker_closes_after_one_change_set_not_after_a_page() -> None:
    async def check() -> None:
        stores = await backlog_of(*((number, f"Label {number}") for number in range(1, 41)))
        process = Process(stores)
        await process.store.open()
        process.target.breaker.trip("It was down.")
        running = asyncio.ensure_future(process.relay.run())
        for _ in range(1_000):
            if not process.target.breaker.is_open:
                break
            await asyncio.sleep(0.01)
        assert len(await stores.target.scan(LABEL, after=None, limit=100)) == 1
        assert (await statuses(stores)).count("SYNCED") == 1
        await stopped(process, running)

    simulate(check())


def test_a_delivery_is_bounded_by_its_bytes() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        long = [change_set_of(creation(number, name=f"{number:04}" * 500)) for number in range(1, 9)]
        short = [change_set_of(creation(number)) for number in range(11, 14)]
        await left_pending(stores, *long, *short)
        size = long[0].rough_bytes
        process = Process(
            stores, settings=replace(QUICK, batch_bytes_max=2 * size + 400), target_gate=weather
        )
        await process.store.open()
        await process.relay.drain()
        assert weather.calls.count("apply") == 5
        await process.store.close()
        await assert_promises(stores)

    simulate(check())
