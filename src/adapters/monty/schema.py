"""Creates the tables of the specs, and rebuilds outdated ones from their documents."""

# ruff: noqa: S608 - statements are built from the specs; values are parameters

import sqlite3
from collections.abc import Iterable

from loguru import logger

from adapters.monty.document import decoded, encoded
from adapters.monty.tables import LIVE_COUNTS, Table, quoted
from adapters.records.record import ID, IS_DELETED, CorruptRecord, is_tombstone

PROGRESS_ROWS = 20_000
"""The number of rebuilt rows between progress messages in the log."""
_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS table_versions(collection TEXT PRIMARY KEY, fingerprint TEXT NOT NULL)"
)
_LANES = (
    "CREATE TABLE IF NOT EXISTS lanes(lane INTEGER PRIMARY KEY, number INTEGER NOT NULL, epoch INTEGER NOT NULL,"
    " opening TEXT NOT NULL, process TEXT NOT NULL, host TEXT NOT NULL, boot TEXT NOT NULL, pid INTEGER NOT NULL,"
    " is_open INTEGER NOT NULL, beaten_at REAL NOT NULL, is_checkpointed INTEGER NOT NULL DEFAULT 0)"
)
_SEEN = (
    "CREATE TABLE IF NOT EXISTS seen(lane INTEGER PRIMARY KEY, number INTEGER NOT NULL, cut INTEGER,"
    " is_checkpointed INTEGER NOT NULL DEFAULT 0)"
)
_COMPARED = (
    "CREATE INDEX IF NOT EXISTS lanes_compared ON lanes(lane) WHERE NOT is_checkpointed",
    "CREATE INDEX IF NOT EXISTS seen_compared ON seen(lane) WHERE NOT is_checkpointed",
)
_ROOM = "CREATE TABLE IF NOT EXISTS room(bytes BLOB)"
"""Empty but for a moment, when a ping finds out whether the disk takes a write."""


def bring_up(connection: sqlite3.Connection, tables: Iterable[Table]) -> None:
    """Creates missing tables in one transaction, and rebuilds each outdated table in one of its own.

    Writes nothing if all tables are current. A crash in between leaves the tables unchanged. Raises sqlite3.Error.
    """
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    versions: dict[str, str] = {}
    if "table_versions" in present:
        versions = dict(connection.execute("SELECT collection, fingerprint FROM table_versions").fetchall())
    outdated = [table for table in tables if versions.get(table.name) != table.fingerprint]
    missing = [table for table in outdated if table.name not in present]
    if missing or "lanes" not in present:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_LANES)
            connection.execute(_SEEN)
            for statement in _COMPARED:
                connection.execute(statement)
            connection.execute(_VERSIONS)
            connection.execute(LIVE_COUNTS)
            connection.execute(_ROOM)
            for table in missing:
                _create(connection, table)
    for table in outdated:
        if table not in missing:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                _rebuild(connection, table)


def _create(connection: sqlite3.Connection, table: Table, *, earlier: str | None = None) -> None:
    for statement in table.table_ddl():
        connection.execute(statement)
    if earlier is not None:
        _fill(connection, table, earlier)
    for statement in table.index_ddl():
        connection.execute(statement)
    live = (
        f"SELECT count(*) FROM {table.name} WHERE {quoted(IS_DELETED)} IS 0" if table.has_live_count else "0"
    )
    connection.execute(f"INSERT OR REPLACE INTO live_counts VALUES (?, ({live}))", (table.name,))
    connection.execute("INSERT OR REPLACE INTO table_versions VALUES (?, ?)", (table.name, table.fingerprint))


def _rebuild(connection: sqlite3.Connection, table: Table) -> None:
    """Recreates the table with the current columns and words, and the same row numbers and documents."""
    earlier = f"{table.name}_earlier"
    parts = "SELECT type, name FROM sqlite_schema WHERE tbl_name = ? AND type != 'table' AND sql IS NOT NULL"
    for kind, name in connection.execute(parts, (table.name,)).fetchall():
        connection.execute(f"DROP {kind} {quoted(name)}")
    for words in (f"{table.name}_words", f"{table.name}_words_stale"):
        connection.execute(f"DROP TABLE IF EXISTS {words}")
    connection.execute(f"ALTER TABLE {table.name} RENAME TO {earlier}")
    _create(connection, table, earlier=earlier)
    connection.execute(f"DROP TABLE {earlier}")


def _fill(connection: sqlite3.Connection, table: Table, earlier: str) -> None:
    (total,) = connection.execute(f"SELECT count(*) FROM {earlier}").fetchone()
    logger.info(
        "The spec of {} has changed: the columns and words of {} documents are rebuilt.", table.name, total
    )
    rows = connection.execute(f"SELECT n, id, version, gone, doc FROM {earlier} ORDER BY n")
    for done, (number, record_id, version, gone, data) in enumerate(rows, start=1):
        try:
            stored = decoded(data)
        except CorruptRecord as error:
            # It stays as it is. Reading it raises CorruptRecord; all other documents are available.
            logger.warning("{}: {}", table.name, error)
            row = f"INSERT INTO {table.name}(n, id, version, gone, doc) VALUES (?, ?, ?, ?, ?)"
            connection.execute(row, (number, record_id, version, gone, data))
            continue
        record = table.spec.upgraded(stored)
        values = table.row(record, data if record is stored else encoded(record))
        try:
            connection.execute(table.insert_numbered, (*values, record[ID], number))
        except sqlite3.IntegrityError as error:
            logger.warning(
                "{} {} has values that must be unique and that another record has, too: {}",
                table.name,
                record[ID],
                error,
            )
            connection.execute(table.insert_numbered, (*table.without_keys(values), record[ID], number))
        if table.words and not is_tombstone(record):
            connection.execute(table.add_words, (number, table.tokens(record)))
        if done % PROGRESS_ROWS == 0:
            logger.info("{}: {} of {} documents rebuilt.", table.name, done, total)
