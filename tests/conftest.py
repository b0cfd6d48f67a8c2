"""Servers for every test, started when the first test asks for one and stopped at the end of the run.

All worker processes of pytest-xdist share them; every test has a database of its own. POSTGRES_URL, MONGODB_URI and
REDIS_URL replace them. A server that cannot be started fails the tests that need it, with the reason; the summary names
those used, and a process that a test left running fails the run.
"""

import tracemalloc  # noqa: F401 - pytest loads it where it reports: two threads at once find it half loaded
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.servers import directories
from tests.servers.directories import RunDirectory, open_directory
from tests.servers.mongo import MongoDatabase, MongoServer, StandInMongoServer, start_secantus
from tests.servers.postgres import OwnPostgresServer, PostgresServer
from tests.servers.redis import OwnRedisServer, RedisServer
from tests.servers.report import FIGURES, SERVERS_USED, end_left_running, summary_lines
from tests.servers.sharing import AskedServers, OwnedServers, SharedServers

SOCKET: Final = "servers_socket"
"""Where a worker of pytest-xdist asks for servers."""
DIRECTORY: Final = "run_directory"
SHARED_SERVERS: Final = pytest.StashKey[SharedServers]()
LEFT_RUNNING: Final = pytest.StashKey[Sequence[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """The process that runs pytest owns the servers, its workers ask it for them."""
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is None:
        config.stash[SHARED_SERVERS] = OwnedServers(directories.RUN)
    else:
        directories.RUN = RunDirectory(Path(given[DIRECTORY]))
        config.stash[SHARED_SERVERS] = AskedServers(Path(given[SOCKET]))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker learns where to ask."""
    owned = node.config.stash[SHARED_SERVERS]
    node.workerinput |= {SOCKET: str(owned.listen()), DIRECTORY: str(directories.RUN.path)}


@pytest.fixture(scope="session")
def shared_servers(pytestconfig: pytest.Config) -> SharedServers:
    """The servers that all tests of the run share."""
    return pytestconfig.stash[SHARED_SERVERS]


@pytest.fixture
def data_directory() -> Iterator[Path]:
    """An empty DATA_DIR for one test of the service; unlike tmp_path, PostgreSQL's account can enter it."""
    with open_directory() as directory:
        yield directory


@pytest.fixture(scope="session")
def postgres_server(shared_servers: SharedServers) -> Iterator[PostgresServer]:
    """The PostgreSQL server of the run; do not harm it, other tests use it too."""
    server = PostgresServer(shared_servers.url("postgres"))
    yield server
    server.drop_prepared()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database for one test."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def prepared_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a PostgreSQL database for one test that has every table and no row."""
    url = postgres_server.create_prepared_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def own_postgres_server(data_directory: Path) -> Iterator[OwnPostgresServer]:
    """A PostgreSQL server with the product's settings for one test, which may kill and freeze it."""
    server = OwnPostgresServer(data_directory / "postgres")
    yield server
    server.close()


@pytest.fixture(scope="session")
def mongo_server(shared_servers: SharedServers) -> MongoServer:
    """The MongoDB replica set of the run; do not harm it, other tests use it too."""
    return MongoServer(shared_servers.url("mongo"))


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
def text_mongo_server(shared_servers: SharedServers) -> MongoServer:
    """The server of the run that has text indexes (and, unless MONGODB_URI is set, no replica set)."""
    return MongoServer(shared_servers.url("text_mongo"))


@pytest.fixture
def text_mongo_database(text_mongo_server: MongoServer) -> Iterator[MongoDatabase]:
    """An unused database name on the server that has text indexes, dropped after the test."""
    database = MongoDatabase(text_mongo_server.uri)
    yield database
    database.drop()


@pytest.fixture(scope="session")
def redis_server(shared_servers: SharedServers) -> RedisServer:
    """The Redis server of the run, with the database of this test process; do not harm it."""
    return RedisServer.for_worker(shared_servers.url("redis"))


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


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the servers, end what tests left running, and fail the run where they left anything."""
    handed_over: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if handed_over is not None:
        # A worker of pytest-xdist hands its lines to the process that prints the summary.
        handed_over |= {"servers": dict(SERVERS_USED), "figures": list(FIGURES)}
        return
    owned = session.config.stash[SHARED_SERVERS]
    assert isinstance(owned, OwnedServers)
    owned.close()
    left = end_left_running([directories.RUN.path, *_temporary_directories(session.config)])
    session.config.stash[LEFT_RUNNING] = left
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    directories.RUN.remove()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect the lines of a worker of pytest-xdist; a worker that crashed hands nothing over."""
    handed_over = getattr(node, "workeroutput", {})
    SERVERS_USED.update(handed_over.get("servers", {}))
    FIGURES.extend(handed_over.get("figures", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which servers the tests ran against, what they left running, and how fast the machine is."""
    for line in summary_lines(terminalreporter.config.stash.get(LEFT_RUNNING, [])):
        terminalreporter.write_line(line)


def _temporary_directories(config: pytest.Config) -> list[Path]:
    """The directory that holds the `tmp_path` of every test of this run, also those of its workers."""
    factory = getattr(config, "_tmp_path_factory", None)
    return [] if factory is None else [factory.getbasetemp()]
