"""PostgreSQL for tests: the embedded server, or the one POSTGRES_URL names."""

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from adapters.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresUnavailable
from tests.servers.processes import Guard, freeze_tree, kill_tree, thaw_tree, wait_until
from tests.servers.report import note

# A power cut is not among the faults tests can do, and without the disk's confirmation dropping a database takes
# 7 ms instead of 350. Servers that a test kills keep the settings of the product.
FAST_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresServer:
    """A server on which tests make databases; `url` names a database to connect to for that."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def external(cls, url: str) -> "PostgresServer":
        """The server POSTGRES_URL names; its user must be allowed to create databases."""
        try:
            with psycopg.connect(url, connect_timeout=10) as connection:
                version = connection.info.parameter_status("server_version")
        except psycopg.OperationalError as error:
            pytest.fail(f"POSTGRES_URL is set, but the server does not answer: {error}")
        note("PostgreSQL", f"PostgreSQL {version} (POSTGRES_URL)")
        return cls(url)

    def create_database(self) -> str:
        """Make an empty database (C collation) and return its URL."""
        name = f"tandem_test_{secrets.token_hex(6)}"
        statement = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def drop_database(self, url: str) -> None:
        """Remove a database made here, whoever is still connected to it."""
        name = urlsplit(url).path.removeprefix("/")
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self) -> None:
        """Nothing to stop: the server is not ours."""


class OwnPostgresServer(PostgresServer):
    """A server of the test's own, on a socket of its own, which a test may kill and freeze."""

    def __init__(self, directory: Path, *, settings: dict[str, str] | None = None) -> None:
        try:
            self.embedded = EmbeddedPostgres.start(directory, settings=settings)
        except EmbeddedPostgresUnavailable as error:
            pytest.fail(f"these tests need PostgreSQL: {error}")
        super().__init__(self.embedded.url)
        self._guard = Guard(self.process_id)
        note("PostgreSQL", f"PostgreSQL {self.embedded.version} ({self.embedded.origin})")

    @property
    def process_id(self) -> int:
        """The postmaster's process."""
        process_id = self.embedded.process_id
        if process_id is None:
            pytest.fail("the PostgreSQL server is not running")
        return process_id

    def kill(self) -> None:
        """SIGKILL the postmaster and every backend."""
        kill_tree(self.process_id)
        self._guard.release()

    def freeze(self) -> None:
        """SIGSTOP the postmaster and every backend: connections open, nothing answers."""
        freeze_tree(self.process_id)

    def thaw(self) -> None:
        """SIGCONT the postmaster and every backend."""
        thaw_tree(self.process_id)

    def restart(self) -> None:
        """Start the server again after `kill`, on the same socket and data; returns once it takes connections."""
        self.embedded.ensure_running()
        self._guard.release()
        self._guard = Guard(self.process_id)

    def close(self) -> None:
        """Stop the server, also when a test left it frozen, and make sure that it is gone."""
        process_id = self.embedded.process_id
        if process_id is not None:
            thaw_tree(process_id)
        self._guard.release()
        self.embedded.stop()
        wait_until(
            lambda: self.embedded.process_id is None, seconds_max=5.0, reason="PostgreSQL did not stop"
        )


def start_postgres_server(directory: Path) -> PostgresServer:
    """The server all tests of this process share: POSTGRES_URL's, or one of our own."""
    url = os.environ.get("POSTGRES_URL", "")
    if url and url != "embedded":
        return PostgresServer.external(url)
    return OwnPostgresServer(directory, settings=FAST_SETTINGS)
