"""One write, stopped at every step of its way through the real mirrored store, and repaired by the next process."""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from adapters.dual_write.settings import DualWriteSettings, MirrorMode
from adapters.records.record import VERSION
from adapters.records.specs import AUDIT_LOGS
from domain.audit import SyncStatus
from tests.unit.adapters.dual_write.virtual_time import advance, simulate
from tests.unit.adapters.dual_write.world import (
    LABEL,
    Process,
    Stores,
    assert_promises,
    deliver_everything,
    end,
    recover,
    statuses,
)
from tests.unit.builders import numbered_id
from tests.unit.faults import Weather

STEPS_MAX = 500
TURN_SECONDS = 0.001
FIRST = numbered_id(1)

Scenario = Callable[[Process], Awaitable[None]]


async def walk(steps: int) -> None:
    """Lets everything else in this loop take so many steps, a little time apart, so that timers take part."""
    for _ in range(steps):
        await asyncio.sleep(0)
        advance(TURN_SECONDS)


async def steps_of(scenario: Scenario, prepared: Callable[[], Awaitable[Stores]]) -> int:
    """How many steps the scenario and everything it leaves running take when nothing goes wrong."""
    process = Process(await prepared())
    task = asyncio.ensure_future(scenario(process))
    before = asyncio.all_tasks() - {task}
    steps = 0
    while asyncio.all_tasks() - before:
        await walk(1)
        steps += 1
        assert steps < STEPS_MAX
    await task
    return steps


async def crash_after(steps: int, scenario: Scenario, process: Process) -> None:
    """Runs the scenario for so many steps, then nothing of the process has any effect any more."""
    task = asyncio.ensure_future(scenario(process))
    await walk(steps)
    process.kill()
    await end([task])


async def picture(stores: Stores) -> str:
    """The state of the two stores without the ids of entries, which differ each time."""
    versions = [
        [record.get(VERSION) for record in await store.scan(name, after=None, limit=10)]
        for store in (stores.source, stores.target)
        for name in (LABEL, AUDIT_LOGS.collection)
    ]
    return repr((await statuses(stores), versions))


async def copied(stores: Stores) -> Stores:
    """The same state again, to be changed independently."""
    return copy.deepcopy(stores)


async def nothing_yet() -> Stores:
    return Stores()


async def two_labels() -> Stores:
    stores = Stores()
    process = Process(stores)
    await process.store.open()
    await process.create(1, 2)
    await process.store.close()
    return stores


async def create_two(process: Process) -> None:
    await process.store.open()
    await process.create(1, 2)


async def edit_one(process: Process) -> None:
    await process.store.open()
    await process.edit(1, name="urgent")


async def edit_two_together(process: Process) -> None:
    await process.store.open()
    await process.edit(1, 2, color="#123456")


async def edit_and_close(process: Process) -> None:
    await process.store.open()
    await process.edit(1, name="urgent")
    await process.store.close()


SCENARIOS = [
    pytest.param(create_two, nothing_yet, id="create two"),
    pytest.param(edit_one, two_labels, id="edit one"),
    pytest.param(edit_two_together, two_labels, id="edit two together"),
    pytest.param(edit_and_close, two_labels, id="edit and close"),
]


@pytest.mark.parametrize(("scenario", "prepared"), SCENARIOS)
@pytest.mark.parametrize("mode", list(MirrorMode))
def test_a_crash_at_any_step_is_repaired_by_the_next_process(
    scenario: Scenario, prepared: Callable[[], Awaitable[Stores]], mode: MirrorMode
) -> None:
    async def check() -> None:
        settings = DualWriteSettings(mark_interval_ms=10, mode=mode)
        left_behind: set[tuple[str, ...]] = set()
        for steps in range(await steps_of(scenario, prepared) + 1):
            stores = await prepared()
            await crash_after(steps, scenario, Process(stores, settings=settings))
            left_behind.add(tuple(await statuses(stores)))
            await recover(stores)
            await assert_promises(stores)
        # The walk is worth something only if it met a write that was durable and not yet mirrored.
        assert any(SyncStatus.PENDING in found for found in left_behind)
        assert () in left_behind or any(SyncStatus.PENDING not in found for found in left_behind)

    simulate(check())


@pytest.mark.parametrize(("scenario", "prepared"), SCENARIOS)
def test_a_change_set_is_never_half_there_in_either_store(
    scenario: Scenario, prepared: Callable[[], Awaitable[Stores]]
) -> None:
    async def check() -> None:
        for steps in range(await steps_of(scenario, prepared) + 1):
            stores = await prepared()
            await crash_after(steps, scenario, Process(stores))
            for store in (stores.source, stores.target):
                labels = await store.scan(LABEL, after=None, limit=10)
                entries = await store.scan("audit_logs", after=None, limit=10)
                assert sum(label[VERSION] for label in labels) == len(entries)
                if scenario is not edit_one and scenario is not edit_and_close:
                    assert len({label[VERSION] for label in labels}) <= 1

    simulate(check())


def test_a_crash_of_the_repair_at_any_step_is_repaired_by_the_next_one() -> None:
    async def check() -> None:
        met: set[str] = set()
        for steps in range(await steps_of(edit_two_together, two_labels) + 1):
            stores = await two_labels()
            await crash_after(steps, edit_two_together, Process(stores))
            left_behind = await picture(stores)
            if left_behind in met:
                continue
            met.add(left_behind)
            for repair_steps in range(await steps_of(deliver_everything, partial(copied, stores)) + 1):
                again = await copied(stores)
                await crash_after(repair_steps, deliver_everything, Process(again))
                await recover(again)
                await assert_promises(again)
        # Before the write; durable in the source; in both; noted.
        assert len(met) == 4

    simulate(check())


def test_a_cancelled_request_loses_nothing_at_any_step() -> None:
    async def check() -> None:
        for steps in range(await steps_of(edit_one, two_labels) + 1):
            stores = await two_labels()
            process = Process(stores)
            request = asyncio.ensure_future(edit_one(process))
            await walk(steps)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
            await process.store.close()
            await recover(stores)
            await assert_promises(stores)

    simulate(check())


def test_a_request_cancelled_while_it_waits_for_the_target_is_mirrored_all_the_same() -> None:
    async def check() -> None:
        stores, weather = await two_labels(), Weather()
        process = Process(stores, target_gate=weather)
        await process.store.open()
        weather.latency_seconds = 0.1
        request = asyncio.ensure_future(process.edit(1, name="urgent"))
        await asyncio.sleep(weather.latency_seconds / 2)
        assert "apply" in weather.calls
        request.cancel()
        await process.store.close()
        assert request.cancelled()
        assert (await stores.target.fetch(LABEL, (FIRST,)))[FIRST][VERSION] == 2
        await assert_promises(stores)

    simulate(check())
