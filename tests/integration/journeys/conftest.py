"""One service for each topology of stores, shared by all journeys; every journey brings people of its own.

Every journey is made in two store modes by turns, one over MontyDB and one over a server; the long form makes it in the
others, too.
"""

from collections.abc import AsyncIterator
from typing import Final
from zlib import crc32

import pytest
import pytest_asyncio

from tests.integration.journeys.service import JourneyService, Person, running
from tests.integration.journeys.topologies import DUAL, MODES, variables_of

TURNS: Final = ((DUAL, "mongo"), (DUAL, "postgres"), ("monty", "postgres"), ("monty", "mongo"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives the service in each store mode to a journey that names no topology itself."""
    named = {mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")}
    if "service" not in metafunc.fixturenames or "service" in named:
        return
    turn = TURNS[crc32(metafunc.function.__name__.encode()) % len(TURNS)]
    modes = [mode if mode in turn else pytest.param(mode, marks=pytest.mark.torture) for mode in MODES]
    metafunc.parametrize("service", modes, indirect=True, scope="session")


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def service(request: pytest.FixtureRequest) -> AsyncIterator[JourneyService]:
    """The service over a topology of stores, by indirect parametrization."""
    with variables_of(request.param, request) as variables:
        async with running(variables) as journey_service:
            yield journey_service


@pytest_asyncio.fixture(loop_scope="session")
async def anna(service: JourneyService) -> Person:
    """An ordinary user whom nobody knows yet."""
    return await service.newcomer()


@pytest_asyncio.fixture(loop_scope="session")
async def ben(service: JourneyService) -> Person:
    """Another one, who has nothing to do with Anna."""
    return await service.newcomer()
