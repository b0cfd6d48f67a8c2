"""Unique values that moved between records reach the target in an order that it accepts."""

import asyncio
from datetime import timedelta

import pytest

from adapters.records.change_set import ChangeSet
from adapters.records.record import ID, VERSION, Record
from tests.unit.adapters.dual_write.virtual_time import simulate
from tests.unit.adapters.dual_write.world import (
    LONG_ENOUGH,
    PAUSED,
    Process,
    Stores,
    assert_promises,
    change_set_of,
    creation,
    edition,
    erasure,
    label_in,
    left_pending,
    relaying,
    statuses,
    stopped,
)
from tests.unit.builders import ANNA, NOON
from tests.unit.faults import Weather


@pytest.mark.parametrize("dies", [False, True], ids=["by requests", "by the relay alone"])
def test_a_unique_value_that_moved_to_another_record_converges(dies: bool) -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process, running = await relaying(stores, weather)
        await process.create(1, name="x")
        await process.create(2, name="y")
        await asyncio.sleep(1)
        weather.is_down = dies
        weather.failures_left = 0 if dies else 1
        # The first move is not mirrored in time, so the target meets the second one first.
        await process.edit(1, name="free")
        await process.edit(2, name="x")
        await process.edit(1, name="y")
        await asyncio.sleep(30)
        weather.is_down = False
        await asyncio.sleep(LONG_ENOUGH)
        await stopped(process, running)
        await assert_promises(stores)
        assert (await label_in(stores.target, 1))["name"] == "y"
        assert (await label_in(stores.target, 2))["name"] == "x"

    simulate(check())


def test_names_that_rotated_among_records_converge_in_one_drain() -> None:
    async def check() -> None:
        stores = Stores()
        process = Process(stores)
        await process.store.open()
        for number, name in enumerate(("a", "b", "c"), start=1):
            await process.create(number, name=name)
        await process.store.close()
        paused = Process(stores, settings=PAUSED)
        await paused.store.open()
        for _ in range(5):
            # Each round rotates the three names by one record.
            names = [(await label_in(stores.source, number))["name"] for number in (1, 2, 3)]
            await paused.edit(1, name="free")
            await paused.edit(2, name=names[0])
            await paused.edit(3, name=names[1])
            await paused.edit(1, name=names[2])
        repair = Process(stores)
        await repair.store.open()
        await repair.relay.drain()
        assert set(await statuses(stores)) == {"SYNCED"}
        await repair.store.close()
        await assert_promises(stores)

    simulate(check())


def test_names_that_moved_converge_although_the_entries_sort_otherwise() -> None:
    async def check() -> None:
        stores = Stores()
        process = Process(stores)
        await process.store.open()
        await process.create(1, name="a")
        await process.create(2, name="b")
        await process.store.close()
        paused = Process(stores, settings=PAUSED)
        # The writers' clocks disagree: what happened second has the lowest entry id.
        for number, name, entry_id in ((1, "free", "f1"), (2, "a", "f0"), (1, "b", "f2")):
            change_set = change_set_of(edition(await label_in(stores.source, number), name=name))
            (entry,) = change_set.entries
            renumbered = {**entry, ID: f"{entry_id:f>24}", "changeSetId": f"{entry_id:f>24}"}
            await paused.commit(ChangeSet(change_set.puts, (renumbered,)))
        repair = Process(stores)
        await repair.store.open()
        await repair.relay.drain()
        assert set(await statuses(stores)) == {"SYNCED"}
        await repair.store.close()
        await assert_promises(stores)

    simulate(check())


def test_rebuilt_versions_equal_the_committed_ones() -> None:
    async def check() -> None:
        stores, seen = Stores(), dict[tuple[str, int], Record]()
        process = Process(stores)
        await process.store.open()
        await process.create(1, name="a")
        await process.create(2, name="b")
        await process.store.close()
        committed: dict[tuple[str, int], Record] = {}
        paused = Process(stores, settings=PAUSED)
        for minute, (number, name) in enumerate(((1, "free"), (2, "a"), (1, "b")), start=1):
            stamp = {"updatedAt": NOON + timedelta(minutes=minute), "updatedBy": ANNA}
            await paused.edit(number, name=name, **stamp)
            record = await label_in(stores.source, number)
            committed[record[ID], record[VERSION]] = record

        def note(change_set: ChangeSet) -> str | None:
            seen.update({(put.record_id, put.version): put.record for put in change_set.puts})
            return None

        repair = Process(stores, dislike=note)
        await repair.store.open()
        await repair.relay.drain()
        await repair.store.close()
        assert seen.keys() == committed.keys()
        assert seen == committed

    simulate(check())


def test_a_record_that_was_removed_for_good_is_never_rebuilt() -> None:
    async def check() -> None:
        stores, seen = Stores(), list[Record]()
        await left_pending(stores, change_set_of(creation(1)))
        label = await label_in(stores.source, 1)
        await left_pending(stores, change_set_of(edition(label, name="secret")))
        label = await label_in(stores.source, 1)
        await left_pending(stores, change_set_of(erasure(label)))

        def refuse_and_note(change_set: ChangeSet) -> str | None:
            seen.extend(put.record for put in change_set.puts)
            return "not today"

        process = Process(stores, dislike=refuse_and_note)
        await process.store.open()
        await process.relay.drain()
        await process.store.close()
        assert seen
        assert all(record.get("isErased") for record in seen)

    simulate(check())
