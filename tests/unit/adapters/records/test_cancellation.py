"""A cancellation that a driver loses is heeded all the same."""

import asyncio

import pytest

from adapters.records.cancellation import heeding_cancellation


async def lose_the_cancellation(*, fail: bool) -> None:
    """What `asyncio.wait_for` of Python 3.11 does where the result arrives together with the cancellation."""
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        if fail:
            raise ConnectionError from None


@pytest.mark.parametrize("fail", [False, True])
async def test_a_task_that_is_cancelled_once_ends_although_the_driver_loses_it(fail: bool) -> None:
    async def work() -> None:
        while True:
            try:
                with heeding_cancellation():
                    await lose_the_cancellation(fail=fail)
            except ConnectionError:
                continue

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()


async def test_a_time_out_around_it_stays_a_time_out() -> None:
    async def work() -> None:
        async with asyncio.timeout(0.01):
            with heeding_cancellation():
                await lose_the_cancellation(fail=False)

    with pytest.raises(TimeoutError):
        await work()


async def test_a_time_out_inside_it_is_no_cancellation() -> None:
    is_late = False
    with heeding_cancellation():
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        except TimeoutError:
            is_late = True
    assert is_late
