"""Sixteen people make tasks at once, in four processes where the store allows several: every number is one task's."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.integration.crash.shared_stores import services_on
from tests.integration.crash.tandem_process import ServiceProcess
from tests.integration.journeys.topologies import DUAL, MODES
from tests.unit.entrypoints.http.service import Json

CREATORS = 16
ROUNDS = 3
BULK = 4
PROCESSES = {"mongo": 4, "postgres": 4, "mongo-to-postgres": 4}
"""How many processes share a store; MontyDB belongs to one."""
SHORT = (DUAL, "postgres")
"""A store that belongs to one process, and one that several share; numbers come from the source, so a mirror is in."""
PATIENCE_SECONDS = 60.0


@asynccontextmanager
async def _clients(services: Sequence[ServiceProcess]) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A client of each process, all signed in as the same person."""
    clients = [httpx.AsyncClient(base_url=service.url, timeout=PATIENCE_SECONDS) for service in services]
    try:
        answer = await clients[0].post("/v1/auth/dev/token", json={"email": "anna@example.org"})
        assert answer.status_code == 200, answer.text
        for client in clients:
            client.headers["Authorization"] = f"Bearer {answer.json()['accessToken']}"
        yield clients
    finally:
        for client in clients:
            await client.aclose()


async def _create(client: httpx.AsyncClient, name: str) -> list[Json]:
    """Each round one task by itself and some together."""
    made: list[Json] = []
    for turn in range(ROUNDS):
        alone = await client.post("/v1/tasks", json={"title": f"{name} {turn}"})
        assert alone.status_code == 201, alone.text
        operations = [{"op": "create", "title": f"{name} {turn}.{place}"} for place in range(BULK)]
        together = await client.post("/v1/tasks/bulk", json={"operations": operations})
        assert together.status_code == 200, together.text
        made += [alone.json(), *(outcome["task"] for outcome in together.json()["outcomes"])]
    return made


async def _stored(client: httpx.AsyncClient) -> list[Json]:
    """Every task in the order of its number."""
    found: list[Json] = []
    address: str | None = "/v1/tasks?sort=displayId&limit=200"
    while address is not None:
        answer = await client.get(address)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        address = answer.links.get("next", {}).get("url")
    return found


async def _run(services: Sequence[ServiceProcess]) -> None:
    async with _clients(services) as clients:
        made = await asyncio.gather(
            *(_create(clients[number % len(clients)], f"Creator {number}") for number in range(CREATORS))
        )
        tasks = [task for each in made for task in each]
        stored = await _stored(clients[-1])
    assert len(tasks) == CREATORS * ROUNDS * (BULK + 1)
    doubled = {
        name: count for name, count in Counter(task["displayId"] for task in tasks).items() if count > 1
    }
    assert not doubled
    assert {task["id"]: task for task in stored} == {task["id"]: task for task in tasks}
    numbers = [int(task["displayId"].removeprefix("#")) for task in stored]
    assert numbers == sorted(numbers)
    for each in made:
        # Who makes one task after the other in one process counts upwards.
        own = [int(task["displayId"].removeprefix("#")) for task in each]
        assert own == sorted(own)


@pytest.mark.parametrize(
    "mode",
    [
        *SHORT,
        *(
            pytest.param(mode, marks=pytest.mark.torture)
            for mode in (*MODES, "mongo-to-postgres")
            if mode not in SHORT
        ),
    ],
)
def test_no_number_is_given_twice_and_no_task_is_lost(mode: str, request: pytest.FixtureRequest) -> None:
    with services_on(mode, request, processes=PROCESSES.get(mode, 1)) as services:
        asyncio.run(_run(services))
