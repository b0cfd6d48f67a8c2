"""A process that uses the source without a target is seen by a cut-over, which waits until it mirrors or has ended."""

import asyncio
from dataclasses import replace

import pytest

from adapters.migration.guards import guards_of
from adapters.ownership.comparison import BEAT_SECONDS
from application.ports.migration import Guard
from domain.migration import Phase, Step
from entrypoints.composition.container import Container
from entrypoints.composition.move_status import MoveReader
from tests.integration.ownership_world import serving, write


async def until_beaten(container: Container) -> None:
    """Waits until an idle process shows that it is alive."""
    stack, before = container.stack(), 0.0
    async with asyncio.timeout(3 * BEAT_SECONDS):
        while True:
            lanes = (await stack.direction.raw_source.positions()).lanes.values()
            now = min(lane.silent_seconds for lane in lanes if lane.by == stack.ownership.me)
            if now < before:
                return
            before = now
            await asyncio.sleep(0.05)


async def processes_guard(container: Container) -> Guard:
    reader = MoveReader(container.stack(), soak_seconds=0, clock=container.clock())
    guards = guards_of(await reader.situation(), step=Step.CUT_OVER)
    return next(one for one in guards if one.code == "processes")


@pytest.mark.parametrize("variables", ["mongo"], indirect=True)
async def test_a_process_without_a_target_holds_a_cut_over_back_until_it_has_ended(
    variables: dict[str, str],
) -> None:
    async with serving(variables) as mirroring:
        async with serving({**variables, "STORE": "mongo"}) as single:
            await write(single, 1)
            await until_beaten(single)
            guard = await processes_guard(mirroring)
            assert not guard.is_green
            assert str(single.stack().ownership.me) in guard.detail
            assert "STORE=dual" in guard.remedy
        assert (await processes_guard(mirroring)).is_green


@pytest.mark.parametrize("variables", ["mongo"], indirect=True)
async def test_a_process_whose_mirror_has_ended_goes_on_showing_that_it_is_alive(
    variables: dict[str, str],
) -> None:
    async with serving(variables) as container:
        stack = container.stack()
        await stack.ownership.change(lambda now: replace(now, mirror_to=None, phase=Phase.FINISHED))
        await stack.follow()
        assert stack.direction.target is None
        await until_beaten(container)
