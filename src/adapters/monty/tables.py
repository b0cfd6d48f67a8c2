"""One table per collection, derived from its spec: columns, indexes, and the values that are stored in them."""

# ruff: noqa: S608 - statements are built from the specs; values are parameters

import hashlib
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import Any

import bson
import msgspec

from adapters.records.fields import FieldKind
from adapters.records.indexes import Index, Scope
from adapters.records.record import ID, IS_DELETED, VERSION, Record, is_tombstone
from adapters.records.search import Rank, condition_of, holds
from adapters.records.specs import SPECS, RecordSpec
from adapters.records.words import RULE

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
NO_VALUE = object()
"""Represents a value that no column of the kind can hold."""
LIVE_COUNTS = "CREATE TABLE IF NOT EXISTS live_counts(collection TEXT PRIMARY KEY, live INTEGER NOT NULL)"
"""The number of live records of each collection, which triggers update in the same transaction."""
StoredRow = tuple[Any, ...]
"""Number, version, whether it is a tombstone, hash of the texts, columns."""

_TYPES: dict[FieldKind, type[Any]] = dict(zip(FieldKind, (str, int, bool, datetime, str, list), strict=True))
_encode_json = msgspec.json.Encoder().encode


class Table:
    """How SQLite stores the records of one spec.

    Columns have no declared type: SQLite would turn 1 into '1' in a TEXT column. A value that does not have its
    field's kind (in documents written by other programs) becomes a BLOB: it is not null, equals no value and is in no
    range. All columns of a tombstone are null, so indexes and unique keys ignore it.
    """

    def __init__(self, spec: RecordSpec[Any]) -> None:
        self.spec, self.name = spec, spec.collection
        keyed = [name for key in spec.unique_keys for name in key.fields]
        queried = {*keyed, *(name for index in spec.indexes for name in index.fields)}
        # Texts are searched by word; only the first one is also sorted and compared by.
        unqueried = {ID, VERSION, *spec.text_fields[1:]} - (queried - {ID, VERSION})
        fields = [field for field in spec.fields if field.name not in unqueried]
        scalars = {field.name: field.kind for field in fields if field.kind is not FieldKind.JSON}
        self.lists = tuple(field.name for field in fields if field.is_list)
        self.kinds = {**scalars, ID: FieldKind.TEXT, VERSION: FieldKind.INTEGER}
        self.nullable = {field.name for field in fields if field.nullable}
        self.words = f"{self.name}_words" if spec.text_fields else None
        self.has_live_count = IS_DELETED in scalars
        self.orders = tuple(Index(f"{self.name}_by_{name}", (name,), Scope.LIVE) for name in spec.list_orders)
        self.indexes = (*spec.indexes, *self.orders)
        keys = (key for key in spec.unique_keys if not spec.present_in(key))
        scopes = {True: Scope.LIVE, False: Scope.ALL}
        self.ordered = (*self.indexes, *(Index(key.name, key.fields, scopes[key.live_only]) for key in keys))
        """The indexes that may yield an order."""
        live = [IS_DELETED] if any(key.live_only for key in spec.unique_keys) else []
        self._keyed = set(map(quoted, (*keyed, *live))) & set(map(quoted, scalars))
        self._scalars = tuple((name, _TYPES[kind]) for name, kind in scalars.items())
        self._names = ("version", "gone", "hash", *map(quoted, (*scalars, *self.lists)), "doc")
        self._prepare_statements()

    def _prepare_statements(self) -> None:
        names, marks = ", ".join(self._names), ", ".join("?" * len(self._names))
        self.insert = f"INSERT INTO {self.name}({names}, id) VALUES ({marks}, ?)"
        self.insert_numbered = f"INSERT INTO {self.name}({names}, id, n) VALUES ({marks}, ?, ?)"
        self.look = f"SELECT n, {', '.join(self._names[:-1])} FROM {self.name} WHERE id=?"
        self.by_id = f"SELECT doc FROM {self.name} WHERE id = ?"
        self.by_ids = f"SELECT doc FROM {self.name} WHERE id IN (SELECT value FROM json_each(?))"
        noted = f"SELECT n, CASE WHEN hash IS NOT NULL THEN doc END FROM {self.name} WHERE n=?"
        self.note_changed = f"INSERT OR IGNORE INTO {self.words}_stale {noted}"
        self.note_added = f"INSERT OR IGNORE INTO {self.words}_stale VALUES (?, NULL)"
        self.add_words = f"INSERT INTO {self.words}(rowid, tokens) VALUES (?, ?)"
        self.remove_words = f"INSERT INTO {self.words}({self.words}, rowid, tokens) VALUES ('delete', ?, ?)"

    def table_ddl(self) -> Iterator[str]:
        """The table, its unique keys, the full-text index, and the stale rows with their texts as indexed."""
        columns = "".join(f"{name}, " for name in self._names[3:-1])
        yield (
            f"CREATE TABLE {self.name}(n INTEGER PRIMARY KEY, id TEXT NOT NULL, version INTEGER NOT NULL, "
            f"gone INTEGER NOT NULL, hash INTEGER, {columns}doc BLOB NOT NULL)"
        )
        yield f"CREATE UNIQUE INDEX {self.name}_id ON {self.name}(id)"
        for key in self.spec.unique_keys:
            present = [f"{quoted(name)} IS NOT NULL" for name in self.spec.present_in(key)]
            where = present + scope_terms(Scope.LIVE) * key.live_only
            yield self._index_ddl("UNIQUE INDEX", key.name, key.fields, where)
        if self.words:
            yield f"CREATE TABLE {self.words}_stale(n INTEGER PRIMARY KEY, doc BLOB)"
            options = "content='', detail=none, columnsize=0, tokenize='ascii'"
            yield f"CREATE VIRTUAL TABLE {self.words} USING fts5(tokens, {options})"

    def index_ddl(self) -> Iterator[str]:
        """The other indexes, each of which ends with the id to break ties, and triggers: they count live records, and
        note the words of rows that somebody deletes by hand, whose numbers are given again.
        """
        for index in self.indexes:
            present = () if index in self.orders else self.spec.present_in(index)
            where = scope_terms(index.scope) + [f"{quoted(name)} IS NOT NULL" for name in present]
            yield self._index_ddl("INDEX", index.name, tuple(dict.fromkeys((*index.fields, ID))), where)
        if self.words:
            noted = "VALUES (OLD.n, CASE WHEN OLD.hash IS NOT NULL THEN OLD.doc END)"
            note = f"INSERT OR IGNORE INTO {self.words}_stale {noted}"
            yield f"CREATE TRIGGER {self.words}_gone AFTER DELETE ON {self.name} BEGIN {note}; END"
        if not self.has_live_count:
            return
        deleted = quoted(IS_DELETED)
        if self.words:
            yield self._index_ddl("INDEX", f"{self.name}_not_live", (ID,), [f"{deleted} IS NOT 0"])
        for event, change in (
            ("INSERT", f"(NEW.{deleted} IS 0)"),
            (f"UPDATE OF {deleted}", f"(NEW.{deleted} IS 0) - (OLD.{deleted} IS 0)"),
            ("DELETE", f"-(OLD.{deleted} IS 0)"),
        ):
            count = f"UPDATE live_counts SET live = live + {change} WHERE collection = '{self.name}'"
            yield f"CREATE TRIGGER {self.name}_{event[:6]} AFTER {event} ON {self.name} BEGIN {count}; END"

    def _index_ddl(self, kind: str, name: str, columns: tuple[str, ...], where: list[str]) -> str:
        partial = f" WHERE {' AND '.join(where)}" if where else ""
        return f"CREATE {kind} {name} ON {self.name}({', '.join(map(quoted, columns))}){partial}"

    @cached_property
    def fingerprint(self) -> str:
        """Identifies columns, indexes, the rule for words and the conversion of old documents."""
        spec, rule = self.spec, RULE if self.words else None
        facts = (*self.table_ddl(), *self.index_ddl(), spec.fields, spec.text_fields, spec.legacy_names, rule)
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def row(self, record: Record, data: bytes) -> tuple[Any, ...]:
        """The values for `insert` without the last one, the id."""
        if is_tombstone(record):
            return (record[VERSION], 1, *(None,) * (len(self._names) - 3), data)
        get = record.get
        values = [
            # Most values are stored as they are; asking here spares a call for each.
            value if value is None or (type(value) is kind and kind is not datetime) else _stored(value, kind)
            for value, kind in [(get(name), kind) for name, kind in self._scalars]
        ]
        lists = [None if (value := get(name)) is None else _json_list(value) for name in self.lists]
        return (record[VERSION], 0, self._text_hash(record), *values, *lists, data)

    def update(self, stored: StoredRow, values: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
        """The statement and parameters that update a stored row, as `look` returned it, to these values.

        It only sets changed columns, because SQLite updates the indexes of every column that is set.
        """
        changed = [at for at, value in enumerate(stored[1:]) if value != values[at]]
        sets = ", ".join(f"{self._names[at]}=?" for at in (*changed, -1))
        parameters = (*(values[at] for at in changed), values[-1], stored[0])
        return f"UPDATE {self.name} SET {sets} WHERE n=?", parameters

    def given_up(self, stored: StoredRow, values: tuple[Any, ...]) -> list[str]:
        """The columns of unique keys whose values change with this update."""
        return [
            name
            for name, old, new in zip(self._names, stored[1:], values, strict=False)
            if name in self._keyed and old != new
        ]

    def without_keys(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The values of `row` for a record whose unique values belong to another record."""
        return tuple(
            None if name in self._keyed else value for name, value in zip(self._names, values, strict=True)
        )

    def _text_hash(self, record: Record) -> int | None:
        """A hash of the texts, so that words are only indexed again if they changed. None without searched texts."""
        if not self.words:
            return None
        searched = [*self.spec.texts(record), str(self.spec.number(record))]
        texts = "\0".join(searched).encode("utf-8", "surrogatepass")
        return zlib.crc32(texts) << 31 ^ zlib.adler32(texts)

    def tokens(self, record: Record) -> str:
        """The tokens of a record as one text. FTS5's ascii tokenizer splits it at the spaces, and only there."""
        return " ".join(self.spec.tokens(record))

    def found_by(self, record: Record) -> frozenset[str] | None:
        """The tokens under which searches find the record, for `has_words`; None for a tombstone."""
        return None if is_tombstone(record) else frozenset(self.spec.tokens(record))

    def sql_value(self, name: str, value: Any) -> Any:
        """The column's value for this value of the field; NO_VALUE if no column can hold it."""
        if isinstance(value, Enum):
            value = value.value
        kind = self.kinds[name]
        if type(value) is not _TYPES[kind] or (isinstance(value, str) and has_surrogates(value)):
            return NO_VALUE
        if isinstance(value, datetime) and value.microsecond % 1000:
            # Stored instants have whole milliseconds, but a bound may have fractions; SQLite compares both exactly.
            return (value - EPOCH) / MILLISECOND
        is_wide = type(value) is int and not -(2**63) <= value < 2**63
        return float(value) if is_wide else _stored(value, _TYPES[kind])


def has_words(tokens: frozenset[str] | None, text: str, rank: int | None) -> bool:
    """Whether a record with these tokens matches a HasWords."""
    return tokens is not None and holds(condition_of(text, None if rank is None else Rank(rank)), tokens)


def quoted(name: str) -> str:
    """The name in brackets, because SQLite treats an unknown name in double quotes as a text, without a warning."""
    return f"[{name}]"


def scope_terms(scope: Scope) -> list[str]:
    """The predicate of a partial index; a question must repeat it literally to use the index."""
    terms = []
    for name, values in scope.held.items():
        literals = [
            str(int(one)) if isinstance(one, bool) else f"'{one}'" for one in values if one is not None
        ]
        one_of = f"IN ({', '.join(literals)})" if len(literals) > 1 else f"= {literals[0]}"
        term = f"{quoted(name)} {one_of}"
        terms.append(f"({quoted(name)} IS NULL OR {term})" if None in values else term)
    return terms


def has_surrogates(text: str) -> bool:
    """Whether the text contains halves of surrogate pairs, which neither SQLite nor documents can hold."""
    return not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text)


def _stored(value: Any, kind: type[Any]) -> Any:
    """The value of a column."""
    if type(value) is not kind:
        return bson.encode({"": value})
    return (value - EPOCH) // MILLISECOND if kind is datetime else value


def _json_list(value: Any) -> Any:
    """The texts in a list, because questions only ask for texts. Texts with NUL are left out as well, because SQLite's
    JSON functions would cut them there.
    """
    if not isinstance(value, list | tuple):
        return bson.encode({"": value})
    return _encode_json([item for item in value if type(item) is str and "\0" not in item]).decode()


TABLES: dict[str, Table] = {name: Table(spec) for name, spec in SPECS.items()}
