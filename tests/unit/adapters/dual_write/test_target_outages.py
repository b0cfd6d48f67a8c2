"""A target that is down, frozen or slow costs requests at most one time-out, and the service nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from adapters.dual_write.bounded_calls import TimedOut
from adapters.dual_write.breaker import CircuitBreaker
from adapters.dual_write.late_calls import ANSWER_SECONDS_MAX, LateCalls, TakesLong
from domain.errors import StoreUnavailable
from tests.unit.adapters.dual_write.virtual_time import simulate
from tests.unit.adapters.dual_write.world import (
    LABEL,
    QUICK,
    Process,
    Stores,
    assert_promises,
    entries_of,
    recover,
    started,
    statuses,
)
from tests.unit.faults import Step, Weather

TIMEOUT = QUICK.timeout_ms / 1000


def elapsed_since(start: float) -> float:
    return asyncio.get_running_loop().time() - start


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_target_that_is_down_fails_no_request_and_is_caught_up_later() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process = await started(stores, weather)
        weather.is_down = True
        for number in range(1, 6):
            await process.create(number)
        assert await statuses(stores) == ["PENDING"] * 5
        assert weather.calls.count("apply") == QUICK.breaker_errors_max
        weather.is_down = False
        await process.store.close()
        await recover(stores)
        await assert_promises(stores)

    simulate(check())


def test_a_single_error_does_not_open_the_breaker() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process = await started(stores, weather)
        for number in range(1, 9):
            weather.failures_left = number % 2
            await process.create(number)
        assert not process.target.breaker.is_open
        assert weather.calls.count("apply") == 8
        await process.store.close()

    simulate(check())


def test_a_late_answer_does_not_hide_the_cause_that_the_target_named() -> None:
    async def check() -> None:
        breaker = CircuitBreaker(timeouts_max=1, errors_max=1)
        breaker.timed_out(TimedOut("It is late."))
        assert breaker.reason == "It is late."
        breaker.failed(StoreUnavailable("It takes no logins."))
        assert breaker.reason == "It takes no logins."
        breaker.timed_out(TimedOut("It is late."))
        assert breaker.reason == "It is late. Before: It takes no logins."
        breaker.close()
        breaker.timed_out(TimedOut("It is late."))
        assert breaker.reason == "It is late."

    simulate(check())


def test_a_time_out_that_was_no_outage_closes_only_what_it_has_opened() -> None:
    async def check() -> None:
        breaker = CircuitBreaker(timeouts_max=1, errors_max=1)
        early, late = TimedOut("It is late."), TimedOut("It is late.")
        reasons = []
        breaker.timed_out(early)
        for withdrawn in (early, early, late):
            breaker.withdraw(withdrawn)
            reasons.append(breaker.reason)
            breaker.timed_out(late)
        breaker.withdraw(early)
        reasons.append(breaker.reason)
        breaker.trip("It is compared first.", names_cause=False)
        breaker.withdraw(late)
        reasons.append(breaker.reason)
        assert reasons == [None, "It is late.", None, "It is late.", "It is compared first."]

    simulate(check())


@pytest.mark.parametrize("stops_after", [0.2, 0.8])
def test_a_store_that_stops_answering_during_a_call_is_not_taken_for_a_slow_one(stops_after: float) -> None:
    async def check() -> None:
        breaker, start = CircuitBreaker(timeouts_max=1, errors_max=1), now()

        async def ping() -> None:
            if now() - start >= stops_after:
                # It was frozen for a while.
                await asyncio.sleep(1.5)

        with pytest.raises(TimedOut):
            await _call_that_is_late(breaker, ping)
        assert breaker.opened_at is not None
        assert breaker.opened_at - start <= 1.0 + ANSWER_SECONDS_MAX + 0.001
        await asyncio.sleep(2.0)
        assert breaker.is_open

    simulate(check())


def test_a_call_that_is_late_beside_a_store_that_answers_is_no_outage() -> None:
    async def check() -> None:
        breaker = CircuitBreaker(timeouts_max=1, errors_max=1)
        with pytest.raises(TakesLong):
            await _call_that_is_late(breaker, lambda: asyncio.sleep(0.1))
        assert not breaker.is_open

    simulate(check())


async def _call_that_is_late(breaker: CircuitBreaker, ping: Callable[[], Awaitable[None]]) -> None:
    async with LateCalls(breaker, ping).judged(1_000):
        await asyncio.sleep(1.0)
        raise TimedOut("The call is late.")


def test_no_request_waits_longer_than_the_time_out_for_a_frozen_target() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process = await started(stores, weather)
        weather.freeze()
        start = now()
        await process.create(1)
        assert elapsed_since(start) <= TIMEOUT + 0.001
        weather.thaw()
        await process.store.close()

    simulate(check())


def test_all_waiting_requests_are_released_when_the_breaker_opens() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process = await started(stores, weather)
        weather.freeze()
        first = asyncio.ensure_future(process.create(1))
        await asyncio.sleep(TIMEOUT * 0.9)
        start = now()
        await asyncio.gather(*(process.create(number) for number in range(2, 52)))
        assert elapsed_since(start) <= TIMEOUT * 0.11
        assert first.done()
        weather.thaw()
        await process.store.close()

    simulate(check())


def test_no_request_waits_while_the_breaker_is_open() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process = await started(stores, weather)
        weather.freeze()
        await process.create(1)
        asked, start = len(weather.calls), now()
        for number in range(2, 102):
            await process.create(number)
        assert elapsed_since(start) == 0
        assert len(weather.calls) == asked
        weather.thaw()
        await process.store.close()
        await recover(stores)
        await assert_promises(stores)

    simulate(check())


def test_calls_that_hang_are_bounded_and_end_with_the_process() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        stubborn = replace(QUICK, breaker_timeouts_max=1_000)
        process = await started(stores, weather, settings=stubborn)
        weather.freeze()
        for number in range(1, 20):
            await process.create(number)
        assert process.target.abandoned == stubborn.abandoned_max
        start = now()
        await process.store.close()
        assert elapsed_since(start) <= 2 * stubborn.close_timeout_ms / 1000
        weather.thaw()
        await recover(stores)
        await assert_promises(stores)

    simulate(check())


def test_a_late_call_is_cancelled_and_has_no_late_effect() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process = await started(stores, weather)
        weather.latency_seconds = 2 * TIMEOUT
        await process.create(1)
        await asyncio.sleep(3 * TIMEOUT)
        assert process.target.abandoned == 0
        assert await stores.target.scan(LABEL, after=None, limit=1) == []
        await process.store.close()

    simulate(check())


def test_a_service_starts_although_its_target_is_down() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        weather.is_down = True
        process = await started(stores, weather)
        assert process.target.breaker.reason is not None
        await process.store.prepare()
        await process.create(1)
        weather.is_down = False
        running = asyncio.ensure_future(process.relay.run())
        await asyncio.sleep(2 * QUICK.probe_delay_seconds_max)
        assert not process.target.breaker.is_open
        assert "prepare" in weather.calls
        process.relay.stop()
        await running
        await process.store.close()
        await assert_promises(stores)

    simulate(check())


def test_a_service_starts_although_its_target_hangs() -> None:
    async def check() -> None:
        weather = Weather()
        weather.freeze()
        process = await started(Stores(), weather)
        assert now() <= QUICK.connect_timeout_ms / 1000 + 0.001
        assert process.target.breaker.is_open
        weather.thaw()
        await process.store.close()

    simulate(check())


def test_a_target_that_fails_in_an_unforeseen_way_fails_no_request() -> None:
    async def check() -> None:
        stores = Stores()

        async def stumble(step: Step) -> None:
            if step.operation == "apply":
                raise TypeError("a bug of the driver")

        process = Process(stores, target_gate=stumble)
        await process.store.open()
        await process.create(1)
        await process.store.close()
        (entry,) = await entries_of(stores, 1)
        assert (entry["syncStatus"], entry["syncAttempts"]) == ("FAILED", 1)
        assert "TypeError" in entry["syncError"]
        await recover(stores)
        await assert_promises(stores)

    simulate(check())


def test_an_answer_that_was_lost_leaves_no_duplicate() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process = await started(stores, weather)
        weather.answers_lost = 1
        await process.create(1)
        await process.edit(1, name="again")
        await process.store.close()
        await recover(stores)
        await assert_promises(stores)

    simulate(check())
