"""One service for each topology of stores, shared by all journeys; every journey brings people of its own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.journeys.service import JourneyService, Person, running
from tests.integration.journeys.topologies import MODES, variables_of


@pytest_asyncio.fixture(loop_scope="session", scope="session", params=MODES)
async def service(request: pytest.FixtureRequest) -> AsyncIterator[JourneyService]:
    """The service in each of the four store modes; another topology by indirect parametrization."""
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
