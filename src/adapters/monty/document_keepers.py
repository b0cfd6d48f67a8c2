"""Where the documents of a database lie: in memory, or in the files that MontyDB's own sqlite storage uses."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Protocol

FILE_SUFFIX = ".collection"
LOCKED_SECONDS_MAX = 0.25
"""How long a write waits for a stranger that holds a file. Nobody should, and the event loop waits as well."""
_UPSERT = "INSERT INTO documents(k, v) VALUES (?, ?) ON CONFLICT(k) DO UPDATE SET v = excluded.v"


class StoredDocument(NamedTuple):
    """One document as it lies in a collection."""

    collection: str
    key: bytes
    data: bytes


class DocumentKeeper(Protocol):
    """Keeps encoded documents by collection and key, and knows nothing else about them."""

    @property
    def database(self) -> str:
        """What MontyDB calls the database."""
        ...

    def open(self, collections: Sequence[str]) -> None:
        """Makes sure that the collections exist."""
        ...

    def documents(self, collection: str, keys: Iterable[bytes] | None) -> Iterator[bytes]:
        """The documents with these keys, in their order, less those that do not exist; all of them for None."""
        ...

    def write(self, documents: Sequence[StoredDocument]) -> None:
        """Stores all of them, over those with the same keys. Where it raises, some may be stored: write them again."""
        ...

    def remove(self, collection: str, keys: Sequence[bytes]) -> None:
        """Forgets the documents with these keys; those that do not exist are forgotten already."""
        ...

    def make_lasting(self) -> None:
        """Returns when what was written before survives a power cut. May run beside reads and writes."""
        ...

    def close(self) -> None:
        """Lets go of what it holds open."""
        ...


class MemoryKeeper:
    """Documents in dictionaries, for as long as the keeper lives."""

    def __init__(self, database: str) -> None:
        self.database = database
        self._collections: dict[str, dict[bytes, bytes]] = {}

    def open(self, collections: Sequence[str]) -> None:
        for name in collections:
            self._collections.setdefault(name, {})

    def documents(self, collection: str, keys: Iterable[bytes] | None) -> Iterator[bytes]:
        kept = self._collections[collection]
        if keys is None:
            return iter(kept.values())
        return (data for key in keys if (data := kept.get(key)) is not None)

    def write(self, documents: Sequence[StoredDocument]) -> None:
        for collection, key, data in documents:
            self._collections[collection][key] = data

    def remove(self, collection: str, keys: Sequence[bytes]) -> None:
        for key in keys:
            self._collections[collection].pop(key, None)

    def make_lasting(self) -> None:
        """Memory does not outlive the process."""

    def close(self) -> None:
        """Nothing is held open."""


class FileKeeper:
    """One sqlite file per collection, one connection each for as long as it is open.

    Writes are durable against the death of the process at once, and against a power cut after `make_lasting`.
    """

    def __init__(self, directory: Path, database: str) -> None:
        self.database = database
        self._directory = directory / database
        self._connections: dict[str, sqlite3.Connection] = {}

    def open(self, collections: Sequence[str]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        for name in collections:
            if name not in self._connections:
                self._connections[name] = self._connect(name)
        for directory in (self._directory, self._directory.parent):
            sync_directory(directory)

    def documents(self, collection: str, keys: Iterable[bytes] | None) -> Iterator[bytes]:
        connection = self._open_connection(collection)
        if keys is None:
            yield from (row[0] for row in connection.execute("SELECT v FROM documents"))
            return
        for key in keys:
            row = connection.execute("SELECT v FROM documents WHERE k = ?", (key,)).fetchone()
            if row is not None:
                yield row[0]

    def write(self, documents: Sequence[StoredDocument]) -> None:
        touched = list(dict.fromkeys(document.collection for document in documents))
        try:
            for name in touched:
                self._connections[name].execute("BEGIN IMMEDIATE")
                rows = [(key, data) for collection, key, data in documents if collection == name]
                self._connections[name].executemany(
                    "INSERT INTO documents(k, v) VALUES (?, ?) ON CONFLICT(k) DO UPDATE SET v = excluded.v",
                    rows,
                )
            for name in touched:
                self._connections[name].execute("COMMIT")
        finally:
            for name in touched:
                if self._connections[name].in_transaction:
                    self._connections[name].rollback()

    def remove(self, collection: str, keys: Sequence[bytes]) -> None:
        connection = self._open_connection(collection)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("DELETE FROM documents WHERE k = ?", [(key,) for key in keys])
        connection.execute("COMMIT")

    def make_lasting(self) -> None:
        # Connections of its own: this runs in another thread while the others read and write.
        for name in list(self._connections):
            with closing(sqlite3.connect(self._path(name))) as connection:
                connection.execute("PRAGMA synchronous=FULL")
                busy, in_log, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if busy or in_log != moved:
                    raise sqlite3.OperationalError(f"the log of {name} could not be emptied")

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _open_connection(self, collection: str) -> sqlite3.Connection:
        connection = self._connections.get(collection)
        if connection is None:
            raise sqlite3.ProgrammingError(f"the file of {collection} is not open")
        return connection

    def _path(self, collection: str) -> Path:
        return self._directory / f"{collection}{FILE_SUFFIX}"

    def _connect(self, collection: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path(collection),
            timeout=LOCKED_SECONDS_MAX,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        # A checkpoint waits for the disk; it runs in `make_lasting`, off the event loop.
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS documents(k text NOT NULL, v text NOT NULL, PRIMARY KEY(k))"
        )
        return connection


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
