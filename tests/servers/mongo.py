"""MongoDB for tests: the server MONGODB_URI names, or stand-ins that speak its wire protocol and are not MongoDB.

`secantusdb` has transactions and no text index; `nx-27017` has a text index and no replica set. Each says so in the
summary of the run.
"""

import os
import secrets
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.servers.processes import PortServer, free_port
from tests.servers.report import note

SELECTION_MS_MAX = 10_000
DROP_SECONDS_MAX = 90.0
SECANTUS_SERVER = Path(__file__).with_name("secantus_server.py")
TRANSACTION_SECONDS = 60.0
"""After this MongoDB ends a transaction that is still open."""


@dataclass(frozen=True, slots=True)
class MongoDatabase:
    """One database for one test: where the server is, and the name nobody else uses."""

    uri: str
    name: str = field(default_factory=lambda: f"tandem_test_{secrets.token_hex(6)}")

    def drop(self) -> None:
        """Remove the database. Raises an error of the driver if an open transaction keeps it for too long."""
        with pymongo.timeout(DROP_SECONDS_MAX), _client(self.uri) as client:
            client.drop_database(self.name)


class MongoServer:
    """A server by its `uri`; a plain one is not ours, so there is nothing to stop."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @classmethod
    def external(cls, uri: str) -> "MongoServer":
        """The server MONGODB_URI names, which must be a replica set."""
        try:
            with _client(uri) as client:
                release = client.server_info()["version"]
                name = client.admin.command("hello").get("setName")
        except PyMongoError as error:
            pytest.fail(f"MONGODB_URI is set, but the server does not answer: {error}")
        if name is None:
            pytest.fail(
                "MONGODB_URI names a standalone server; transactions need a replica set of at least one node"
            )
        note("MongoDB", f"MongoDB {release} (MONGODB_URI)")
        return cls(uri)

    @property
    def url(self) -> str:
        """The `uri`, by the name that it has for servers of every kind."""
        return self.uri

    def close(self) -> None:
        """Nothing to stop: the server is not ours."""


class StandInMongoServer(MongoServer):
    """A stand-in of the test's own; `server` kills, freezes, thaws and restarts it on the same port and data."""

    def __init__(self, command: list[str], *, port: int, directory: Path, options: str = "") -> None:
        self.server = PortServer(command, port=port, log=directory / "server.log")
        super().__init__(f"mongodb://127.0.0.1:{port}/{options}")

    def close(self) -> None:
        """End the stand-in; its data is thrown away, so a graceful stop (two seconds) would be wasted."""
        self.server.kill()


def start_secantus(
    directory: Path,
    *,
    is_standalone: bool = False,
    is_durable: bool = False,
    transaction_seconds: float = TRANSACTION_SECONDS,
) -> StandInMongoServer:
    """A one-node replica set named `secantus`, or a server without a replica set.

    Not `is_durable`, the stand-in ignores `j: true` at commitTransaction: a SIGKILL may lose acknowledged transactions.
    A transaction that nobody uses for `transaction_seconds` is ended.
    """
    release = _release("secantusdb")
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    # -P, because the modules beside the program have names of packages.
    command = [sys.executable, "-P", str(SECANTUS_SERVER), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--storage-path", str(directory / "data"), "--cache-size", "64M", "--log-level", "WARNING"]
    command += ["--transaction-seconds", str(transaction_seconds)]
    if is_durable:
        command.append("--sync-on-commit")
    note("MongoDB", f"secantusdb {release} standing in for MongoDB")
    if is_standalone:
        return StandInMongoServer([*command, "--standalone"], port=port, directory=directory)
    return StandInMongoServer(command, port=port, directory=directory, options="?replicaSet=secantus")


def start_nx(directory: Path) -> StandInMongoServer:
    """A server with text indexes over SQLite, without a replica set."""
    release = _release("nx-27017")
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "nx_27017.nx_27017", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--data-dir", str(directory / "data")]
    command += ["--log-file", str(directory / "nx.log"), "--pid-file", str(directory / "nx.pid")]
    (directory / "data").mkdir(exist_ok=True)
    note("MongoDB text index", f"nx-27017 {release} standing in for MongoDB's text index")
    return StandInMongoServer(command, port=port, directory=directory)


def start_mongo_server(directory: Path) -> MongoServer:
    """The server that all tests of a run share: MONGODB_URI's, or a stand-in with transactions."""
    uri = os.environ.get("MONGODB_URI", "")
    return MongoServer.external(uri) if uri else start_secantus(directory)


def start_text_mongo_server(directory: Path) -> MongoServer:
    """The server for the text index: MONGODB_URI's, or a stand-in with text indexes."""
    uri = os.environ.get("MONGODB_URI", "")
    return MongoServer.external(uri) if uri else start_nx(directory)


def _release(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        pytest.fail(
            f"these tests need MongoDB: set MONGODB_URI to a replica set, or install {package} (it has no wheel for "
            f"every system and Python; this is Python {sys.version_info.major}.{sys.version_info.minor})"
        )


def _client(uri: str) -> MongoClient[dict[str, Any]]:
    return MongoClient(uri, serverSelectionTimeoutMS=SELECTION_MS_MAX)
