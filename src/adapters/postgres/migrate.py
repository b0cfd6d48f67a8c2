"""Brings the tables to a revision, one process at a time. Everything here blocks: call it from a thread."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from adapters.postgres.errors import translation_of
from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable

SCRIPTS = Path(__file__).parent / "migrations"
LOCK_TIMEOUT_MS = 5_000
"""How long a migration waits for tables in use before it gives up."""
TURN_TIMEOUT_MS = 60_000
"""How long a process waits for another one that migrates."""
CONNECT_TIMEOUT_SECONDS = 5
MIGRATION_LOCK = 8_390_817_265_034_711
"""The advisory lock of migrations; an arbitrary number that no other program uses."""


def upgrade(url: str, revision: str = "head") -> None:
    """Creates or alters the tables. Harmless when done already. Raises StoreUnavailable, or StoreRefused for tables of
    a revision that is unknown to this program.
    """
    with _alone(url) as connection, _known_revision():
        command.upgrade(_config(connection), revision)


def downgrade(url: str, revision: str) -> None:
    """Goes back to an earlier revision; `base` removes the tables with their rows. Raises as `upgrade` does."""
    with _alone(url) as connection, _known_revision():
        command.downgrade(_config(connection), revision)


def _config(connection: sqlalchemy.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextlib.contextmanager
def _connected(url: str) -> Iterator[sqlalchemy.Connection]:
    address = url.replace("postgresql+psycopg://", "postgresql://", 1)
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(address, connect_timeout=CONNECT_TIMEOUT_SECONDS),
        poolclass=sqlalchemy.NullPool,
    )
    try:
        with engine.connect() as connection:
            yield connection
    except sqlalchemy.exc.DBAPIError as error:
        cause = error.orig if isinstance(error.orig, psycopg.Error) else None
        raise _unavailable(cause) from error
    except psycopg.Error as error:
        raise _unavailable(error) from error
    finally:
        engine.dispose()


def _unavailable(error: psycopg.Error | None) -> StoreUnavailable:
    translated = StoreUnavailable() if error is None else translation_of(error)
    return translated if isinstance(translated, StoreUnavailable) else StoreUnavailable(translated.message)


@contextlib.contextmanager
def _known_revision() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        raise StoreRefused(
            f"Another version of Tandem made the tables in PostgreSQL ({error})."
            " Run that version, or let POSTGRES_URL name an empty database."
        ) from error


@contextlib.contextmanager
def _alone(url: str) -> Iterator[sqlalchemy.Connection]:
    """A connection that holds the migration lock; the lock ends with the connection in every case."""
    with _connected(url) as connection:
        connection.execute(sqlalchemy.text(f"SET lock_timeout = {TURN_TIMEOUT_MS}"))
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(sqlalchemy.text(f"SET lock_timeout = {LOCK_TIMEOUT_MS}"))
        connection.commit()
        yield connection
