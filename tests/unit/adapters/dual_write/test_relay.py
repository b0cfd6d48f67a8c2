"""The relay repairs what requests left behind, outlives every outage, and gives up nothing."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace

import pytest

from adapters.dual_write.late_deliveries import HELD_UP_SECONDS_MAX
from adapters.dual_write.pace import CALM_PART_MAX
from adapters.dual_write.relay import Relay
from adapters.ownership.owned_stores import COMPARED_SECONDS_MAX
from adapters.records.change_set import ApplyOutcome, ChangeSet
from domain.errors import StoreUnavailable
from tests.unit.adapters.dual_write.virtual_time import simulate
from tests.unit.adapters.dual_write.world import (
    LABEL,
    PAUSED,
    QUICK,
    Process,
    Stores,
    assert_promises,
    change_set_of,
    creation,
    entries_of,
    left_pending,
    relaying,
    started,
    statuses,
    stopped,
    too_long,
)
from tests.unit.faults import Step, Weather
from tests.unit.memory_store import MemoryRecordStore


def test_an_outage_of_hours_parks_nothing_and_counts_no_attempt() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process, running = await relaying(stores, weather)
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
        process, running = await relaying(Stores(), weather)
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
        for _ in range(300):
            await asyncio.sleep(1)
            assert process.target.breaker.reason == "read only"
        assert await statuses(stores) == ["PENDING"] * 4
        await stopped(process, running)

    simulate(check())


def test_a_paused_relay_still_notices_that_the_target_came_back() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        weather.is_down = True
        process, running = await relaying(stores, weather, settings=PAUSED)
        await process.create(1)
        weather.is_down = False
        await asyncio.sleep(60)
        assert process.target.breaker.reason is None
        assert "apply" not in weather.calls
        assert await statuses(stores) == ["PENDING"]
        await stopped(process, running)

    simulate(check())


def test_a_paused_relay_still_asks_whether_the_target_is_another_one_now() -> None:
    async def check() -> None:
        weather = Weather()
        process, running = await relaying(Stores(), weather, settings=PAUSED)
        before = weather.calls.count("ping")
        await asyncio.sleep(10)
        assert weather.calls.count("ping") - before >= 9
        await stopped(process, running)

    simulate(check())


def test_a_frozen_target_is_caught_up_when_it_thaws() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process, running = await relaying(stores, weather)
        weather.freeze()
        for number in range(1, 10):
            await process.create(number)
        await asyncio.sleep(60)
        weather.thaw()
        await asyncio.sleep(60)
        await stopped(process, running)
        await assert_promises(stores)

    simulate(check())


def test_the_relay_leaves_young_entries_to_the_requests_that_wrote_them() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process, running = await relaying(stores, weather)
        weather.latency_seconds = QUICK.timeout_ms / 1000 * 0.9
        for number in range(1, 40):
            await process.create(number)
        assert weather.calls.count("apply") == 39
        await stopped(process, running)
        await assert_promises(stores)

    simulate(check())


def test_an_outage_in_the_middle_of_a_page_keeps_the_confirmed_marks() -> None:
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
        process, running = await relaying(stores, source_gate=source_weather)
        source_weather.is_down = True
        await asyncio.sleep(600)
        assert not process.target.breaker.is_open
        source_weather.is_down = False
        await asyncio.sleep(60)
        await stopped(process, running)
        await assert_promises(stores)

    simulate(check())


def test_a_source_that_takes_no_writes_keeps_the_relay_from_no_comparison() -> None:
    async def refuse_writes(step: Step) -> None:
        await asyncio.sleep(0.5)
        if step.operation in ("commit", "apply", "mark"):
            raise StoreUnavailable

    async def check() -> None:
        weather = Weather()
        process, running = await relaying(Stores(), weather, source_gate=refuse_writes)
        for _ in range(4):
            before = weather.calls.count("ping")
            await asyncio.sleep(COMPARED_SECONDS_MAX)
            assert weather.calls.count("ping") - before >= 2
        assert not process.target.breaker.is_open
        await stopped(process, running)

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


class SlowStore(MemoryRecordStore):
    """Takes longer for each call than one delivery may hold up the others."""

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        await asyncio.sleep(5 * HELD_UP_SECONDS_MAX)
        return await super().apply(change_sets)


def test_a_drain_delivers_what_waited_for_a_late_delivery_of_its_table() -> None:
    async def check() -> None:
        stores = Stores(target=SlowStore())
        count = CALM_PART_MAX + 10
        await left_pending(stores, *(change_set_of(creation(number)) for number in range(count)))
        process = await started(stores)
        await process.relay.drain()
        assert await statuses(stores) == ["SYNCED"] * count
        await process.store.close()
        await assert_promises(stores)

    simulate(check())


@pytest.mark.parametrize("work", [Relay.drain, Relay.run])
def test_a_relay_that_is_cancelled_delivers_nothing_more(
    work: Callable[[Relay], Coroutine[None, None, None]],
) -> None:
    async def check() -> None:
        stores = Stores(target=SlowStore())
        await left_pending(stores, change_set_of(creation(1)))
        process = await started(stores)
        process.relay.wake()
        working = asyncio.ensure_future(work(process.relay))
        await asyncio.sleep(3 * HELD_UP_SECONDS_MAX)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await asyncio.sleep(10 * HELD_UP_SECONDS_MAX)
        assert await statuses(stores) == ["PENDING"]
        assert await stores.target.scan(LABEL, after=None, limit=1) == []
        await process.store.close()

    simulate(check())
