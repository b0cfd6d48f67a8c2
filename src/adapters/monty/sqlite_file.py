"""The SQLite database in a file or in memory: its identity, and the setup of its connections."""

import atexit
import os
import sqlite3
import time
import weakref
from collections.abc import Collection
from contextlib import closing, suppress
from functools import cache, lru_cache
from pathlib import Path
from uuid import uuid4

from adapters.files.directories import make_private_directory
from adapters.monty.document import decoded
from adapters.monty.errors import DAMAGE_CODES, code_of
from adapters.monty.identity_file import IdentityFile, is_written_back
from adapters.monty.schema import bring_up
from adapters.monty.tables import TABLES, has_words
from adapters.monty.tuning import Tuning
from adapters.records.record import CorruptRecord
from adapters.records.record_store import NothingStored, StoreRefused

APPLICATION_ID = 0x74616E64
FORMAT = 1
"""The format of the file; files of later formats are rejected."""
SQLITE_MIN = (3, 36)
"""The first version whose connections can share a named database in memory."""
STATEMENTS_MAX = 512
EMPTYING_MS = 50
"""How long one attempt to empty the log waits for readers."""
LOCKED_MS = 500
"""How long a write waits for a lock that another program is known to hold: a probe waits for two writes at most."""
KNOWN_MAX, KNOWN_BYTES_MAX = 256, 4_096
"""How many documents are kept with their tokens, and up to which size: a search by relevance asks for each place in
turn, and every time it reads the documents that are not indexed yet.
"""
PAGE_CACHE_KIB = {"writer": 32_768, "reader": 16_384, "long": 8_192}


class SqliteFile:
    """Opens connections to one database. In memory they share a named database of SQLite's memdb.

    Beside the file `<database>.sqlite` lies `<database>.identity`: while it is there, a missing or damaged database is
    refused instead of being replaced by an empty store.
    """

    def __init__(self, path: Path | None, tuning: Tuning) -> None:
        self.path, self._tuning = path, tuning
        in_memory = f"file:/tandem-{uuid4().hex}?vfs=memdb"
        self._target = in_memory if path is None else f"{path.absolute().as_uri()}?mode=rw"
        self._identity_file = None if path is None else IdentityFile(path)
        self._log_bytes_max = tuning.log_bytes_max
        self._busy_ms = tuning.busy_ms
        self._is_read_only = False
        self._damage: BaseException | None = None
        self._writer: sqlite3.Connection | None = None
        self._connections: list[sqlite3.Connection] = []

    def open(self) -> None:
        """Creates the file if it never existed. Raises sqlite3.Error, OSError or StoreRefused; then call `close`."""
        if self._writer is not None:
            return
        require_features(sqlite3.sqlite_version_info, _modules())
        known = None if self._identity_file is None else self._identity_file.known_store()
        if self.path is not None and known is None:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        writer = self.connection("writer")
        if self.path is None:
            _empty_database().backup(writer)
            # A database in memory lives as long as this object, also while the store is closed.
            weakref.finalize(self, writer.close)
        store = _identity_of(writer, known)
        bring_up(writer, TABLES.values())
        if self._identity_file is not None:
            self._identity_file.open(store)
        self._writer, self._damage = writer, None

    def open_to_read(self) -> None:
        """Opens a file that no process uses, and changes nothing: neither it nor its log, and no file beside them.

        A copy that was put back without its identity is read as `open` would take it. Raises NothingStored where `open`
        would create the store, and otherwise as `open` does.
        """
        require_features(sqlite3.sqlite_version_info, _modules())
        if self.path is None or self._identity_file is None:
            raise NothingStored("MontyDB keeps everything in the memory of the service, which does not run.")
        known = self._identity_file.known_store()
        if not self.path.exists():
            raise _nothing_in(self.path.parent)
        # Nobody else has the file open. SQLite would create a log, or keep locks and shared memory in files.
        has_log = self.path.with_name(f"{self.path.name}-wal").exists()
        how = "vfs=unix-none" if has_log else "immutable=1"
        self._target = f"{self.path.absolute().as_uri()}?mode=ro&{how}"
        self._is_read_only = True
        connection = self.connection("long")
        if known is None and not _tables_in(connection):
            raise _nothing_in(self.path.parent)
        _identity_of(connection, known)

    def connection(self, kind: str) -> sqlite3.Connection:
        """A connection in autocommit mode, for one thread at a time."""
        connection = sqlite3.connect(
            self._target,
            uri=True,
            timeout=self._tuning.busy_ms / 1_000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=STATEMENTS_MAX,
        )
        self._connections.append(connection)
        self._set_up(connection, kind)
        return connection

    def _set_up(self, connection: sqlite3.Connection, kind: str) -> None:
        if self._is_read_only:
            for pragma in ("locking_mode = EXCLUSIVE", "query_only = ON", "temp_store = MEMORY"):
                connection.execute(f"PRAGMA {pragma}")
            connection.create_function("has_words", 3, _has_words, deterministic=True)
            return
        # Some distributions overwrite deleted content with zeros, which writes every page twice.
        pragmas = [f"cache_size = -{PAGE_CACHE_KIB[kind]}", "temp_store = MEMORY", "secure_delete = OFF"]
        if self.path is not None:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise StoreRefused(
                    f"{self.path.parent} does not support SQLite's WAL: use a local file system."
                )
            pragmas += ["synchronous = FULL", f"wal_autocheckpoint = {self._tuning.checkpoint_pages}"]
            pragmas.append(f"journal_size_limit = {self._tuning.log_bytes_max}")
        if kind != "writer":
            pragmas.append("query_only = ON")
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        connection.create_function("has_words", 3, _has_words, deterministic=True)

    @property
    def writer(self) -> sqlite3.Connection:
        """The writing connection. Raises sqlite3.Error while the database is not open."""
        if self._writer is None:
            raise sqlite3.ProgrammingError("the database is not open")
        return self._writer

    def note_error(self, error: BaseException) -> None:
        """Notes an error of a read or a write: once SQLite has met damage, nothing is written until the next opening.

        A later write may work, and would be lost with everything else when a copy is restored.
        """
        if self._damage is None and not self._is_read_only and code_of(error) in DAMAGE_CODES:
            self._damage = error

    def require_in_place(self) -> None:
        """Raises OSError where the files are no longer those that were opened."""
        if self._identity_file is not None:
            self._identity_file.require_in_place()

    def require_sound(self) -> None:
        """Raises OSError as `require_in_place` does, and sqlite3.Error once SQLite has met damage."""
        self.require_in_place()
        if self._damage is not None:
            raise self._damage

    def prepare_writing(self) -> None:
        """Raises OSError or sqlite3.Error where what is written now could be lost."""
        self.require_sound()
        if self._identity_file is not None:
            self._identity_file.note_writing(self.writer)

    def note_written(self) -> None:
        """Follows each write. Raises OSError."""
        if self._identity_file is not None:
            self._identity_file.note_size()

    def note_lock(self, *, is_foreign: bool) -> None:
        """Waits only briefly for a lock that another program has held for the whole wait of a write, until one works:
        whoever asks for the state of the store gets the cause, before they give up.
        """
        busy_ms = min(LOCKED_MS, self._tuning.busy_ms) if is_foreign else self._tuning.busy_ms
        if busy_ms != self._busy_ms:
            self._busy_ms = busy_ms
            self.writer.execute(f"PRAGMA busy_timeout = {busy_ms}")

    def bound_log(self) -> None:
        """Empties the log once it is too long, as soon as the reads that still need it have ended.

        SQLite itself begins it anew only while nobody reads, and where long reads overlap that moment never comes.
        Raises sqlite3.Error or OSError.
        """
        if self._identity_file is None or self._identity_file.log_bytes() <= self._log_bytes_max:
            return
        deadline = time.monotonic() + self._busy_ms / 1_000
        # SQLite waits for a slot that the next reader may take, so many short attempts succeed where a long one fails.
        self.writer.execute(f"PRAGMA busy_timeout = {EMPTYING_MS}")
        try:
            while not (is_emptied := is_written_back(self.writer)) and time.monotonic() < deadline:
                pass
        finally:
            self.writer.execute(f"PRAGMA busy_timeout = {self._busy_ms}")
        # Commits have waited meanwhile; where that was in vain, the next attempt comes much later.
        self._log_bytes_max = self._tuning.log_bytes_max if is_emptied else 2 * self._log_bytes_max

    def close(self) -> None:
        """Writes the log back and closes all connections. Memory is kept for the next opening."""
        if self._identity_file is not None and self._writer is not None:
            self._identity_file.close(self._writer)
        kept = None if self.path is not None else self._writer
        for connection in self._connections:
            if connection is not kept:
                connection.close()
        self._connections, self._writer = [], kept
        if self._identity_file is not None:
            self._identity_file.release()


def require_features(version: tuple[int, ...], modules: Collection[str]) -> None:
    """Raises StoreRefused if this Python's SQLite lacks features that the store needs."""
    if version < SQLITE_MIN or "fts5" not in modules:
        found = ".".join(map(str, version)) + ("" if "fts5" in modules else " without FTS5")
        raise StoreRefused(
            f"This Python comes with SQLite {found}, but Tandem needs {'.'.join(map(str, SQLITE_MIN))} or later with "
            "the FTS5 extension: use a Python from python.org, your distribution or uv, or another store "
            "(STORE=postgres or STORE=mongo)."
        )


@cache
def _modules() -> list[str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        return [name for (name,) in connection.execute("PRAGMA module_list")]


@cache
def _empty_database() -> sqlite3.Connection:
    """A database with all tables and no rows: copying it is faster than creating the tables."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    atexit.register(connection.close)
    _identity_of(connection, None)
    bring_up(connection, TABLES.values())
    return connection


def _nothing_in(directory: Path) -> NothingStored:
    create = "To create one, type: tandem serve (in production first: tandem migrate up)"
    return NothingStored(f"There is no MontyDB store in {directory}.", remedy=create)


def _tables_in(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def _identity_of(connection: sqlite3.Connection, known: str | None) -> str:
    """The id of the store in the database; a new one if the database is empty."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    tables = _tables_in(connection)
    if not tables and known is None:
        identity = uuid4().hex
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("CREATE TABLE store_identity(one PRIMARY KEY CHECK (one = 1), store, format)")
            connection.execute("INSERT INTO store_identity VALUES (1, ?, ?)", (identity, FORMAT))
        return identity
    if known is not None and "store_identity" not in tables:
        raise sqlite3.DatabaseError("the file has lost its tables")
    if application != APPLICATION_ID or "store_identity" not in tables:
        raise StoreRefused("The database file belongs to another program: choose another directory.")
    stored, version = connection.execute("SELECT store, format FROM store_identity").fetchone()
    if version > FORMAT:
        raise StoreRefused(
            "The database file was written by a later version of Tandem: start that version instead."
        )
    if known not in (None, stored):
        raise StoreRefused(
            "The database file belongs to another store: restore the right one, or remove the .identity file beside it "
            "to accept this one."
        )
    return str(stored)


def _has_words(data: bytes, search: str, rank: int | None) -> bool:
    name, _, text = search.partition(":")
    tokens_of = _known_tokens if len(data) <= KNOWN_BYTES_MAX else _tokens
    with suppress(CorruptRecord):
        return has_words(tokens_of(name, data), text, rank)
    return False


def _tokens(name: str, data: bytes) -> frozenset[str] | None:
    return TABLES[name].found_by(decoded(data))


_known_tokens = lru_cache(KNOWN_MAX)(_tokens)


def make_private(directory: Path) -> None:
    """Creates the directory for its owner only, and removes the permissions of all other users."""
    make_private_directory(directory, levels=2)  # DATA_DIR as well
    for path in (directory, *directory.iterdir()):
        mode = path.stat().st_mode
        if mode & 0o077 and (path == directory or path.is_file()):
            path.chmod(mode & 0o700)
