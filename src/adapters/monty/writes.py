"""The writes of commit, apply and mark inside a transaction."""

# ruff: noqa: S608 - statements are built from the specs; values are parameters

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loguru import logger

from adapters.monty.document import decoded, encoded
from adapters.monty.tables import TABLES, StoredRow, Table
from adapters.records.change_set import SYNC_LANE, SYNC_NUMBER, ChangeSet, DeliveryMark
from adapters.records.lanes import Seen, seen_in
from adapters.records.record import ID, CorruptRecord, Record
from adapters.records.specs import AUDIT_LOGS, SPECS, SYNC_FIELDS
from domain.audit import SyncStatus
from domain.errors import AlreadyExists, RuleBroken, VersionConflict

ENTRIES = TABLES[AUDIT_LOGS.collection]
Write = Callable[["Transaction"], None]
"""A function that writes. If it raises, its changes are rolled back, and the caller gets the error."""

ROOM_BYTES = 1024 * 1024
"""As much as one request may write."""

_RAISE_SEEN = (
    "INSERT INTO seen(lane, number) VALUES (?, ?) ON CONFLICT (lane) DO UPDATE"
    " SET number = max(number, min(excluded.number, ifnull(cut, excluded.number))), is_checkpointed = 0"
)
_ARRIVED: Record = {**dict.fromkeys(SYNC_FIELDS), "syncStatus": SyncStatus.SYNCED.value, "syncAttempts": 0}
"""The sync fields of an entry that was mirrored to this store."""


@dataclass(frozen=True, slots=True)
class Row:
    """A record that has been checked and encoded, ready to be stored."""

    table: Table
    record_id: str
    expected_version: int
    values: tuple[Any, ...]

    @classmethod
    def of(cls, collection: str, record: Record, expected_version: int = 0) -> "Row":
        """Checks and encodes a record. Raises RuleBroken if it does not fit its schema or a document."""
        SPECS[collection].schema.require(record)
        table = TABLES[collection]
        return cls(table, record[ID], expected_version, table.row(record, encoded(record)))


class Transaction:
    """A connection inside a transaction. `stale` counts rows whose words are still to be indexed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.execute = connection.execute
        self.stale = 0

    def stored(self, table: Table, record_id: str) -> StoredRow | None:
        """The stored row of a record, None if there is none."""
        found: StoredRow | None = self.execute(table.look, (record_id,)).fetchone()
        return found

    def require(self, table: Table, record_id: str, version: int) -> StoredRow | None:
        """The stored row of a record. Raises VersionConflict unless it has this version."""
        stored = self.stored(table, record_id)
        current = 0 if stored is None else stored[1]
        if current != version:
            raise VersionConflict(current_version=current, collection=table.name, entity_id=record_id)
        return stored

    def give_up_keys(self, rows: Sequence[Row]) -> None:
        """Clears unique values that change, because SQLite checks them after every row and records may swap them."""
        for row in rows if len(rows) > 1 else ():
            stored = self.stored(row.table, row.record_id)
            if (
                stored is not None
                and stored[1] < row.values[0]
                and (names := row.table.given_up(stored, row.values))
            ):
                nulls = ", ".join(f"{name}=NULL" for name in names)
                self.execute(f"UPDATE {row.table.name} SET {nulls} WHERE n=?", stored[:1])

    def put(self, row: Row, stored: StoredRow | None) -> None:
        """Inserts or updates a row.

        Raises AlreadyExists if another record has a unique value, RuleBroken if something else in the file rejects or
        drops the row: a trigger, or an index that somebody added.
        """
        table, text_hash = row.table, row.values[2]
        try:
            if stored is not None:
                if table.words and stored[3] != text_hash:
                    self.stale += self.execute(table.note_changed, stored[:1]).rowcount
                _require_written(self.execute(*table.update(stored, row.values)), table)
                return
            inserted = self.execute(table.insert, (*row.values, row.record_id))
            _require_written(inserted, table)
            if text_hash is not None:
                self.stale += self.execute(table.note_added, (inserted.lastrowid,)).rowcount
        except sqlite3.IntegrityError as error:
            raise _rejection_of(error) from error


def note_seen(transaction: Transaction, seen: Mapping[int, int]) -> None:
    """Raises what this store has seen of the lanes of another one, in the transaction that stores what they did."""
    for lane, number in seen.items():
        transaction.execute(_RAISE_SEEN, (lane, number))


def accepts(transaction: Transaction, mark: DeliveryMark) -> bool:
    """Whether a mark is still valid; what it has seen is noted."""
    if mark.lane is None or mark.number is None:
        return True
    note_seen(transaction, {mark.lane: mark.number})
    number, cut = transaction.execute("SELECT number, cut FROM seen WHERE lane = ?", (mark.lane,)).fetchone()
    return Seen(number, cut).accepts(mark.number)


def stale_count(connection: sqlite3.Connection) -> int:
    """The number of stale rows, which have changed since their words were indexed."""
    tables = [f"SELECT count(*) AS c FROM {table.words}_stale" for table in TABLES.values() if table.words]
    (count,) = connection.execute(f"SELECT sum(c) FROM ({' UNION ALL '.join(tables)})").fetchone()
    return int(count)


def index_words(transaction: Transaction) -> None:
    """Indexes the words of stale rows. FTS5 takes 100 µs for a commit with one row, but 15 µs for one row of many."""
    for table in TABLES.values():
        if not table.words:
            continue
        stale = f"SELECT s.n, s.doc, t.doc, t.hash FROM {table.words}_stale s LEFT JOIN {table.name} t ON t.n = s.n"
        for number, before, after, text_hash in transaction.execute(stale).fetchall():
            try:
                earlier = None if before is None else table.tokens(decoded(before))
                later = None if text_hash is None else table.tokens(decoded(after))
            except CorruptRecord as error:
                logger.warning(
                    "The words of a record cannot be indexed, so searches continue to read the record: {}",
                    error,
                )
                continue
            # FTS5 must get exactly the text that it indexed: any other text would silently corrupt the index.
            if earlier is not None:
                transaction.execute(table.remove_words, (number, earlier))
            if later is not None:
                transaction.execute(table.add_words, (number, later))
            transaction.execute(f"DELETE FROM {table.words}_stale WHERE n = ?", (number,))


def commit_write(change_set: ChangeSet) -> Write:
    """The write of a change set whose expected versions must hold. Raises RuleBroken if a record cannot be stored."""
    puts = [Row.of(put.collection, put.record, put.expected_version) for put in change_set.puts]
    entries = [Row.of(ENTRIES.name, entry) for entry in change_set.entries]
    read_checks = change_set.read_checks

    def run(transaction: Transaction) -> None:
        for check in read_checks:
            transaction.require(TABLES[check.collection], check.record_id, check.version)
        transaction.give_up_keys(puts)
        for put in puts:
            transaction.put(put, transaction.require(put.table, put.record_id, put.expected_version))
        for entry in entries:
            transaction.put(entry, None)

    return run


def apply_write(change_set: ChangeSet, held: dict[tuple[str, str], int]) -> Write:
    """The write of a mirrored change set: it skips older versions than the stored ones, and never replaces entries.

    `held` receives the versions that were stored before, by (collection, id). What is seen of the lanes in the entries
    is noted with them.
    """
    puts = [Row.of(put.collection, put.record, put.expected_version) for put in change_set.puts]
    entries = [Row.of(ENTRIES.name, {**entry, **_ARRIVED}) for entry in change_set.entries]
    seen = seen_in([change_set])

    def run(transaction: Transaction) -> None:
        note_seen(transaction, seen)
        transaction.give_up_keys(puts)
        for put in puts:
            stored = transaction.stored(put.table, put.record_id)
            held[put.table.name, put.record_id] = 0 if stored is None else stored[1]
            if stored is None or stored[1] < put.values[0]:
                transaction.put(put, stored)
        for entry in entries:
            if transaction.stored(entry.table, entry.record_id) is None:
                transaction.put(entry, None)

    return run


def mark_write(marks: Sequence[DeliveryMark]) -> Write:
    """The write of marks; entries that are unknown or already synced stay unchanged, unless the mark reopens them."""

    def run(transaction: Transaction) -> None:
        for mark in marks:
            found = transaction.execute(ENTRIES.by_id, (mark.entry_id,)).fetchone()
            if found is None or not accepts(transaction, mark):
                continue
            before = decoded(found[0])
            if before.get("syncStatus") == SyncStatus.SYNCED and not mark.reopens:
                continue
            after = {**before, **_noted(mark)}
            if before != after:
                row = Row(ENTRIES, after[ID], 0, ENTRIES.row(after, encoded(after)))
                transaction.put(row, transaction.stored(ENTRIES, mark.entry_id))

    return run


def take_room(transaction: Transaction) -> None:
    """Writes as much as a large request, to find out whether the disk takes it; `free_room` removes it."""
    transaction.execute("INSERT INTO room VALUES (zeroblob(?))", (ROOM_BYTES,))


def free_room(transaction: Transaction) -> None:
    """Removes what `take_room` wrote; its pages are used again."""
    transaction.execute("DELETE FROM room")


def _noted(mark: DeliveryMark) -> Record:
    return {
        "syncStatus": mark.status.value,
        "syncAttempts": mark.attempts,
        "syncNextAt": mark.next_at,
        "syncError": mark.error,
        "syncedAt": mark.at if mark.status is SyncStatus.SYNCED else None,
        SYNC_LANE: mark.lane,
        SYNC_NUMBER: mark.number,
    }


def _require_written(cursor: sqlite3.Cursor, table: Table) -> None:
    if cursor.rowcount == 0:
        raise RuleBroken(f"The file dropped the record without an error: look for a trigger on {table.name}.")


def _rejection_of(error: sqlite3.IntegrityError) -> AlreadyExists | RuleBroken:
    """The error for SQLite's message, such as "UNIQUE constraint failed: tasks.externalKey". It names no values."""
    _, found, columns = str(error).partition("UNIQUE constraint failed: ")
    fields = tuple(column.partition(".")[2] for column in columns.split(", "))
    if found and all(fields):
        return AlreadyExists(fields=fields)
    return RuleBroken(f"The file rejects the record: {error} ({error.sqlite_errorname}).")
