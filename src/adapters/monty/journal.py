"""The journal: what is about to be written to the collections, durable before any of them changes."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.monty.document_keepers import StoredDocument, sync_directory


class Journal:
    """An sqlite file that holds documents in the order they are to be written, numbered upwards.

    One thread at a time; `append` waits for the disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._last_number = 0
        self._dropped_through = 0

    def open(self) -> None:
        """Opens the file, or makes it."""
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._connection = connection
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS journal(number INTEGER PRIMARY KEY, "
            "collection TEXT NOT NULL, k BLOB NOT NULL, v BLOB NOT NULL)"
        )
        self._last_number = connection.execute("SELECT coalesce(max(number), 0) FROM journal").fetchone()[0]
        sync_directory(self._path.parent)

    def append(self, documents: Sequence[StoredDocument], *, drop_through: int) -> int:
        """Keeps documents, all or none, and forgets those up to a number that lie in the collections for good.

        Returns the last number when the disk has them. Where it raises, none of them is in the journal.
        """
        connection = self._require_open()
        rows = [(number, *document) for number, document in enumerate(documents, self._last_number + 1)]
        try:
            connection.execute("BEGIN IMMEDIATE")
            if drop_through > self._dropped_through:
                connection.execute("DELETE FROM journal WHERE number <= ?", (drop_through,))
            connection.executemany("INSERT INTO journal(number, collection, k, v) VALUES (?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.rollback()
        self._dropped_through = max(self._dropped_through, drop_through)
        self._last_number += len(rows)
        return self._last_number

    def documents(self) -> Iterator[StoredDocument]:
        """Everything it holds, oldest first."""
        rows = self._require_open().execute("SELECT collection, k, v FROM journal ORDER BY number")
        return (StoredDocument(*row) for row in rows)

    def clear(self) -> None:
        """Forgets everything, once all of it lies in the collections for good."""
        self._require_open().execute("DELETE FROM journal")

    def close(self) -> None:
        """Lets go of the file. Harmless when closed already."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _require_open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the journal is closed")
        return self._connection
