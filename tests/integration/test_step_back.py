"""A collection whose shadow reads differ too often is routed no more, in every process, and the move says why."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from adapters.migration.guards import guards_of
from adapters.migration.setbacks import DIFFERENCES_MAX
from adapters.migration.steps import SHADOW_STEP, steps_of
from adapters.ownership import control
from adapters.ownership.control import Ownership
from domain.migration import Phase, Route, Step
from entrypoints.composition.container import Container
from entrypoints.composition.move_status import MoveReader
from entrypoints.composition.read_routing import HOLD_SECONDS
from tests.integration.ownership_world import serving, until, until_equal, write
from tests.unit.builders import ANNA, BEN
from tests.unit.contracts.builders import numbered_id

BENS_PERCENT = 5
SPLIT = {"tasks": Route(target_percent=BENS_PERCENT, shadow_percent=100 - BENS_PERCENT)}
"""The target answers Ben's reads, and repeats Anna's."""
TO_TARGET = {"tasks": Route(target_percent=100)}


@pytest.fixture
def variables(tmp_path: Path, prepared_postgres_url: str) -> dict[str, str]:
    return {
        "APP_ENV": "test",
        "STORE": "dual",
        "DATA_DIR": str(tmp_path / "data"),
        "MONTY_STORAGE": "sqlite",
        "POSTGRES_URL": prepared_postgres_url,
    }


async def _route(container: Container, routes: Mapping[str, Route]) -> None:
    stack = container.stack()
    await stack.ownership.change(lambda now: replace(now, routes=routes, phase=Phase.READING))
    await stack.read_routing.use_routes()


async def _read(container: Container, number: int, *, by: str = ANNA) -> str:
    """Reads the title of a task in a request of this caller."""
    stack = container.stack()
    entered = stack.read_routing.enter()
    try:
        await stack.read_routing.route(entered, by, None)
        found = await stack.store.fetch("tasks", [numbered_id(number)])
        title: str = found[numbered_id(number)]["title"]
        return title
    finally:
        stack.read_routing.leave(entered)


async def _until_read(container: Container, title: str, *, by: str) -> None:
    """Waits until this caller reads the title."""
    async with asyncio.timeout(10):
        while True:
            if await _read(container, 1, by=by) == title:
                return
            await asyncio.sleep(0.05)


async def _without_routes(container: Container) -> Ownership:
    """Waits until the control record has no routes."""
    async with asyncio.timeout(5):
        while True:
            await asyncio.sleep(0.05)
            owner = (await container.stack().ownership.required()).ownership
            if not owner.routes:
                return owner


async def _reported(container: Container, words: str) -> list[str]:
    """What the process has noted by itself, once these words are among it."""
    async with asyncio.timeout(5):
        while True:
            taken = await steps_of(container.stack().source)
            details = [one.detail for one in taken if one.step == SHADOW_STEP]
            if any(words in detail for detail in details):
                return details
            await asyncio.sleep(0.05)


async def test_too_many_differences_set_the_route_back_and_turn_the_guard_red(
    variables: dict[str, str],
) -> None:
    async with serving(variables) as container:
        stack = container.stack()
        await write(container, 1)
        await until_equal(container)
        with psycopg.connect(variables["POSTGRES_URL"]) as connection:
            connection.execute("UPDATE postgres_tasks SET title = 'tampered'")
        await _route(container, SPLIT)
        await _until_read(container, "tampered", by=BEN)
        for _ in range(DIFFERENCES_MAX + 1):
            assert await _read(container, 1) == "Task 1"
        await until(lambda: f'kind="CHANGED"}} {DIFFERENCES_MAX + 1}' in stack.render_metrics())
        assert await _read(container, 1, by=BEN) == "Task 1"
        assert (await _without_routes(container)).phase is Phase.VERIFIED
        details = await _reported(container, "stepped back")
        assert any("CHANGED, fields title" in detail for detail in details)
        assert not any("tampered" in detail for detail in details)
        reader = MoveReader(stack, soak_seconds=0, clock=container.clock())
        guards = {one.code: one for one in guards_of(await reader.situation(), step=Step.CUT_OVER)}
        assert not guards["shadow"].is_green
        assert "stepped back" in guards["shadow"].detail
        assert await _read(container, 1, by=BEN) == "Task 1"


async def test_nothing_routed_and_nothing_found_is_green(variables: dict[str, str]) -> None:
    async with serving(variables) as container:
        reader = MoveReader(container.stack(), soak_seconds=0, clock=container.clock())
        guards = {one.code: one for one in guards_of(await reader.situation(), step=Step.CUT_OVER)}
        assert guards["shadow"].is_green


async def test_an_unconfirmed_write_names_its_entries_and_waits_for_nobody_where_one_process_writes(
    variables: dict[str, str],
) -> None:
    async with serving({**variables, "DUAL_WRITE_MODE": "relay"}) as container:
        routing = container.stack().read_routing
        await _route(container, TO_TARGET)
        entered = routing.enter()
        await write(container, 7)
        assert entered.has_unconfirmed
        began = time.perf_counter()
        token = await routing.token_after(entered, None, is_echoing=False)
        routing.leave(entered)
        assert time.perf_counter() - began < HOLD_SECONDS
        held = await control.read(container.stack().source)
        assert held is not None
        assert token.startswith(f"{held.ownership.epoch}.{held.ownership.opening[:8]};")
        assert token.partition(";")[2] == entered.unconfirmed.entry_ids[0]
