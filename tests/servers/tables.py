"""The tables of a test database."""

import psycopg

from adapters.postgres.tables import metadata


def empty_tables(url: str) -> None:
    """Deletes every row of a database and leaves its tables."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in metadata.sorted_tables:
            connection.execute(f"DELETE FROM {table.name}")
