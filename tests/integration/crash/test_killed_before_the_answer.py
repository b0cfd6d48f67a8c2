"""The process is killed after a write is durable and before it is answered: the same key returns the stored answer."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.crash.keyed_requests import KeyedRequest, clients_of, entries_written, is_replayed
from tests.integration.crash.postgres_proxy import PostgresProxy
from tests.integration.crash.tandem_process import ServiceProcess
from tests.integration.journeys.topologies import variables_of
from tests.integration.mongo_proxy import MongoProxy
from tests.servers.mongo import MongoDatabase, StandInMongoServer
from tests.servers.postgres import OwnPostgresServer

POLLS_MAX, POLL_SECONDS = 600, 0.1
LONG_MS, SHORT_MS = "60000", "500"
"""DUAL_WRITE_TIMEOUT_MS: longer than the process will live, and a usual one."""

AtCommit = Callable[[Callable[[], None]], None]
"""Registers a callback that runs once the next write is durable and before it is answered."""


@asynccontextmanager
async def _mongo(
    own_mongo_server: StandInMongoServer,
) -> AsyncIterator[tuple[dict[str, str], dict[str, str], AtCommit]]:
    database = MongoDatabase(own_mongo_server.uri)
    proxy = MongoProxy(own_mongo_server.server.port)
    await proxy.open()
    shared = {"STORE": "mongo", "MONGODB_URI": database.uri, "DB_NAME": database.name}
    proxied = {**shared, "MONGODB_URI": f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"}
    try:
        yield shared, proxied, lambda then: proxy.lose_answer_to(b"commitTransaction", then=then)
        assert proxy.lost == 1
    finally:
        await proxy.close()


@asynccontextmanager
async def _postgres(
    postgres_url: str, words: str
) -> AsyncIterator[tuple[dict[str, str], dict[str, str], AtCommit]]:
    proxy = PostgresProxy(postgres_url)
    await proxy.open()
    shared = {"STORE": "postgres", "POSTGRES_URL": postgres_url}
    try:
        yield (
            shared,
            {**shared, "POSTGRES_URL": proxy.url},
            lambda then: proxy.lose_answer_to(words.encode(), then=then),
        )
        assert proxy.lost == 1
    finally:
        await proxy.close()


@pytest.mark.parametrize("store", [pytest.param("mongo", marks=pytest.mark.torture), "postgres"])
async def test_another_process_returns_the_answer_that_the_killed_one_did_not(
    store: str, data_directory: Path, request: pytest.FixtureRequest
) -> None:
    name = f"Garden {secrets.token_hex(8)}"
    topology = (
        _mongo(request.getfixturevalue("own_mongo_server"))
        if store == "mongo"
        else _postgres(request.getfixturevalue("prepared_postgres_url"), name)
    )
    async with topology as (shared, proxied, at_commit):
        killed, other = [
            ServiceProcess(
                name, environment={**variables, "DATA_DIR": str(data_directory)}, directory=data_directory
            )
            for name, variables in (("killed", proxied), ("other", shared))
        ]
        try:
            await asyncio.to_thread(killed.start_ready)
            await asyncio.to_thread(other.start_ready)
            await _kill_and_repeat(killed, other, name, at_commit)
        finally:
            killed.kill()
            other.kill()


async def _kill_and_repeat(
    killed: ServiceProcess, other: ServiceProcess, name: str, at_commit: AtCommit
) -> None:
    # A project has no number that a commit of its own would have to reserve.
    key, keyed = secrets.token_hex(8), KeyedRequest("POST", "/v1/projects", {"name": name})
    async with clients_of([killed, other]) as (first, second):
        before = await entries_written(second)
        at_commit(killed.kill)
        with pytest.raises(httpx.TransportError):
            await keyed.send(first, key)
        answer = await keyed.send(second, key)
        await asyncio.to_thread(killed.start_ready)
        again = await keyed.send(first, key)
        assert (is_replayed(answer), is_replayed(again)) == (True, True), answer.text
        assert (answer.status_code, answer.content) == (again.status_code, again.content)
        assert (answer.status_code, answer.json()["name"]) == (201, name)
        assert await entries_written(second) - before == keyed.entries


@pytest.mark.parametrize("source", ["monty", pytest.param("mongo", marks=pytest.mark.torture)])
async def test_a_request_whose_process_is_killed_while_the_target_hangs_is_carried_out_once(
    source: str, own_postgres_server: OwnPostgresServer, request: pytest.FixtureRequest
) -> None:
    with variables_of(f"{source}-to-postgres", request) as variables:
        variables["POSTGRES_URL"] = own_postgres_server.create_database()
        killed, successor = [
            ServiceProcess(
                name,
                environment={**variables, "DUAL_WRITE_TIMEOUT_MS": timeout_ms},
                directory=Path(variables["DATA_DIR"]),
            )
            for name, timeout_ms in (("killed", LONG_MS), ("successor", SHORT_MS))
        ]
        try:
            await asyncio.to_thread(killed.start_ready)
            await _kill_while_waiting(killed, successor, own_postgres_server)
        finally:
            killed.kill()
            successor.kill()


async def _kill_while_waiting(
    killed: ServiceProcess, successor: ServiceProcess, target: OwnPostgresServer
) -> None:
    key, keyed = secrets.token_hex(8), KeyedRequest("POST", "/v1/tasks", {"title": "Dig"})
    async with clients_of([killed, killed]) as (client, reader):
        target.freeze()
        waiting = asyncio.create_task(keyed.send(client, key))
        await _until(lambda: _titles(reader), ["Dig"])
        assert not waiting.done()
        await asyncio.to_thread(killed.kill)
        with pytest.raises(httpx.TransportError):
            await waiting
    target.thaw()
    await asyncio.to_thread(successor.start_ready)
    async with clients_of([successor]) as (client,):
        before = await entries_written(client)
        answer = await keyed.send(client, key)
        assert (answer.status_code, is_replayed(answer)) == (201, True), answer.text
        assert await entries_written(client) == before
        assert await _titles(client) == ["Dig"]
        await _until(lambda: _sync_status(client, answer.json()["id"]), "SYNCED")


async def _titles(client: httpx.AsyncClient) -> list[str]:
    answer = await client.get("/v1/tasks")
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


async def _sync_status(client: httpx.AsyncClient, task_id: str) -> str:
    answer = await client.get(f"/v1/sync/status/tasks/{task_id}")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["status"])


async def _until(read: Callable[[], Awaitable[object]], expected: object) -> None:
    for _ in range(POLLS_MAX):
        if await read() == expected:
            return
        await asyncio.sleep(POLL_SECONDS)
    raise AssertionError(f"still not {expected}")
