"""A process shows that it is alive whatever else it waits for."""

import asyncio

import pytest

from adapters.ownership.heartbeat import Heartbeat
from domain.errors import StoreUnavailable
from tests.unit.adapters.dual_write.virtual_time import simulate


def test_a_store_that_hangs_does_not_silence_the_process_in_the_other_one() -> None:
    async def check() -> None:
        beats: list[float] = []

        async def hang() -> None:
            await asyncio.Event().wait()

        async def beat() -> None:
            beats.append(asyncio.get_running_loop().time())

        heartbeat = Heartbeat((hang, beat))
        heartbeat.start()
        heartbeat.start()
        await asyncio.sleep(7)
        await heartbeat.stop()
        await asyncio.sleep(7)
        assert beats == [0, 2, 4, 6]

    simulate(check())


@pytest.mark.parametrize("error", [StoreUnavailable("down"), OSError("disk"), ValueError("a bug")])
def test_a_beat_that_fails_is_repeated(error: Exception) -> None:
    async def check() -> None:
        beats: list[float] = []

        async def beat() -> None:
            beats.append(asyncio.get_running_loop().time())
            if len(beats) == 1:
                raise error

        heartbeat = Heartbeat((beat,))
        heartbeat.start()
        await asyncio.sleep(3)
        await heartbeat.stop()
        assert beats == [0, 2]

    simulate(check())
