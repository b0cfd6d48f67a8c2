"""A PostgreSQL database with every table, for tests that use it one after the other."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from adapters.postgres.tables import metadata
from tests.servers.postgres import PostgresServer

# In one message: one for each table takes ten times as long, and TRUNCATE a hundred times.
EMPTYING = "; ".join(f"DELETE FROM {table.name}" for table in metadata.sorted_tables)
"""Deletes every row."""


class PreparedDatabase:
    """`url` is the database; a connection beside those of the stores empties it."""

    def __init__(self, url: str, beside: "psycopg.Connection[tuple[object, ...]]") -> None:
        self.url = url
        self._beside = beside

    def empty(self) -> None:
        """Deletes every row and leaves the tables."""
        self._beside.execute(EMPTYING)


def run_statements(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Executes statements in a session of their own, each committed by itself. Returns the rows of the last one, if it
    has any.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@contextmanager
def prepared_database(server: PostgresServer) -> Iterator[PreparedDatabase]:
    """A new database, which is dropped afterwards."""
    url = server.create_prepared_database()
    with psycopg.connect(url, autocommit=True) as beside:
        yield PreparedDatabase(url, beside)
    server.drop_database(url)
