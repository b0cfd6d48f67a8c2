"""A service with an empty store for each test of the interface; the application behind it is made once."""

from collections.abc import AsyncIterator
from functools import cache

import pytest

from tests.unit.entrypoints.http.service import Service


@cache
def shared_service() -> Service:
    return Service()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    running = shared_service()
    running.renew()
    yield running
    running.client.cookies.clear()
