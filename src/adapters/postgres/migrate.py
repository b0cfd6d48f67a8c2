"""Brings the tables to a revision, one process at a time. Everything here blocks: call it from a thread."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from psycopg import errors as driver

from adapters.postgres.errors import translation_of
from adapters.postgres.session import Session, TimeLimits, conninfo_of, refused_schema
from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable

SCRIPTS = Path(__file__).parent / "migrations"
LOCK_TIMEOUT_MS = 5_000
"""How long a migration waits for tables in use before it gives up."""
TURN_TIMEOUT_MS = 60_000
"""How long a process waits for another one that migrates."""
CONNECT_TIMEOUT_MS = 5_000
OBSTACLES_NAMED_MAX = 5
MIGRATION_LOCK = 8_390_817_265_034_711
"""The advisory lock of migrations; an arbitrary number that no other program uses."""


def upgrade(url: str, revision: str = "head") -> None:
    """Creates or alters the tables. Harmless when done already. Raises StoreUnavailable, or StoreRefused for tables of
    a revision that is unknown to this program.
    """
    with _alone(url) as connection, _known_revision():
        command.upgrade(_config(connection), revision)


def downgrade(url: str, revision: str, *, lock_timeout_ms: int = LOCK_TIMEOUT_MS) -> None:
    """Goes back to an earlier revision; `base` removes the tables with their rows. Raises as `upgrade` does.

    `lock_timeout_ms` is how long it waits for tables in use before it gives up.
    """
    with _alone(url, lock_timeout_ms=lock_timeout_ms) as connection, _known_revision():
        command.downgrade(_config(connection), revision)


def restore(url: str, parts: Sequence[Sequence[str]]) -> None:
    """Runs the statements that make missing parts anew: those of each part together, and whatever became of the others.

    Raises StoreRefused with the server's words, once all were tried, for those that it rejects, and StoreUnavailable.
    """
    obstacles = []
    for statements in parts:
        try:
            with _alone(url) as connection:
                _run_all(connection, statements)
        except _PartRejected as obstacle:
            obstacles.append(str(obstacle))
    if obstacles:
        raise StoreRefused(
            f"PostgreSQL says: {'; '.join(obstacles[:OBSTACLES_NAMED_MAX])}.",
            remedy="Remove what is in the way, such as rows that break the rule, then type: tandem migrate up",
        )


class _PartRejected(Exception):
    """The server rejects a statement that makes a part; the message is its own, without values."""


def _run_all(connection: sqlalchemy.Connection, statements: Sequence[str]) -> None:
    try:
        for statement in statements:
            connection.exec_driver_sql(statement)
    except sqlalchemy.exc.DBAPIError as error:
        said = error.orig.diag.message_primary if isinstance(error.orig, psycopg.Error) else None
        if said is None or error.connection_invalidated:
            raise
        raise _PartRejected(said) from error


def _config(connection: sqlalchemy.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextlib.contextmanager
def _connected(url: str) -> Iterator[sqlalchemy.Connection]:
    session = Session.of(url, TimeLimits(statement_ms=0, lock_ms=TURN_TIMEOUT_MS, idle_in_transaction_ms=0))
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: _opened(url, session), poolclass=sqlalchemy.NullPool
    )
    try:
        with engine.connect() as connection, connection.begin():
            # Once more in the transaction, as a pooler may have changed the server process meanwhile.
            connection.exec_driver_sql(session.for_transaction)
            yield connection
    except sqlalchemy.exc.DBAPIError as error:
        if isinstance(error.orig, driver.InsufficientPrivilege | driver.InvalidSchemaName):
            raise refused_schema(session.search_path) from error
        cause = error.orig if isinstance(error.orig, psycopg.Error) else None
        raise _unavailable(cause) from error
    except psycopg.Error as error:
        raise _unavailable(error) from error
    finally:
        engine.dispose()


def _opened(url: str, session: Session) -> "psycopg.Connection[tuple[Any, ...]]":
    """A connection that begins transactions by itself, with the session set."""
    address = conninfo_of(url, connect_timeout_ms=CONNECT_TIMEOUT_MS)
    connection = psycopg.connect(address, autocommit=True, prepare_threshold=None)
    cursor = connection.execute(session.setting)
    cursor.set_result(-1)
    facts = session.read_back(cursor.fetchone() or ())
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    connection.read_only = False if facts.was_read_only else None
    connection.autocommit = False
    return connection


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
def _alone(url: str, *, lock_timeout_ms: int = LOCK_TIMEOUT_MS) -> Iterator[sqlalchemy.Connection]:
    """A connection whose transaction holds the migration lock: all migrations take effect together, or none does.

    The lock belongs to the transaction, because a pooler would leave that of a session with whoever comes next.
    """
    with _connected(url) as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(sqlalchemy.text(f"SET LOCAL lock_timeout = {lock_timeout_ms}"))
        yield connection
