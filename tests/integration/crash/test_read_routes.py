"""Reads are routed over HTTP: whoever the target answers finds their own writes, through any process."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.integration.crash.tandem_process import ServiceProcess
from tests.integration.journeys.topologies import variables_of
from tests.servers.report import note_figures
from tests.unit.entrypoints.http.service import Json

PROCESSES = {"monty-to-postgres": 1, "mongo-to-postgres": 2}
COLLECTIONS = {1: "tasks", 2: "all"}
"""What is routed, by the number of processes."""
ROUNDS = 6
PATIENCE_SECONDS = 30.0


@contextmanager
def _services(mode: str, request: pytest.FixtureRequest) -> Iterator[tuple[Sequence[ServiceProcess], str]]:
    """Services in mode `relay`, where every write is unconfirmed at first, and the address of the target."""
    with variables_of(mode, request) as variables, ExitStack() as running:
        environment = {**variables, "DUAL_WRITE_MODE": "relay"}
        services = [
            ServiceProcess(
                f"service-{number}", environment=environment, directory=Path(variables["DATA_DIR"])
            )
            for number in range(PROCESSES[mode])
        ]
        for service in services:
            running.callback(service.kill)
            service.start_ready()
        yield services, variables["POSTGRES_URL"]


@dataclass
class Person:
    """Somebody with a client of each process. `echoes`: they send back the tokens that they get."""

    clients: Sequence[httpx.AsyncClient]
    echoes: bool
    token: str = "none"

    async def ask(self, method: str, path: str, body: Json | None = None, *, via: int = 0) -> Json:
        client = self.clients[via % len(self.clients)]
        headers = {"Tandem-Read-After": self.token} if self.echoes else {}
        answer = await client.request(method, path, json=body, headers=headers)
        assert answer.is_success, answer.text
        self.token = answer.headers.get("Tandem-Unconfirmed", self.token)
        found: Json = answer.json()
        return found


@asynccontextmanager
async def _signed_in(
    services: Sequence[ServiceProcess], email: str, *, echoes: bool = False
) -> AsyncIterator[Person]:
    clients = [httpx.AsyncClient(base_url=service.url, timeout=PATIENCE_SECONDS) for service in services]
    try:
        answer = await clients[0].post("/v1/auth/dev/token", json={"email": email})
        assert answer.status_code == 200, answer.text
        for client in clients:
            client.headers["Authorization"] = f"Bearer {answer.json()['accessToken']}"
        yield Person(clients, echoes)
    finally:
        for client in clients:
            await client.aclose()


async def _routed(operator: Person, collection: str, **shares: int) -> None:
    """Goes through the steps of a move until reads are routed."""
    for step in ("backfill", "verify"):
        job = await operator.ask("POST", f"/v1/move/{step}", {})
        async with asyncio.timeout(PATIENCE_SECONDS):
            while job["state"] == "RUNNING":
                await asyncio.sleep(0.05)
                job = await operator.ask("GET", f"/v1/move/jobs/{job['jobId']}")
        assert job["state"] == "DONE", job
    await operator.ask("POST", "/v1/move/routes", {"collection": collection, **shares})


async def _counted(service: ServiceProcess, name: str) -> int:
    """The sum of a counter over its labels."""
    async with httpx.AsyncClient(base_url=service.url) as client:
        text = (await client.get("/metrics")).text
    return sum(int(value) for value in re.findall(rf"^{name}{{.*}} (\d+)$", text, re.MULTILINE))


async def _until_target_answers(person: Person, services: Sequence[ServiceProcess], path: str) -> None:
    for place, service in enumerate(services):
        async with asyncio.timeout(PATIENCE_SECONDS / 3):
            while not await _counted(service, "tandem_route_reads_total"):
                await person.ask("GET", path, via=place)
                await asyncio.sleep(0.1)


async def _reads_own_writes(person: Person, path: str) -> None:
    """Writes through one process, and reads at once through the other."""
    for number in range(ROUNDS):
        title = f"Title {number} {person.echoes}"
        await person.ask("PATCH", path, {"title": title}, via=number)
        assert (await person.ask("GET", path, via=number + 1))["title"] == title
        listed = await person.ask("GET", f"/v1/tasks?q={number}&limit=50", via=number + 1)
        assert title in [one["title"] for one in listed["items"]]


async def _reads_behind_a_locked_target(writers: Sequence[Person], path: str, url: str) -> None:
    """The target answers reads and takes no writes: nobody but the writer may read what is older."""
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE postgres_tasks IN EXCLUSIVE MODE")
        for number, person in enumerate(writers):
            title = f"Behind a lock {number}"
            await person.ask("PATCH", path, {"title": title})
            for via in range(4):
                assert (await person.ask("GET", path, via=via))["title"] == title


async def _run(services: Sequence[ServiceProcess], url: str) -> None:
    async with (
        _signed_in(services, "operator@example.org") as operator,
        _signed_in(services, "operator@example.org", echoes=True) as echoing,
    ):
        task = await operator.ask("POST", "/v1/tasks", {"title": "First"})
        path = f"/v1/tasks/{task['id']}"
        await _routed(operator, COLLECTIONS[len(services)], targetPercent=100)
        await _until_target_answers(operator, services, path)
        for person in (operator, echoing):
            await _reads_own_writes(person, path)
        await _reads_behind_a_locked_target((operator, echoing), path, url)
        for person in (operator, echoing):
            await _reads_own_writes(person, path)
        status = await operator.ask("GET", "/v1/move")
        (tasks,) = [one for one in status["collections"] if one["collection"] == "tasks"]
        assert (tasks["route"]["store"], tasks["route"]["percent"]) == ("postgres", 100)
        assert tasks["route"]["fallbacks"] > 0
        answered = [await _counted(service, "tandem_route_reads_total") for service in services]
        fallbacks = [await _counted(service, "tandem_route_fallbacks_total") for service in services]
        note_figures("routed reads", answered=answered, fallbacks=fallbacks)
        assert all(answered)


@pytest.mark.parametrize(
    "mode", ["monty-to-postgres", pytest.param("mongo-to-postgres", marks=pytest.mark.torture)]
)
def test_everybody_reads_their_own_writes_whichever_store_answers(
    mode: str, request: pytest.FixtureRequest
) -> None:
    with _services(mode, request) as (services, url):
        asyncio.run(_run(services, url))
