"""The process dies after a write is durable and before anybody is told: the same key finds what was done."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.crash.keyed_requests import Asked, clients_of, entries_written, is_replayed
from tests.integration.crash.postgres_proxy import PostgresProxy
from tests.integration.crash.tandem_process import ServiceProcess
from tests.integration.journeys.arrangements import variables_of
from tests.integration.mongo_proxy import MongoProxy
from tests.servers.mongo import MongoDatabase, StandInMongoServer
from tests.servers.postgres import OwnPostgresServer

POLLS_MAX, POLL_SECONDS = 600, 0.1
LONG_MS, SHORT_MS = "60000", "500"
"""How long a request waits for a target: more than the process has left to live, and as usual."""

Ambush = Callable[[Callable[[], None]], None]
"""Lies in wait for the next write: once it is durable, and before its answer, what is given happens."""


@asynccontextmanager
async def _mongo(
    own_mongo_server: StandInMongoServer,
) -> AsyncIterator[tuple[dict[str, str], dict[str, str], Ambush]]:
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
) -> AsyncIterator[tuple[dict[str, str], dict[str, str], Ambush]]:
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


@pytest.mark.parametrize("store", ["mongo", "postgres"])
async def test_another_process_tells_what_the_killed_one_could_not(
    store: str, data_directory: Path, request: pytest.FixtureRequest
) -> None:
    name = f"Garden {secrets.token_hex(8)}"
    arranged = (
        _mongo(request.getfixturevalue("own_mongo_server"))
        if store == "mongo"
        else _postgres(request.getfixturevalue("postgres_url"), name)
    )
    async with arranged as (shared, proxied, ambush):
        doomed, other = [
            ServiceProcess(
                name, environment={**variables, "DATA_DIR": str(data_directory)}, directory=data_directory
            )
            for name, variables in (("doomed", proxied), ("other", shared))
        ]
        try:
            await asyncio.to_thread(doomed.start_ready)
            await asyncio.to_thread(other.start_ready)
            await _die_and_ask(doomed, other, name, ambush)
        finally:
            doomed.kill()
            other.kill()


async def _die_and_ask(doomed: ServiceProcess, other: ServiceProcess, name: str, ambush: Ambush) -> None:
    # A project has no number that a commit of its own would have to reserve.
    key, asked = secrets.token_hex(8), Asked("POST", "/v1/projects", {"name": name})
    async with clients_of([doomed, other]) as (first, second):
        before = await entries_written(second)
        ambush(doomed.kill)
        with pytest.raises(httpx.TransportError):
            await asked.sent(first, key)
        told = await asked.sent(second, key)
        await asyncio.to_thread(doomed.start_ready)
        again = await asked.sent(first, key)
        assert (is_replayed(told), is_replayed(again)) == (True, True), told.text
        assert (told.status_code, told.content) == (again.status_code, again.content)
        assert (told.status_code, told.json()["name"]) == (201, name)
        assert await entries_written(second) - before == asked.entries


@pytest.mark.parametrize("source", ["monty", pytest.param("mongo", marks=pytest.mark.torture)])
async def test_who_is_killed_while_the_target_keeps_him_waiting_has_done_it_once(
    source: str, own_postgres_server: OwnPostgresServer, request: pytest.FixtureRequest
) -> None:
    with variables_of(f"{source}-to-postgres", request) as variables:
        variables["POSTGRES_URL"] = own_postgres_server.create_database()
        doomed, heir = [
            ServiceProcess(
                name,
                environment={**variables, "DUAL_WRITE_TIMEOUT_MS": patience_ms},
                directory=Path(variables["DATA_DIR"]),
            )
            for name, patience_ms in (("doomed", LONG_MS), ("heir", SHORT_MS))
        ]
        try:
            await asyncio.to_thread(doomed.start_ready)
            await _die_waiting(doomed, heir, own_postgres_server)
        finally:
            doomed.kill()
            heir.kill()


async def _die_waiting(doomed: ServiceProcess, heir: ServiceProcess, target: OwnPostgresServer) -> None:
    key, asked = secrets.token_hex(8), Asked("POST", "/v1/tasks", {"title": "Dig"})
    async with clients_of([doomed, doomed]) as (client, onlooker):
        target.freeze()
        waiting = asyncio.create_task(asked.sent(client, key))
        await _until(lambda: _titles(onlooker), ["Dig"])
        assert not waiting.done()
        await asyncio.to_thread(doomed.kill)
        with pytest.raises(httpx.TransportError):
            await waiting
    target.thaw()
    await asyncio.to_thread(heir.start_ready)
    async with clients_of([heir]) as (client,):
        before = await entries_written(client)
        told = await asked.sent(client, key)
        assert (told.status_code, is_replayed(told)) == (201, True), told.text
        assert await entries_written(client) == before
        assert await _titles(client) == ["Dig"]
        await _until(lambda: _sync_status(client, told.json()["id"]), "SYNCED")


async def _titles(client: httpx.AsyncClient) -> list[str]:
    answer = await client.get("/v1/tasks")
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


async def _sync_status(client: httpx.AsyncClient, task_id: str) -> str:
    answer = await client.get(f"/v1/sync/status/tasks/{task_id}")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["status"])


async def _until(read: Callable[[], Awaitable[object]], wanted: object) -> None:
    for _ in range(POLLS_MAX):
        if await read() == wanted:
            return
        await asyncio.sleep(POLL_SECONDS)
    raise AssertionError(f"still not {wanted}")
