"""Pages take about the same time, and a backfill gives way to requests."""

import asyncio

import pytest

from adapters.migration.throttle import (
    PAGE_MIN,
    REST_SECONDS_MAX,
    REST_SECONDS_MIN,
    PageSize,
    Speed,
    Throttle,
)
from adapters.records.loading import LOAD_MAX
from tests.unit.adapters.dual_write.virtual_time import simulate


def test_pages_grow_step_by_step_while_they_are_fast() -> None:
    size = PageSize()
    assert size.records == PAGE_MIN
    sizes = []
    for _ in range(9):
        size.note(size.records, 0.001)
        sizes.append(size.records)
    assert sizes[:3] == [100, 200, 400]
    assert sizes[-1] == LOAD_MAX


def test_slow_pages_shrink_at_once() -> None:
    size = PageSize()
    size.records = 1_000
    size.note(1_000, 3.0)
    assert size.records == 100
    size.note(100, 30.0)
    assert size.records == PAGE_MIN


def test_slow_requests_make_it_rest_longer_and_fast_ones_shorter() -> None:
    async def check() -> None:
        measured: list[float | None] = [40.0]
        throttle = Throttle(rate=None, latency=lambda: measured[0])

        async def rested(latency_ms: float | None) -> float:
            measured[0] = latency_ms
            began = asyncio.get_running_loop().time()
            await throttle.after_page(1)
            return asyncio.get_running_loop().time() - began

        assert await rested(59.0) == 0
        assert await rested(61.0) == pytest.approx(REST_SECONDS_MIN)
        assert await rested(61.0) == pytest.approx(2 * REST_SECONDS_MIN)
        rests = [await rested(61.0) for _ in range(9)]
        assert rests[-1] == pytest.approx(REST_SECONDS_MAX)
        assert await rested(None) == pytest.approx(REST_SECONDS_MAX / 2)

    simulate(check())


async def test_the_rate_is_that_of_all_workers_together() -> None:
    throttle = Throttle(rate=1_000, latency=lambda: None)
    began = asyncio.get_running_loop().time()
    await asyncio.gather(throttle.after_page(100), throttle.after_page(100))
    assert asyncio.get_running_loop().time() - began >= 0.19
    with pytest.raises(ValueError, match="rate"):
        Throttle(rate=0, latency=lambda: None)


async def test_the_time_left_is_a_range() -> None:
    speed = Speed()
    assert speed.eta_seconds(100) is None
    for records in (0, 100, 10):
        speed.note(records)
        await asyncio.sleep(0.02)
    best, worst = speed.eta_seconds(1_000_000) or (0, 0)
    assert 0 < best <= worst
