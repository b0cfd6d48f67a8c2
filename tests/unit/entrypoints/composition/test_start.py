import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.ownership.comparison import BEAT_SECONDS
from application.paging import PageRequest, Sort
from application.teams.roles import ListRoles
from domain.label import FIRST_LABELS
from domain.role import BUILT_IN_ROLES
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.settings import read_settings
from entrypoints.composition.start import add_roles, start
from tests.unit.builders import actor


@pytest.fixture
async def container(tmp_path: Path) -> AsyncIterator[Container]:
    variables = {"APP_ENV": "test", "STORE": "monty", "MONTY_STORAGE": "memory", "DATA_DIR": str(tmp_path)}
    built = build_container(read_settings(variables))
    yield built
    await built.stack().close()


async def test_a_started_application_has_its_roles_however_often_it_starts(container: Container) -> None:
    await start(container, within_seconds=5.0)
    before = await container.stack().source.scan("audit_logs", after=None, limit=100)
    await add_roles(container, within_seconds=5.0)

    page = await container.builder().build(ListRoles)(actor(), None, PageRequest(sort=Sort("createdAt")))
    assert {(role.scope, role.name) for role in page.items} == {
        (scope, name) for scope, name, *_ in BUILT_IN_ROLES
    }
    assert await container.stack().source.scan("audit_logs", after=None, limit=100) == before
    assert len(before) == len(BUILT_IN_ROLES) + len(FIRST_LABELS)


async def test_a_single_store_shows_again_and_again_that_its_process_is_alive(container: Container) -> None:
    await start(container, within_seconds=5.0)
    before = await silent_seconds(container)
    async with asyncio.timeout(3 * BEAT_SECONDS):
        while (now := await silent_seconds(container)) >= before:
            before = now
            await asyncio.sleep(0.05)


async def silent_seconds(container: Container) -> float:
    """For how long the process has not shown that it is alive."""
    stack = container.stack()
    lanes = (await stack.direction.raw_source.positions()).lanes.values()
    return min(lane.silent_seconds for lane in lanes if lane.by == stack.ownership.me)
