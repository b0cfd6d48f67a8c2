"""A drain leaves room for requests, and takes all of the time when there are none."""

import asyncio

from adapters.dual_write.grouping import Entries, key_of
from adapters.dual_write.pace import (
    CALM_PART_MAX,
    CALM_SECONDS,
    PART_MAX,
    QUIET_SECONDS,
    REST_SECONDS_MAX,
    REST_SHARE,
    Pace,
)
from tests.unit.adapters.dual_write.virtual_time import simulate
from tests.unit.adapters.dual_write.world import (
    LABEL,
    PAUSED,
    Process,
    Stores,
    assert_promises,
    change_set_of,
    creation,
    entries_of,
    left_pending,
    statuses,
)
from tests.unit.builders import numbered_id
from tests.unit.faults import Weather

BACKLOG = 500
LATENCY_SECONDS = 0.1
PARTS = BACKLOG // PART_MAX
TOOK_SECONDS = 0.125


async def _rest_seconds(pace: Pace, took_seconds: float) -> float:
    clock = asyncio.get_running_loop()
    began = clock.time()
    await pace.rest(took_seconds)
    return clock.time() - began


def test_the_rest_is_in_proportion_to_the_part_while_requests_are_served_and_none_otherwise() -> None:
    async def check() -> None:
        pace = Pace()
        assert await _rest_seconds(pace, TOOK_SECONDS) == 0
        pace.note_request()
        assert round(await _rest_seconds(pace, TOOK_SECONDS), 6) == TOOK_SECONDS * REST_SHARE
        pace.note_request()
        assert round(await _rest_seconds(pace, 60), 6) == REST_SECONDS_MAX
        pace.note_request()
        await asyncio.sleep(TOOK_SECONDS + QUIET_SECONDS)
        assert await _rest_seconds(pace, TOOK_SECONDS) == 0

    simulate(check())


def test_a_request_that_came_during_a_long_part_counts() -> None:
    async def check() -> None:
        pace = Pace()
        pace.note_request()
        await asyncio.sleep(TOOK_SECONDS)
        assert round(await _rest_seconds(pace, TOOK_SECONDS), 6) == TOOK_SECONDS * REST_SHARE

    simulate(check())


def test_parts_are_small_and_what_shares_a_record_or_a_change_set_stays_together() -> None:
    async def check() -> None:
        stores = Stores()
        paused = Process(stores, settings=PAUSED)
        for first in range(1, 91, 3):
            await paused.create(first, first + 1, first + 2)
        for _ in range(PART_MAX + 20):
            await paused.edit(7, color="#102030")
        page = await entries_of(stores, *range(1, 91))
        pace = Pace()
        pace.note_request()
        parts = list(pace.parts(page))
        assert sorted(entry["id"] for part in parts for entry in part) == [entry["id"] for entry in page]
        assert [len(part) for part in parts if len(part) > PART_MAX] == [PART_MAX + 23]
        for keys in (_records, _change_sets):
            seen = [key for part in parts for key in keys(part)]
            assert len(seen) == len(set(seen))

    simulate(check())


def test_parts_are_larger_once_no_request_has_come_for_a_while() -> None:
    async def check() -> None:
        stores, pace = Stores(), Pace()
        numbers = range(1, CALM_PART_MAX + 1)
        await left_pending(stores, *(change_set_of(creation(number)) for number in numbers))
        page = await entries_of(stores, *numbers)
        pace.note_request()
        assert {len(part) for part in pace.parts(page)} == {PART_MAX}
        await asyncio.sleep(CALM_SECONDS)
        assert [len(part) for part in pace.parts(page)] == [CALM_PART_MAX]

    simulate(check())


def _records(part: Entries) -> set[tuple[str, str]]:
    return {key_of(entry) for entry in part}


def _change_sets(part: Entries) -> set[str]:
    return {entry["changeSetId"] for entry in part}


def test_a_backlog_drains_slowly_beside_requests_and_fast_without_them() -> None:
    async def check() -> None:
        assert await _drain_seconds(requests=False) <= (BACKLOG // CALM_PART_MAX + 3) * LATENCY_SECONDS
        beside = await _drain_seconds(requests=True)
        assert beside >= PARTS * LATENCY_SECONDS * (1 + REST_SHARE)
        assert beside <= (PARTS + 3) * (LATENCY_SECONDS + REST_SECONDS_MAX)

    simulate(check())


async def _drain_seconds(*, requests: bool) -> float:
    """How long the relay takes for the backlog, with a request every ten milliseconds or none."""
    stores, weather = Stores(), Weather()
    await left_pending(stores, *(change_set_of(creation(number)) for number in range(1, BACKLOG + 1)))
    weather.latency_seconds = LATENCY_SECONDS
    process = Process(stores, target_gate=weather)
    await process.store.open()
    reading = asyncio.ensure_future(_read(process)) if requests else None
    clock = asyncio.get_running_loop()
    began = clock.time()
    await process.relay.drain()
    seconds = clock.time() - began
    if reading is not None:
        reading.cancel()
    await process.store.close()
    assert await statuses(stores) == ["SYNCED"] * BACKLOG
    await assert_promises(stores)
    return seconds


async def _read(process: Process) -> None:
    while True:
        await process.store.fetch(LABEL, [numbered_id(1)])
        await asyncio.sleep(0.01)
