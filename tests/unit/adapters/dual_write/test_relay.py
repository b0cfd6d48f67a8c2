"""The relay repairs what requests left behind, parks what cannot be mirrored, and gives up nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from adapters.dual_write.settings import DualWriteSettings
from adapters.records.change_set import ChangeSet, Refusal
from adapters.records.criteria import Question
from adapters.records.record import ID, VERSION, Record
from adapters.records.specs import AUDIT_LOGS
from domain.errors import StoreUnavailable
from tests.unit.adapters.dual_write.virtual_time import simulate
from tests.unit.adapters.dual_write.world import (
    LABEL,
    QUICK,
    Process,
    Stores,
    assert_promises,
    change_set_of,
    creation,
    edition,
    erasure,
    statuses,
)
from tests.unit.builders import ANNA, NOON, numbered_id
from tests.unit.faults import Step, Weather
from tests.unit.memory_store import MemoryRecordStore

LONG_ENOUGH = 240.0
"""Seconds after which every attempt of the default settings has been made."""
PAUSED = replace(QUICK, enabled=False)


def too_long(change_set: ChangeSet) -> str | None:
    """A target with a column of 20 characters."""
    names = [put.record.get("name") or "" for put in change_set.puts]
    return "name: longer than 20 characters" if any(len(name) > 20 for name in names) else None


async def entries_of(stores: Stores, *numbers: int) -> list[Record]:
    """The source's entries about these labels, oldest first."""
    ids = {numbered_id(number) for number in numbers}
    entries = await stores.source.scan(AUDIT_LOGS.collection, after=None, limit=5_000)
    return [entry for entry in entries if entry["entityId"] in ids]


async def label_in(store: MemoryRecordStore, number: int) -> Record:
    id_ = numbered_id(number)
    return (await store.fetch(LABEL, (id_,)))[id_]


async def left_pending(stores: Stores, *change_sets: ChangeSet) -> None:
    """As a process leaves them that died before the target was asked."""
    process = Process(stores, settings=PAUSED)
    await process.store.open()
    for change_set in change_sets:
        await process.commit(change_set)
    await process.store.close()


async def started(
    stores: Stores, weather: Weather | None = None, *, settings: DualWriteSettings = QUICK, **faults: Any
) -> tuple[Process, asyncio.Task[None]]:
    process = Process(stores, settings=settings, target_gate=weather or Weather(), **faults)
    await process.store.open()
    return process, asyncio.ensure_future(process.relay.run())


async def stopped(process: Process, running: asyncio.Task[None]) -> None:
    process.relay.stop()
    await running
    await process.store.close()


def test_an_outage_of_hours_parks_nothing_and_counts_no_attempt() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process, running = await started(stores, weather)
        await process.create(1)
        weather.is_down = True
        for number in range(2, 30):
            await process.create(number)
            await asyncio.sleep(600)
        entries = await entries_of(stores, *range(2, 30))
        assert {(entry["syncStatus"], entry["syncAttempts"]) for entry in entries} == {("PENDING", 0)}
        weather.is_down = False
        await asyncio.sleep(2 * QUICK.probe_delay_seconds_max)
        assert not process.target.breaker.is_open
        await stopped(process, running)
        await assert_promises(stores)

    simulate(check())


def test_a_target_that_is_down_is_probed_ever_more_rarely() -> None:
    async def check() -> None:
        weather = Weather()
        weather.is_down = True
        process, running = await started(Stores(), weather)
        await asyncio.sleep(600)
        in_ten_minutes = len(weather.calls)
        for _ in range(1_000):
            process.relay.wake()
            await asyncio.sleep(0.001)
        assert in_ten_minutes <= 600 / QUICK.probe_delay_seconds_max + 10
        assert len(weather.calls) <= in_ten_minutes + 1
        await stopped(process, running)

    simulate(check())


def test_a_target_that_answers_pings_but_takes_nothing_stays_left_alone() -> None:
    async def check() -> None:
        stores = Stores()

        async def read_only(step: Step) -> None:
            if step.operation == "apply":
                raise StoreUnavailable("read only")

        process = Process(stores, target_gate=read_only)
        await process.store.open()
        running = asyncio.ensure_future(process.relay.run())
        for number in range(1, 5):
            await process.create(number)
        await asyncio.sleep(600)
        assert process.target.breaker.is_open
        assert process.target.breaker.reason == "read only"
        assert await statuses(stores) == ["PENDING"] * 4
        await stopped(process, running)

    simulate(check())


def test_a_paused_relay_still_notices_that_the_target_came_back() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        weather.is_down = True
        process, running = await started(stores, weather, settings=PAUSED)
        await process.create(1)
        weather.is_down = False
        await asyncio.sleep(60)
        assert process.target.breaker.reason is None
        assert "apply" not in weather.calls
        assert await statuses(stores) == ["PENDING"]
        await stopped(process, running)

    simulate(check())


def test_a_frozen_target_is_caught_up_when_it_thaws() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process, running = await started(stores, weather)
        weather.freeze()
        for number in range(1, 10):
            await process.create(number)
        await asyncio.sleep(60)
        weather.thaw()
        await asyncio.sleep(60)
        await stopped(process, running)
        await assert_promises(stores)

    simulate(check())


def test_poison_is_parked_after_its_attempts_with_the_reason_and_alone() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process, running = await started(stores, weather, dislike=too_long)
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
        process, running = await started(stores, weather, settings=settings, dislike=too_long)
        await process.create(1, name="far longer than twenty characters")
        tried: list[float] = []
        for _ in range(4_000):
            await asyncio.sleep(0.1)
            tried += [asyncio.get_running_loop().time()] * (weather.calls.count("apply") > len(tried))
        attempts = [entry["syncAttempts"] for entry in await entries_of(stores, 1)]
        assert attempts == [6]
        # Each refusal of the relay's is confirmed by a second, step-wise call, so count instants far apart.
        instants = [at for index, at in enumerate(tried) if index == 0 or at - tried[index - 1] > 1]
        pauses = [later - earlier for earlier, later in pairwise(instants)]
        assert len(pauses) == 5
        for number, pause in enumerate(pauses):
            assert pause >= settings.retry_delay_seconds * 2**number
            assert pause <= settings.retry_delay_seconds * (2**number + 1) + 3
        await stopped(process, running)

    simulate(check())


def test_poison_in_the_middle_of_a_backlog_blocks_only_what_was_committed_with_it() -> None:
    async def check() -> None:
        stores = Stores()
        creations = [change_set_of(creation(number)) for number in range(1, 50)]
        poison = change_set_of(creation(50), creation(51, name="far longer than twenty characters"))
        rest = [change_set_of(creation(number)) for number in range(52, 100)]
        await left_pending(stores, *creations, poison, *rest)
        process = Process(stores, dislike=too_long)
        await process.store.open()
        told = await process.relay.drain()
        assert (told.synced, told.failed, told.parked) == (97, 2, 0)
        assert {entry["syncStatus"] for entry in await entries_of(stores, 50, 51)} == {"FAILED"}
        assert len(await stores.target.scan(LABEL, after=None, limit=200)) == 97
        await process.store.close()

    simulate(check())


def test_a_later_version_that_fits_goes_ahead_and_takes_the_poison_with_it() -> None:
    async def check() -> None:
        stores = Stores()
        process, running = await started(stores, dislike=too_long)
        await process.create(1)
        await process.edit(1, name="far longer than twenty characters")
        await asyncio.sleep(LONG_ENOUGH)
        assert await statuses(stores) == ["SYNCED", "PARKED"]
        await process.edit(1, name="short")
        await asyncio.sleep(2 * QUICK.revisit_interval_ms / 1000)
        await stopped(process, running)
        await assert_promises(stores)

    simulate(check())


def test_what_makes_the_target_fail_unforeseen_is_parked_alone() -> None:
    async def check() -> None:
        stores = Stores()

        def explode(change_set: ChangeSet) -> str | None:
            if numbered_id(3) in {put.record_id for put in change_set.puts}:
                raise TypeError("a fault of the driver")
            return None

        process, running = await started(stores, dislike=explode)
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
        told = await process.relay.drain()
        assert (told.synced, told.parked) == (1, 1)
        (entry,) = await entries_of(stores, 1)
        assert entry["syncError"] == "The record is missing in source."
        await process.store.close()

    simulate(check())


def _pending(change_set: ChangeSet) -> tuple[Record, ...]:
    return tuple({**entry, "syncStatus": "PENDING"} for entry in change_set.entries)


@pytest.mark.parametrize("dies", [False, True], ids=["by requests", "by the relay alone"])
def test_a_unique_value_that_changed_hands_converges(dies: bool) -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process, running = await started(stores, weather)
        await process.create(1, name="x")
        await process.create(2, name="y")
        await asyncio.sleep(1)
        weather.is_down = dies
        weather.failures_left = 0 if dies else 1
        # The first hand-over is not mirrored in time, so the target meets the second one first.
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


def test_names_swapped_through_many_hands_converge_in_one_drain() -> None:
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
            # Each round turns the three names on by one hand.
            names = [(await label_in(stores.source, number))["name"] for number in (1, 2, 3)]
            await paused.edit(1, name="free")
            await paused.edit(2, name=names[0])
            await paused.edit(3, name=names[1])
            await paused.edit(1, name=names[2])
        repair = Process(stores)
        await repair.store.open()
        told = await repair.relay.drain()
        assert (told.failed, told.parked) == (0, 0)
        await repair.store.close()
        await assert_promises(stores)

    simulate(check())


def test_names_that_changed_hands_converge_although_the_entries_sort_otherwise() -> None:
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
        told = await repair.relay.drain()
        assert (told.synced, told.failed) == (3, 0)
        await repair.store.close()
        await assert_promises(stores)

    simulate(check())


def test_versions_pieced_together_on_the_way_equal_what_was_committed() -> None:
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


def test_what_was_removed_for_good_is_never_pieced_together_again() -> None:
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


class NotingStore(MemoryRecordStore):
    """Notes how much it is asked for, and handed, at once."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.limit_max = 0
        self.together: list[frozenset[str]] = []

    async def find(self, question: Question) -> list[Record]:
        self.limit_max = max(self.limit_max, question.limit)
        return await super().find(question)

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[Refusal | None]:
        for change_set in change_sets:
            self.together.append(frozenset(put.record_id for put in change_set.puts))
        return await super().apply(change_sets)


def test_a_long_backlog_is_drained_in_bounded_pages_and_whole_change_sets() -> None:
    async def check() -> None:
        source, target = NotingStore("source"), NotingStore("target")
        stores = Stores(source, target)
        together = [range(first, first + 7) for first in range(1, 2_100, 7)]
        await left_pending(
            stores, *(change_set_of(*(creation(number) for number in numbers)) for numbers in together)
        )
        settings = replace(QUICK, relay_page_max=150, batch_records_max=60)
        process = Process(stores, settings=settings)
        await process.store.open()
        told = await process.relay.drain()
        assert told.synced == 2_100
        assert source.limit_max == 150
        assert set(target.together) == {
            frozenset(numbered_id(number) for number in numbers) for numbers in together
        }
        await process.store.close()
        await assert_promises(stores)

    simulate(check())


def test_many_versions_of_one_record_are_carried_as_the_latest() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        paused = Process(stores, settings=PAUSED)
        await paused.create(1)
        for number in range(200):
            await paused.edit(1, name=f"name {number}")
        process = Process(stores, target_gate=weather)
        await process.store.open()
        await process.relay.drain()
        assert weather.calls.count("apply") == 1
        await process.store.close()
        await assert_promises(stores)

    simulate(check())


def test_the_relay_leaves_young_entries_to_the_requests_that_wrote_them() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process, running = await started(stores, weather)
        weather.latency_seconds = QUICK.timeout_ms / 1000 * 0.9
        for number in range(1, 40):
            await process.create(number)
        assert weather.calls.count("apply") == 39
        await stopped(process, running)
        await assert_promises(stores)

    simulate(check())


def test_an_outage_in_the_middle_of_a_page_keeps_what_was_confirmed() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        await left_pending(stores, *(change_set_of(creation(number)) for number in range(1, 11)))
        process = Process(stores, settings=replace(QUICK, batch_records_max=1), target_gate=weather)
        await process.store.open()
        weather.latency_seconds = 0.01
        draining = asyncio.ensure_future(process.relay.drain())
        await asyncio.sleep(0.045)
        weather.is_down = True
        with pytest.raises(StoreUnavailable):
            await draining
        assert await statuses(stores) == ["SYNCED"] * 4 + ["PENDING"] * 6
        assert {entry["syncAttempts"] for entry in await entries_of(stores, *range(1, 11))} == {0}
        await process.store.close()

    simulate(check())


def test_the_relay_outlives_an_outage_of_the_source() -> None:
    async def check() -> None:
        stores, source_weather = Stores(), Weather()
        await left_pending(stores, change_set_of(creation(1)))
        process, running = await started(stores, source_gate=source_weather)
        source_weather.is_down = True
        await asyncio.sleep(600)
        assert not process.target.breaker.is_open
        source_weather.is_down = False
        await asyncio.sleep(60)
        await stopped(process, running)
        await assert_promises(stores)
        assert process.relay.report.outages > 0
        assert process.relay.report.delivered.synced == 1

    simulate(check())


def test_two_relays_at_once_do_no_harm() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        await left_pending(stores, *(change_set_of(creation(number)) for number in range(1, 30)))
        relays = [Process(stores, target_gate=weather, dislike=too_long) for _ in range(2)]
        weather.latency_seconds = 0.01
        for process in relays:
            await process.store.open()
        await asyncio.gather(*(process.relay.drain() for process in relays))
        for process in relays:
            await process.store.close()
        await assert_promises(stores)

    simulate(check())


def test_the_report_tells_the_lag_of_the_oldest_entry() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        weather.is_down = True
        process, running = await started(stores, weather)
        await process.create(1)
        await asyncio.sleep(100)
        weather.is_down = False
        await asyncio.sleep(100)
        assert process.relay.report.lag_ms == 0
        assert process.relay.report.rounds > 2
        await stopped(process, running)

    simulate(check())
