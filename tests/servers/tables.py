"""The tables of a test database."""

import psycopg

from adapters.postgres.tables import TABLES


def empty_tables(url: str) -> None:
    """Deletes every row of a database and leaves its tables."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in TABLES.values():
            connection.execute(f"DELETE FROM {table.name}")
