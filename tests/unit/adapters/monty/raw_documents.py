"""Documents as they lie in the file, past every check of the store."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import bson

DATABASE = "tandem"


def database_of(directory: Path) -> sqlite3.Connection:
    """A connection to a closed store's file."""
    return sqlite3.connect(directory / f"{DATABASE}.sqlite", isolation_level=None)


def write_raw(directory: Path, collection: str, *documents: Mapping[str, Any]) -> None:
    """Puts documents into a closed store as a program with another spec left them: the next opening rebuilds."""
    with closing(database_of(directory)) as connection:
        for document in documents:
            row = (str(document["_id"]), document.get("version", 1), bson.encode(document))
            connection.execute(f"INSERT INTO {collection}(id, version, gone, doc) VALUES (?, ?, 0, ?)", row)
        outdate(connection, collection)


def outdate(connection: sqlite3.Connection, collection: str) -> None:
    """Makes a table look as if it had been built from another spec."""
    connection.execute("UPDATE table_versions SET fingerprint = '' WHERE collection = ?", (collection,))


def raw_documents(directory: Path, collection: str) -> list[dict[str, Any]]:
    """The documents that lie in the file, by id."""
    with closing(database_of(directory)) as connection:
        rows = connection.execute(f"SELECT doc FROM {collection} ORDER BY id").fetchall()
    return [bson.decode(data) for (data,) in rows]
