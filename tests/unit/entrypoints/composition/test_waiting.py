"""While a store cannot be used yet, the log and readiness say why."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from domain.errors import StoreUnavailable
from entrypoints.composition.container import build_container
from entrypoints.composition.settings import read_settings
from entrypoints.composition.waiting import until_available


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    handler = logger.add(lines.append, format="{message}")
    yield lines
    logger.remove(handler)


async def test_every_repeated_call_is_logged_with_its_cause(log: list[str]) -> None:
    causes = ["Another copy is running.", "It refuses the password."]
    told: list[str] = []

    async def call() -> str:
        if causes:
            raise StoreUnavailable(causes.pop(0))
        return "open"

    answer = await until_available(
        call, store_name="mongo", within_seconds=5, on_failure=lambda error: told.append(error.message)
    )
    assert answer == "open"
    assert told == ["Another copy is running.", "It refuses the password."]
    assert ["Another copy is running." in log[0], "It refuses the password." in log[1]] == [True, True]


async def test_readiness_tells_what_a_starting_service_waits_for(tmp_path: Path) -> None:
    variables = {
        "APP_ENV": "test",
        "STORE": "dual",
        "DUAL_WRITE_SOURCE": "monty",
        "MONTY_STORAGE": "sqlite",
        "POSTGRES_URL": "postgresql://nobody@127.0.0.1:1/nothing",
        "DATA_DIR": str(tmp_path),
    }
    stack = build_container(read_settings(variables)).stack()
    stack.ownership.suspicion = "Another copy of this installation is running."
    opening = asyncio.create_task(stack.open(within_seconds=30))
    async with asyncio.timeout(10):
        while (await stack.components())["db"].detail != "Another copy of this installation is running.":
            stack.ownership.suspicion = "Another copy of this installation is running."
            await asyncio.sleep(0.01)
    opening.cancel()
    await asyncio.wait({opening})
    await stack.close()
