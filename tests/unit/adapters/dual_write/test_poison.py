"""Rejected records are tried again, parked with their reason, and hold up no other record."""

import asyncio
from collections import Counter
from dataclasses import replace
from itertools import pairwise

from adapters.records.change_set import ChangeSet
from adapters.records.record import Record
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
    too_long,
)
from tests.unit.builders import numbered_id
from tests.unit.faults import Weather


def test_poison_is_parked_after_its_attempts_with_the_reason_and_alone() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process, running = await relaying(stores, weather, dislike=too_long)
        await process.create(1)
        await process.create(2, name="far longer than twenty characters")
        await process.create(3)
        await asyncio.sleep(LONG_ENOUGH)
        (poison,) = await entries_of(stores, 2)
        assert (poison["syncStatus"], poison["syncAttempts"]) == ("PARKED", QUICK.retry_attempts)
        assert poison["syncError"] == "name: longer than 20 characters"
        assert poison["syncNextAt"] is None
        assert {entry["syncStatus"] for entry in await entries_of(stores, 1, 3)} == {"SYNCED"}
        tries = weather.calls.count("apply")
        await asyncio.sleep(LONG_ENOUGH)
        assert weather.calls.count("apply") == tries
        await stopped(process, running)

    simulate(check())


def test_attempts_are_spaced_by_a_growing_pause() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        settings = replace(QUICK, retry_attempts=6)
        process, running = await relaying(stores, weather, settings=settings, dislike=too_long)
        await process.create(1, name="far longer than twenty characters")
        tried: list[float] = []
        for _ in range(4_000):
            await asyncio.sleep(0.1)
            tried += [asyncio.get_running_loop().time()] * (weather.calls.count("apply") > len(tried))
        attempts = [entry["syncAttempts"] for entry in await entries_of(stores, 1)]
        assert attempts == [6]
        # Each rejection of the relay's is confirmed by a second, step-wise call, so count instants far apart.
        instants = [at for index, at in enumerate(tried) if index == 0 or at - tried[index - 1] > 1]
        pauses = [later - earlier for earlier, later in pairwise(instants)]
        assert len(pauses) == 5
        for number, pause in enumerate(pauses):
            assert pause >= settings.retry_delay_seconds * 2**number
            assert pause <= settings.retry_delay_seconds * (2**number + 1) + 3
        await stopped(process, running)

    simulate(check())


def test_poison_in_the_middle_of_a_backlog_blocks_only_its_own_change_set() -> None:
    async def check() -> None:
        stores = Stores()
        creations = [change_set_of(creation(number)) for number in range(1, 50)]
        poison = change_set_of(creation(50), creation(51, name="far longer than twenty characters"))
        rest = [change_set_of(creation(number)) for number in range(52, 100)]
        await left_pending(stores, *creations, poison, *rest)
        process = Process(stores, dislike=too_long)
        await process.store.open()
        await process.relay.drain()
        assert Counter(await statuses(stores)) == {"SYNCED": 97, "FAILED": 2}
        assert {entry["syncStatus"] for entry in await entries_of(stores, 50, 51)} == {"FAILED"}
        assert len(await stores.target.scan(LABEL, after=None, limit=200)) == 97
        await process.store.close()

    simulate(check())


def test_a_later_version_that_fits_goes_ahead_and_takes_the_poison_with_it() -> None:
    async def check() -> None:
        stores = Stores()
        process, running = await relaying(stores, dislike=too_long)
        await process.create(1)
        await process.edit(1, name="far longer than twenty characters")
        await asyncio.sleep(LONG_ENOUGH)
        assert await statuses(stores) == ["SYNCED", "PARKED"]
        await process.edit(1, name="short")
        await asyncio.sleep(2 * QUICK.revisit_interval_ms / 1000)
        await stopped(process, running)
        await assert_promises(stores)

    simulate(check())


def test_a_record_that_makes_the_target_fail_unexpectedly_is_parked_alone() -> None:
    async def check() -> None:
        stores = Stores()

        def explode(change_set: ChangeSet) -> str | None:
            if numbered_id(3) in {put.record_id for put in change_set.puts}:
                raise TypeError("a bug of the driver")
            return None

        process, running = await relaying(stores, dislike=explode)
        for number in range(1, 6):
            await process.create(number)
        await asyncio.sleep(LONG_ENOUGH)
        assert sorted(await statuses(stores)) == ["PARKED"] + ["SYNCED"] * 4
        (poison,) = await entries_of(stores, 3)
        assert "TypeError" in poison["syncError"]
        await stopped(process, running)

    simulate(check())


def test_an_entry_whose_record_is_gone_from_the_source_is_parked_with_that_reason() -> None:
    async def check() -> None:
        stores = Stores()
        lost, kept = change_set_of(creation(1)), change_set_of(creation(2))
        await left_pending(stores, ChangeSet((), _pending(lost)), kept)
        process = Process(stores)
        await process.store.open()
        await process.relay.drain()
        assert sorted(await statuses(stores)) == ["PARKED", "SYNCED"]
        (entry,) = await entries_of(stores, 1)
        assert entry["syncError"] == "The record is missing in source."
        await process.store.close()

    simulate(check())


def _pending(change_set: ChangeSet) -> tuple[Record, ...]:
    return tuple({**entry, "syncStatus": "PENDING"} for entry in change_set.entries)
