"""PostgreSQL for tests: servers of their own on copies of one cluster, or the server that POSTGRES_URL names."""

import fcntl
import hashlib
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from adapters.embedded_postgres import cluster
from adapters.embedded_postgres.programs import find_programs
from adapters.embedded_postgres.server import EmbeddedPostgres
from adapters.records.record_store import StoreRefused
from tests.servers.directories import open_directory
from tests.servers.processes import freeze_tree, kill_tree, thaw_tree, wait_until
from tests.servers.report import note

TEMPLATES = Path(__file__).parents[2] / ".pytest_cache" / "postgres"
"""Clusters that were created for an earlier test or run; copying one takes a fraction of the time."""
# A power cut is not among the faults tests can do, and without the disk's confirmation dropping a database takes
# 7 ms instead of 350. Servers that a test kills keep the settings of the product.
FAST_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresServer:
    """A server on which tests make databases; `url` names a database to connect to for that."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._prepared_url: str | None = None

    @classmethod
    def external(cls, url: str) -> "PostgresServer":
        """The server POSTGRES_URL names; its user must be allowed to create databases."""
        try:
            _note_version(url, "POSTGRES_URL")
        except psycopg.OperationalError as error:
            pytest.fail(f"POSTGRES_URL is set, but the server does not answer: {error}")
        return cls(url)

    def create_database(self) -> str:
        """Make an empty database (C collation) and return its URL."""
        return self._create("TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")

    def create_prepared_database(self) -> str:
        """Make a database that has every table and no row, as a copy: a migration takes longer. Returns its URL."""
        if self._prepared_url is None:
            from adapters.postgres.migrate import upgrade  # noqa: PLC0415 - half a second to load, and unit tests need none

            self._prepared_url = self.create_database()
            upgrade(self._prepared_url)
        template = sql.Identifier(urlsplit(self._prepared_url).path.removeprefix("/"))
        return self._create(sql.SQL("TEMPLATE {}").format(template))

    def drop_database(self, url: str) -> None:
        """Remove a database made here, whoever is still connected to it."""
        name = urlsplit(url).path.removeprefix("/")
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def drop_prepared(self) -> None:
        """Remove what prepared databases were copied from."""
        if self._prepared_url is not None:
            self.drop_database(self._prepared_url)
            self._prepared_url = None

    def close(self) -> None:
        """Nothing to stop: the server is not ours."""

    def _create(self, how: LiteralString | sql.Composed) -> str:
        name = f"tandem_test_{secrets.token_hex(6)}"
        options = how if isinstance(how, sql.Composed) else sql.SQL(how)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), options))
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()


class OwnPostgresServer(PostgresServer):
    """A server of the test's own, on a socket of its own, which a test may kill and freeze."""

    def __init__(self, directory: Path, *, settings: dict[str, str] | None = None) -> None:
        self._embedded = EmbeddedPostgres(directory, settings=settings)
        super().__init__(self._embedded.url)
        try:
            copy_cluster(directory)
            self._embedded.start()
        except StoreRefused as error:
            pytest.fail(f"these tests need PostgreSQL: {error}")
        _note_version(self.url, "embedded")

    @property
    def process_id(self) -> int:
        """The postmaster's process."""
        process_id = self._embedded.process_id
        if process_id is None:
            pytest.fail("the PostgreSQL server is not running")
        return process_id

    def kill(self) -> None:
        """SIGKILL the postmaster and every backend."""
        kill_tree(self.process_id)

    def freeze(self) -> None:
        """SIGSTOP the postmaster and every backend: connections open, nothing answers."""
        freeze_tree(self.process_id)

    def thaw(self) -> None:
        """SIGCONT the postmaster and every backend."""
        thaw_tree(self.process_id)

    def restart(self) -> None:
        """Start the server again after `kill`, on the same socket and data; returns once it takes connections."""
        self._embedded.start()

    def close(self) -> None:
        """Stop the server, also when a test left it frozen, and make sure that it is gone."""
        process_id = self._embedded.process_id
        if process_id is not None:
            thaw_tree(process_id)
        self._embedded.stop()
        wait_until(
            lambda: self._embedded.process_id is None, seconds_max=5.0, reason="PostgreSQL did not stop"
        )


def start_postgres_server(directory: Path) -> PostgresServer:
    """The server all tests of this process share: POSTGRES_URL's, or one of our own."""
    url = os.environ.get("POSTGRES_URL", "")
    if url and url != "embedded":
        return PostgresServer.external(url)
    return OwnPostgresServer(directory, settings=FAST_SETTINGS)


def copy_cluster(directory: Path) -> None:
    """Give the embedded server of a new directory its databases. Raises StoreRefused without PostgreSQL's programs."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The programs copy owners and times, too, which PostgreSQL's account needs where the tests run as root.
    subprocess.run(["cp", "-a", _template(), directory / "data"], check=True)


def _template() -> Path:
    """A cluster as the product creates it, for this release of PostgreSQL and this version of the code."""
    release = (find_programs(major=None) / "postgres").stat()
    described = f"{release.st_size} {release.st_mtime_ns} {Path(cluster.__file__).read_text()}"
    template = TEMPLATES / hashlib.sha256(described.encode()).hexdigest()[:16]
    TEMPLATES.mkdir(parents=True, exist_ok=True)
    with (TEMPLATES / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            for former in TEMPLATES.glob("?" * 16):
                shutil.rmtree(former)
            _create_template(template)
    return template


def _create_template(template: Path) -> None:
    unfinished = template.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with open_directory() as directory:
        server = EmbeddedPostgres(directory / "postgres")
        server.start()
        server.stop()
        subprocess.run(["cp", "-a", directory / "postgres" / "data", unfinished], check=True)
    unfinished.rename(template)


def _note_version(url: str, origin: str) -> None:
    with psycopg.connect(url, connect_timeout=10) as connection:
        version = connection.info.parameter_status("server_version")
    note("PostgreSQL", f"PostgreSQL {version} ({origin})")
