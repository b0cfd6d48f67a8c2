"""Servers for every test, started when the first test asks and ended with the run.

Each test process (also each worker of pytest-xdist) has servers of its own. POSTGRES_URL, MONGODB_URI and REDIS_URL
replace them. A server that cannot be had fails the tests that need it, with the reason; the summary names those used.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.directories import open_directory
from tests.servers.mongo import (
    MongoDatabase,
    MongoServer,
    StandInMongoServer,
    start_mongo_server,
    start_secantus,
    start_text_mongo_server,
)
from tests.servers.postgres import OwnPostgresServer, PostgresServer, start_postgres_server
from tests.servers.redis import OwnRedisServer, RedisServer, start_redis_server
from tests.servers.report import SERVERS_USED, summary_line


@pytest.fixture(scope="session")
def servers_directory() -> Iterator[Path]:
    """Where the servers of this process keep their data."""
    with open_directory() as directory:
        yield directory


@pytest.fixture
def data_directory() -> Iterator[Path]:
    """An empty DATA_DIR for one test of the service; unlike tmp_path, PostgreSQL's account can enter it."""
    with open_directory() as directory:
        yield directory


@pytest.fixture(scope="session")
def postgres_server(servers_directory: Path) -> Iterator[PostgresServer]:
    """The PostgreSQL server of this test process; do not harm it, others use it too."""
    server = start_postgres_server(servers_directory / "postgres")
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database for one test."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def own_postgres_server(data_directory: Path) -> Iterator[OwnPostgresServer]:
    """A PostgreSQL server with the product's settings for one test, which may kill and freeze it."""
    server = OwnPostgresServer(data_directory / "postgres")
    yield server
    server.close()


@pytest.fixture(scope="session")
def mongo_server(servers_directory: Path) -> Iterator[MongoServer]:
    """The MongoDB replica set of this test process; do not harm it, others use it too."""
    server = start_mongo_server(servers_directory / "mongo")
    yield server
    server.close()


@pytest.fixture
def mongo_database(mongo_server: MongoServer) -> Iterator[MongoDatabase]:
    """An unused database name on a replica set, dropped after the test."""
    database = MongoDatabase(mongo_server.uri)
    yield database
    database.drop()


@pytest.fixture
def own_mongo_server(data_directory: Path) -> Iterator[StandInMongoServer]:
    """A stand-in for MongoDB for one test, which may kill and freeze it."""
    server = start_secantus(data_directory / "mongo", is_durable=True)
    yield server
    server.close()


@pytest.fixture
def standalone_mongo_server(data_directory: Path) -> Iterator[StandInMongoServer]:
    """A stand-in for a MongoDB server that is not a replica set."""
    server = start_secantus(data_directory / "standalone", is_standalone=True)
    yield server
    server.close()


@pytest.fixture(scope="session")
def text_mongo_server(servers_directory: Path) -> Iterator[MongoServer]:
    """The server of this test process that has text indexes (and, unless MONGODB_URI is set, no replica set)."""
    server = start_text_mongo_server(servers_directory / "text_mongo")
    yield server
    server.close()


@pytest.fixture
def text_mongo_database(text_mongo_server: MongoServer) -> Iterator[MongoDatabase]:
    """An unused database name on the server that has text indexes, dropped after the test."""
    database = MongoDatabase(text_mongo_server.uri)
    yield database
    database.drop()


@pytest.fixture(scope="session")
def redis_server(servers_directory: Path) -> Iterator[RedisServer]:
    """The Redis server of this test process; do not harm it, others use it too."""
    server = start_redis_server(servers_directory / "redis")
    yield server
    server.close()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> Iterator[str]:
    """The URL of an empty Redis database for one test."""
    yield redis_server.url
    redis_server.empty()


@pytest.fixture
def own_redis_server(data_directory: Path) -> Iterator[OwnRedisServer]:
    """A Redis server for one test, which may kill and freeze it."""
    server = OwnRedisServer(data_directory / "redis")
    yield server
    server.close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands its servers to the process that prints the summary."""
    handed_over: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if handed_over is not None:
        handed_over["servers"] = dict(SERVERS_USED)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect what a worker of pytest-xdist used; a worker that crashed hands nothing over."""
    SERVERS_USED.update(getattr(node, "workeroutput", {}).get("servers", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which servers the tests ran against."""
    terminalreporter.write_line(summary_line())
