"""The servers of the tests themselves: isolated per test, and harmed only by those who own them."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from redis import Redis

from tests.servers.directories import RunDirectory
from tests.servers.mongo import MongoDatabase, StandInMongoServer
from tests.servers.postgres import OwnPostgresServer
from tests.servers.processes import wait_until
from tests.servers.report import end_left_running
from tests.servers.sharing import AskedServers, OwnedServers

STALL_SECONDS = 0.3
ENDED_SECONDS_MAX = 10.0
FORK = """
from subprocess import DEVNULL, Popen
print(Popen(["sleep", "600"], stdout=DEVNULL, stderr=DEVNULL, start_new_session=True).pid)
"""
"""Starts a process that outlives its parent, and prints its id."""


@pytest.mark.parametrize("attempt", [1, 2])
def test_every_test_has_an_empty_postgres_database(postgres_url: str, attempt: int) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE notes (attempt bigint)")
        connection.execute("INSERT INTO notes VALUES (%s)", [attempt])
        assert connection.execute("SELECT attempt FROM notes").fetchall() == [(attempt,)]


@pytest.mark.parametrize("attempt", [1, 2])
def test_every_test_has_an_empty_redis_database(redis_url: str, attempt: int) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("attempt", attempt)


@pytest.mark.parametrize("attempt", [1, 2])
async def test_every_test_has_an_empty_replica_set_database(
    mongo_database: MongoDatabase, attempt: int
) -> None:
    async with AsyncMongoClient[dict[str, int]](mongo_database.uri) as client:
        notes = client[mongo_database.name]["notes"]
        async with client.start_session() as session, await session.start_transaction():
            await notes.insert_one({"_id": attempt}, session=session)
        assert await notes.find().to_list() == [{"_id": attempt}]


def test_all_who_ask_for_a_server_get_the_same_one_and_it_ends_with_its_owner(data_directory: Path) -> None:
    owned = OwnedServers(RunDirectory(data_directory))
    socket = owned.listen()
    try:
        url = AskedServers(socket).url("redis")
        assert {AskedServers(socket).url("redis"), owned.url("redis")} == {url}
        with Redis.from_url(url) as client:
            process = psutil.Process(client.info("server")["process_id"])
    finally:
        owned.close()
    wait_until(lambda: not process.is_running(), seconds_max=ENDED_SECONDS_MAX, reason="Redis did not end")


def test_a_process_that_a_test_left_running_is_found_named_and_ended(tmp_path: Path) -> None:
    forked = subprocess.run(
        [sys.executable, "-c", FORK], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    left = psutil.Process(int(forked.stdout))

    assert end_left_running([tmp_path]) == [f"process {left.pid}: sleep 600"]
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    assert end_left_running([tmp_path]) == []


async def test_the_text_server_finds_words(text_mongo_database: MongoDatabase) -> None:
    async with AsyncMongoClient[dict[str, str]](text_mongo_database.uri) as client:
        tasks = client[text_mongo_database.name]["tasks"]
        await tasks.create_index([("title", "text")])
        await tasks.insert_one({"_id": "1", "title": "paint the brave fence"})
        found = await tasks.find({"$text": {"$search": "brave"}}).to_list()
        assert [task["_id"] for task in found] == ["1"]


async def test_a_standalone_server_names_no_replica_set(standalone_mongo_server: StandInMongoServer) -> None:
    async with AsyncMongoClient[dict[str, str]](standalone_mongo_server.uri) as client:
        assert "setName" not in await client.admin.command("hello")


async def test_a_killed_document_server_restarts_with_its_acknowledged_writes(
    own_mongo_server: StandInMongoServer,
) -> None:
    async with AsyncMongoClient[dict[str, int]](own_mongo_server.uri, w="majority", journal=True) as client:
        await client["tandem"]["notes"].insert_one({"_id": 1})
    own_mongo_server.server.kill()
    own_mongo_server.server.restart()
    async with AsyncMongoClient[dict[str, int]](own_mongo_server.uri) as client:
        assert await client["tandem"]["notes"].find().to_list() == [{"_id": 1}]


async def test_a_frozen_document_server_answers_only_after_the_thaw(
    own_mongo_server: StandInMongoServer,
) -> None:
    async with AsyncMongoClient[dict[str, int]](
        own_mongo_server.uri, socketTimeoutMS=300, retryReads=False
    ) as client:
        await client.admin.command("ping")
        own_mongo_server.server.freeze()
        with pytest.raises(PyMongoError):
            await client.admin.command("ping")
        own_mongo_server.server.thaw()
        assert (await client.admin.command("ping"))["ok"] == 1


def test_a_frozen_postgres_answers_open_connections_only_after_the_thaw(
    own_postgres_server: OwnPostgresServer,
) -> None:
    with psycopg.connect(own_postgres_server.url, autocommit=True) as connection:
        connection.execute("SELECT 1")
        own_postgres_server.freeze()
        connection.pgconn.send_query(b"SELECT 42")
        deadline = time.monotonic() + STALL_SECONDS
        while time.monotonic() < deadline:
            connection.pgconn.consume_input()
            assert connection.pgconn.is_busy()
        own_postgres_server.thaw()
        result = connection.pgconn.get_result()
        assert result is not None
        assert result.get_value(0, 0) == b"42"
        assert connection.pgconn.get_result() is None


def test_a_killed_postgres_restarts_on_the_same_url(own_postgres_server: OwnPostgresServer) -> None:
    with psycopg.connect(own_postgres_server.url) as connection:
        connection.execute("CREATE TABLE notes AS SELECT 1 AS number")
    own_postgres_server.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(own_postgres_server.url)
    own_postgres_server.restart()
    with psycopg.connect(own_postgres_server.url) as connection:
        assert connection.execute("SELECT number FROM notes").fetchone() == (1,)
