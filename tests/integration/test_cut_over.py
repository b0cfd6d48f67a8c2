"""The change of ownership under writes, there and back, and what a start finds afterwards."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import perf_counter

import pytest

from adapters.ownership import control
from adapters.ownership.control import Gate, Role
from adapters.records.record_store import RecordStore
from domain.errors import TandemError
from entrypoints.composition.container import Container
from entrypoints.composition.ownership_moves import change_of_owner
from tests.integration.ownership_world import content, serving, task_ids, until_connected, until_equal
from tests.integration.source_turns import sources
from tests.servers.report import note_figures
from tests.unit.contracts.builders import change_set, entry, put, task

WRITERS = 2
MOVES = 4
DELIVERED_SECONDS_MAX = 6.0


class CoordinatorEnded(Exception):
    """Stands for a process that ends at this point."""


class Writers:
    """Create tasks without a pause, and count what was acknowledged, what failed, and the longest wait."""

    def __init__(self, container: Container) -> None:
        self._store = container.stack().store
        self._numbers = itertools.count(1)
        self.acknowledged: list[int] = []
        self.failures: list[str] = []
        self.longest_seconds = 0.0

    async def run(self) -> None:
        while True:
            number = next(self._numbers)
            change = put("tasks", task(number))
            began = perf_counter()
            try:
                await self._store.commit(change_set(change, entries=[entry(change)]))
            except TandemError as error:
                self.failures.append(repr(error))
            else:
                self.acknowledged.append(number)
            self.longest_seconds = max(self.longest_seconds, perf_counter() - began)
            await asyncio.sleep(0.02)


@asynccontextmanager
async def writing(container: Container) -> AsyncIterator[Writers]:
    """Writes while the body runs."""
    writers = Writers(container)
    tasks = [asyncio.create_task(writers.run()) for _ in range(WRITERS)]
    try:
        yield writers
    finally:
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def role_of(store: RecordStore) -> tuple[Role, Gate]:
    held = await control.read(store)
    assert held is not None
    return held.ownership.role, held.ownership.gate


async def test_the_owner_changes_there_and_back_without_a_lost_or_failed_write(
    variables: dict[str, str],
) -> None:
    async with serving(variables) as container:
        stack = container.stack()
        first, second = stack.raw_stores
        pauses = []
        async with writing(container) as writers:
            await asyncio.sleep(0.3)
            for _ in range(4):
                began = perf_counter()
                await change_of_owner(stack).run()
                pauses.append(round((perf_counter() - began) * 1000))
                await until_connected(container)
        assert writers.failures == []
        assert stack.source.name == first.name
        await until_equal(container, seconds=60)
        held = {task(number)["id"] for number in writers.acknowledged}
        assert held <= await task_ids(first)
        assert await content(first) == await content(second)
        note_figures(
            "ownership there and back",
            source=first.name,
            writes=len(writers.acknowledged),
            moves_ms=pauses,
            longest_write_ms=round(writers.longest_seconds * 1000),
        )


@pytest.mark.parametrize("variables", ["mongo"], indirect=True)
async def test_writes_of_another_process_wait_and_go_on_in_the_new_owner(variables: dict[str, str]) -> None:
    async with serving(variables) as first, serving(variables) as second:
        await until_connected(second)
        async with writing(second) as writers:
            await asyncio.sleep(0.3)
            await change_of_owner(first.stack()).run()
            await asyncio.sleep(1)
            assert second.stack().source.name == "postgres"
        assert writers.failures == []
        await until_equal(first, seconds=60)
        former, owner = first.stack().raw_stores
        held = {task(number)["id"] for number in writers.acknowledged}
        assert held <= await task_ids(owner)
        assert await content(former) == await content(owner)
        note_figures(
            "ownership moved by another process",
            writes=len(writers.acknowledged),
            longest_write_ms=round(writers.longest_seconds * 1000),
        )


@sources("variables", short="monty")
async def test_what_is_written_while_the_mirror_turns_round_is_delivered_at_once(
    variables: dict[str, str],
) -> None:
    """A relay that delivered from this store before has left a lease behind, which only expires after ten seconds."""
    async with serving(variables) as container:
        stack = container.stack()
        for number in range(1, MOVES + 1):
            await change_of_owner(stack).run()
            change = put("tasks", task(number))
            await stack.store.commit(change_set(change, entries=[entry(change)]))
            await until_connected(container)
            async with asyncio.timeout(DELIVERED_SECONDS_MAX):
                while True:
                    if not await stack.direction.undelivered():
                        break
                    await asyncio.sleep(0.05)


@sources("variables", short="mongo")
async def test_a_restart_finds_the_new_owner_whatever_the_settings_say(variables: dict[str, str]) -> None:
    async with serving(variables) as container:
        change = put("tasks", task(1))
        await container.stack().store.commit(change_set(change, entries=[entry(change)]))
        await change_of_owner(container.stack()).run()
        change = put("tasks", task(2))
        await container.stack().store.commit(change_set(change, entries=[entry(change)]))
    async with serving(variables) as container:
        stack = container.stack()
        assert stack.source.name == "postgres"
        change = put("tasks", task(3))
        await stack.store.commit(change_set(change, entries=[entry(change)]))
        await until_equal(container)
        former, owner = stack.raw_stores
        assert await role_of(owner) == (Role.OWNER, Gate.OPEN)
        assert await role_of(former) == (Role.MIRROR, Gate.CLOSED)
        assert len(await task_ids(former)) == 3


@sources("variables", short="monty")
async def test_a_rehearsal_leaves_the_owner_and_the_writes_as_they_were(variables: dict[str, str]) -> None:
    async with serving(variables) as container:
        stack = container.stack()
        async with writing(container) as writers:
            await asyncio.sleep(0.2)
            await change_of_owner(stack).rehearse()
            await asyncio.sleep(0.2)
        assert writers.failures == []
        assert await role_of(stack.direction.raw_source) == (Role.OWNER, Gate.OPEN)
        assert stack.source.name == variables["DUAL_WRITE_SOURCE"]
        await until_equal(container)


@sources("variables", short="mongo")
async def test_a_start_confirms_the_new_owner_where_the_coordinator_ended_right_after_the_decision(
    variables: dict[str, str],
) -> None:
    async with serving(variables) as container:
        change = put("tasks", task(1))
        await container.stack().store.commit(change_set(change, entries=[entry(change)]))
        undecided = change_of_owner(container.stack())
        with pytest.raises(CoordinatorEnded):
            await replace(undecided, follow=_end).run()
        _, successor = container.stack().raw_stores
        assert await role_of(successor) == (Role.OWNER, Gate.ARMED)
    async with serving(variables) as container:
        change = put("tasks", task(2))
        await container.stack().store.commit(change_set(change, entries=[entry(change)]))
        await until_equal(container)
        former, owner = container.stack().raw_stores
        assert await role_of(owner) == (Role.OWNER, Gate.OPEN)
        assert len(await task_ids(former)) == 2


async def _end() -> bool:
    raise CoordinatorEnded
