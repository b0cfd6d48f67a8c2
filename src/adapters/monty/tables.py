"""One table per collection, derived from its spec: columns, indexes, and the values that are stored in them."""

# ruff: noqa: S608 - statements are put together from the specs; values are parameters

import hashlib
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import Any

import bson
import msgspec

from adapters.records.criteria import Lead, words_of
from adapters.records.fields import FieldKind
from adapters.records.record import ID, IS_DELETED, VERSION, Record, is_tombstone
from adapters.records.specs import SPECS, Index, RecordSpec, Scope

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
OWN_COLUMNS = (ID, VERSION)
NO_VALUE = object()
"""What a column of this kind can never hold."""
UPDATES_MAX = 256
"""How many combinations of changed columns have their statement kept."""
LIVE_COUNTS = "CREATE TABLE IF NOT EXISTS live_counts(collection TEXT PRIMARY KEY, live INTEGER NOT NULL)"
"""How many live records each collection has; triggers keep it in the transaction that changes them."""

_SAMPLE = " ".join(map(chr, range(0x20, 0x3100))) + "".join(map(chr, range(0x20, 0x3100)))
_WORD_RULE = f"{unicodedata.unidata_version} {zlib.crc32(repr(words_of(_SAMPLE)).encode())}"
"""Changes when the rule for words does."""
_encode_json = msgspec.json.Encoder().encode


class Table:
    """How SQLite stores the records of one spec.

    Columns have no declared type: SQLite would turn 1 into '1' in a TEXT column. A value that does not have its
    field's kind (in documents written by other programs) becomes a BLOB: it is not null, equals nothing and lies in no
    range. All columns of a tombstone are null, so indexes and unique keys ignore it.
    """

    def __init__(self, spec: RecordSpec[Any]) -> None:
        self.spec, self.name = spec, spec.collection
        keyed = [name for key in spec.unique_keys for name in key.fields]
        self._keyed = [name for name in keyed if name not in OWN_COLUMNS]
        asked = {*keyed, *(name for index in spec.indexes for name in index.fields)}
        fields = [
            field
            for field in spec.fields
            if field.name not in OWN_COLUMNS
            and (field.name in asked or field.name not in spec.text_fields[1:])
        ]
        scalars = {field.name: field.kind for field in fields if field.kind is not FieldKind.JSON}
        self.lists = tuple(field.name for field in fields if field.is_list)
        self.columns = (*scalars, *self.lists)
        self.kinds = {**scalars, ID: FieldKind.TEXT, VERSION: FieldKind.INTEGER}
        self.nullable = {field.name for field in fields if field.nullable}
        self.words = f"{self.name}_words" if spec.text_fields else None
        self.has_live_count = IS_DELETED in scalars
        self.orders = tuple(
            Index(f"{self.name}_by_{field}", (field,), Scope.LIVE) for field in spec.list_orders
        )
        self.indexes = (*spec.indexes, *self.orders)
        self._convert = tuple((name, _CONVERT[kind]) for name, kind in scalars.items())
        self._updates: dict[tuple[int, ...], str] = {}
        self._prepare_statements()

    def _prepare_statements(self) -> None:
        names = ["version", "gone", "hash", *map(quoted, self.columns), "doc"]
        marks = ", ".join("?" * (len(names) + 1))
        self.insert = f"INSERT INTO {self.name}({', '.join(names)}, id) VALUES ({marks})"
        self.insert_numbered = f"INSERT INTO {self.name}({', '.join(names)}, id, n) VALUES ({marks}, ?)"
        self.look = f"SELECT n, {', '.join(names[:-1])} FROM {self.name} WHERE id=?"
        self._names = tuple(names)
        keyed = self._keyed
        nulls = ", ".join(f"{quoted(name)}=NULL" for name in dict.fromkeys(keyed))
        self.vacate = f"UPDATE {self.name} SET {nulls} WHERE id=?" if keyed else ""
        """Gives up the unique values of a record that the same change set stores again."""
        indexed = "CASE WHEN hash IS NOT NULL THEN doc END"
        self.note_changed = (
            f"INSERT OR IGNORE INTO {self.words}_stale SELECT n, {indexed} FROM {self.name} WHERE n=?"
        )
        self.note_added = f"INSERT INTO {self.words}_stale VALUES (?, NULL)"
        self.add_words = f"INSERT INTO {self.words}(rowid, lead, rest) VALUES (?, ?, ?)"
        self.remove_words = (
            f"INSERT INTO {self.words}({self.words}, rowid, lead, rest) VALUES ('delete', ?, ?, ?)"
        )

    def table_ddl(self) -> str:
        """The statement that creates the table itself."""
        columns = "".join(f"{quoted(name)}, " for name in self.columns)
        return (
            f"CREATE TABLE {self.name}(n INTEGER PRIMARY KEY, id TEXT NOT NULL, version INTEGER NOT NULL, "
            f"gone INTEGER NOT NULL, hash INTEGER, {columns}doc BLOB NOT NULL)"
        )

    def words_ddl(self) -> Iterator[str]:
        """The full-text index, and what rows held when it last saw them, for rows that have changed since."""
        if self.words:
            yield f"CREATE TABLE {self.words}_stale(n INTEGER PRIMARY KEY, doc BLOB)"
            yield (
                f"CREATE VIRTUAL TABLE {self.words} "
                "USING fts5(lead, rest, content='', detail=column, columnsize=0, tokenize='ascii')"
            )

    def unique_ddl(self) -> Iterator[str]:
        """The unique keys."""
        yield f"CREATE UNIQUE INDEX {self.name}_id ON {self.name}(id)"
        for key in self.spec.unique_keys:
            present = [f"{quoted(name)} IS NOT NULL" for name in self.spec.present_in(key)]
            scope = Scope.LIVE if key.live_only else Scope.ALL
            yield self._index_ddl("UNIQUE INDEX", key.name, key.fields, [*present, *scope_terms(scope)])

    def index_ddl(self) -> Iterator[str]:
        """The other indexes, each ending with the id that breaks ties, and the triggers that count live records."""
        for index in self.indexes:
            where = () if index in self.orders else self.spec.present_in(index)
            present = [f"{quoted(name)} IS NOT NULL" for name in where]
            columns = tuple(dict.fromkeys((*index.fields, ID)))
            yield self._index_ddl("INDEX", index.name, columns, [*scope_terms(index.scope), *present])
        if self.has_live_count:
            yield from self._live_count_ddl()

    def _live_count_ddl(self) -> Iterator[str]:
        column = quoted(IS_DELETED)
        if self.words:
            yield self._index_ddl("INDEX", f"{self.name}_not_live", (ID,), [f"{column} IS NOT 0"])
        change = "UPDATE live_counts SET live = live + ({}) WHERE collection = '" + self.name + "'; END"
        yield (
            f"CREATE TRIGGER {self.name}_inserted AFTER INSERT ON {self.name} WHEN NEW.{column} IS 0 "
            f"BEGIN {change.format(1)}"
        )
        yield (
            f"CREATE TRIGGER {self.name}_updated AFTER UPDATE OF {column} ON {self.name} "
            f"WHEN OLD.{column} IS NOT NEW.{column} "
            f"BEGIN {change.format(f'(NEW.{column} IS 0) - (OLD.{column} IS 0)')}"
        )

    def _index_ddl(self, kind: str, name: str, columns: tuple[str, ...], where: list[str]) -> str:
        partial = f" WHERE {' AND '.join(where)}" if where else ""
        return f"CREATE {kind} {name} ON {self.name}({', '.join(map(quoted, columns))}){partial}"

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever columns, indexes, words or the reading of old documents do."""
        facts = [
            self.table_ddl(),
            *self.words_ddl(),
            *self.unique_ddl(),
            *self.index_ddl(),
            self.spec.fields,
            self.spec.text_fields,
        ]
        if self.words:
            facts.append(_WORD_RULE)
        return hashlib.sha256(repr([*facts, self.spec.former_names]).encode()).hexdigest()

    def row(self, record: Record, data: bytes) -> tuple[Any, ...]:
        """The values for `insert` and `update` without their last one, the id or the number."""
        if is_tombstone(record):
            return (record[VERSION], 1, None, *(None,) * len(self.columns), data)
        get = record.get
        values = [None if (value := get(name)) is None else convert(value) for name, convert in self._convert]
        lists = [None if (value := get(name)) is None else _json_list(value) for name in self.lists]
        return (record[VERSION], 0, self._text_hash(record), *values, *lists, data)

    def update(self, stored: tuple[Any, ...], values: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
        """The statement and parameters that turn a row, as `look` found it, into these values.

        It names changed columns only: SQLite renews every index of a column that is named, changed or not.
        """
        changed = tuple(at for at, value in enumerate(stored[1:]) if value != values[at])
        params = [values[at] for at in changed]
        return self._update_of(changed), (*params, values[-1], stored[0])

    def _update_of(self, changed: tuple[int, ...]) -> str:
        statement = self._updates.get(changed)
        if statement is None:
            sets = ", ".join(f"{self._names[at]}=?" for at in (*changed, -1))
            statement = f"UPDATE {self.name} SET {sets} WHERE n=?"
            if len(self._updates) < UPDATES_MAX:
                self._updates[changed] = statement
        return statement

    def without_keys(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The values of `row` for a record whose unique values another one holds."""
        keyed = set(map(quoted, self._keyed))
        return tuple(
            None if name in keyed else value for name, value in zip(self._names, values, strict=True)
        )

    def _text_hash(self, record: Record) -> int | None:
        """Tells texts apart, so that words are indexed again only where texts changed. None where there are none."""
        if not self.words:
            return None
        texts = "\0".join(self._texts(record)).encode("utf-8", "surrogatepass")
        return zlib.crc32(texts) << 31 ^ zlib.adler32(texts)

    def tokens(self, record: Record) -> tuple[str, str]:
        """The words of the first text field and of the others, in a form that FTS5's ascii tokenizer keeps."""
        lead, *others = self._texts(record)
        return " ".join(words_of(lead)), " ".join(words_of(" ".join(others)))

    def has_words(self, record: Record, text: str, lead: int | None) -> bool:
        """HasWords, decided for one record."""
        if is_tombstone(record):
            return False
        asked, (first, others) = set(words_of(text)), self.tokens(record)
        led = asked & set(first.split())
        if not asked <= {*led, *others.split()}:
            return False
        return lead is None or lead == (Lead.ALL if led == asked else Lead.SOME if led else Lead.NONE)

    def _texts(self, record: Record) -> list[str]:
        return [text if isinstance(text := record.get(name), str) else "" for name in self.spec.text_fields]

    def sql_value(self, name: str, value: Any) -> Any:
        """What a column holds where the field has this value; NO_VALUE where it can hold no such thing."""
        if isinstance(value, Enum):
            value = value.value
        kind = self.kinds[name]
        if type(value) is not _TYPES[kind]:
            return NO_VALUE
        if isinstance(value, datetime):
            delta = value - EPOCH
            # Nothing stored lies between milliseconds, but a bound may; SQLite compares both exactly.
            return delta // MILLISECOND if not value.microsecond % 1000 else delta / MILLISECOND
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return float(value)
        return NO_VALUE if isinstance(value, str) and has_surrogates(value) else value


def quoted(name: str) -> str:
    """Brackets: a double-quoted name that is no column is a string literal to SQLite, without a warning."""
    return f"[{name}]"


def scope_terms(scope: Scope) -> list[str]:
    """The predicate of a partial index; questions must repeat it word for word to be served by the index."""
    return [_held(name, values) for name, values in scope.held.items()]


def _held(name: str, values: tuple[Any, ...]) -> str:
    literals = [str(int(one)) if isinstance(one, bool) else f"'{one}'" for one in values]
    return (
        f"{quoted(name)} = {literals[0]}"
        if len(literals) == 1
        else f"{quoted(name)} IN ({', '.join(literals)})"
    )


def has_surrogates(text: str) -> bool:
    """Whether the text holds halves of surrogate pairs, which SQLite cannot take and documents cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _other_kind(value: Any) -> bytes:
    return bson.encode({"": value})


def _text(value: Any) -> Any:
    return value if type(value) is str else _other_kind(value)


def _integer(value: Any) -> Any:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else _other_kind(value)


def _boolean(value: Any) -> Any:
    return int(value) if value is True or value is False else _other_kind(value)


def _instant(value: Any) -> Any:
    return (value - EPOCH) // MILLISECOND if isinstance(value, datetime) else _other_kind(value)


def _json_list(value: Any) -> Any:
    """Only texts are ever asked for. SQLite's JSON functions cut a text at a NUL, so such texts are left out too."""
    if not isinstance(value, list | tuple):
        return _other_kind(value)
    return _encode_json([item for item in value if type(item) is str and "\0" not in item]).decode()


_CONVERT: dict[FieldKind, Callable[[Any], Any]] = {
    FieldKind.TEXT: _text,
    FieldKind.INTEGER: _integer,
    FieldKind.BOOLEAN: _boolean,
    FieldKind.INSTANT: _instant,
}
_TYPES = {FieldKind.TEXT: str, FieldKind.INTEGER: int, FieldKind.BOOLEAN: bool, FieldKind.INSTANT: datetime}

TABLES: dict[str, Table] = {name: Table(spec) for name, spec in SPECS.items()}
