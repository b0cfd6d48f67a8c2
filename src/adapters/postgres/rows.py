"""The one mapping between records and rows, written for the hot path: values are checked and never changed.

Values travel as text or inside one JSON parameter, so every statement has the same parameter types and is planned
once. PostgreSQL would silently turn `5` into the text "5" and 3.0 into 3; the record schema rejects such values first.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from adapters.postgres.columns import EXTRA, IS_ERASED_COLUMN, SYNCED_AT, WORDS, column_of
from adapters.records.fields import FieldKind
from adapters.records.record import ID, IS_DELETED, IS_ERASED, VERSION, Record, is_tombstone, tombstone
from adapters.records.specs import ALL_SPECS, RecordSpec

EXACT_FLOAT_MAX = 1e16
"""From here on Python writes exponents, and jsonb returns digits that would read as an integer."""

NUL_MESSAGE = "A text contains the NUL character."

_TYPES: dict[FieldKind, type[object]] = {
    FieldKind.TEXT: str,
    FieldKind.INTEGER: int,
    FieldKind.BOOLEAN: bool,
    FieldKind.INSTANT: datetime,
    FieldKind.DAY: str,
}
_SQL_TYPES = {
    FieldKind.TEXT: "text",
    FieldKind.INTEGER: "bigint",
    FieldKind.BOOLEAN: "boolean",
    FieldKind.INSTANT: "timestamptz",
    FieldKind.DAY: "date",
    FieldKind.JSON: "jsonb",
}
_encode = msgspec.json.Encoder().encode


class Unstorable(Exception):
    """A record holds a value that its column cannot hold as it is; the message names the field, never the value."""


@dataclass(frozen=True, slots=True)
class RowColumn:
    """One written column: `key` names its value in JSON rows."""

    name: str
    key: str
    sql_type: str


class RowForm:
    """The conversion between the records of one spec and rows."""

    def __init__(self, spec: RecordSpec[Any]) -> None:
        self.spec = spec
        self.table = spec.table
        self.columns = tuple(_columns_of(spec))
        self.column_of = {field.name: column_of(field) for field in spec.fields} | {
            IS_ERASED: IS_ERASED_COLUMN
        }
        self.type_of = {field.name: _TYPES.get(field.kind, str) for field in spec.fields} | {IS_ERASED: bool}
        self.read_columns = (*(column_of(field) for field in spec.fields), IS_ERASED_COLUMN, EXTRA)
        self.keeps_synced_at = all(field.column != SYNCED_AT for field in spec.fields)
        self._names = tuple(field.name for field in spec.fields)
        self._known = frozenset(self._names)
        self._trees = tuple(field.name for field in spec.fields if field.kind is FieldKind.JSON)
        self._days = tuple(field.name for field in spec.fields if field.kind is FieldKind.DAY)
        self._texts = spec.text_fields
        self._written = tuple((column.key, _WRITTEN[column.sql_type]) for column in self.columns)
        self._id_at, self._version_at = self._names.index(ID), self._names.index(VERSION)

    def json_row(self, record: Record) -> dict[str, Any]:
        """The row as JSON values by column key. Raises RuleBroken for a record that does not fit, or Unstorable."""
        self.spec.schema.require(record)
        if is_tombstone(record):
            return self._erased(record)
        row = dict(record)
        unknown = record.keys() - self._known
        if unknown:
            row = {name: value for name, value in record.items() if name in self._known}
            row[EXTRA] = _extra(record, unknown - {IS_ERASED})
        for name in self._trees:
            if type(row.get(name)) in _NESTED:
                row[name] = storable_tree(row[name], name)
        if self._texts:
            row[WORDS] = search_words(self.spec.tokens(record))
        return row

    def values(self, record: Record) -> list[str | None]:
        """The row as texts in the order of `columns`. Raises as `json_row` does."""
        get = self.json_row(record).get
        return [None if (value := get(key)) is None else written(value) for key, written in self._written]

    def copy_line(self, record: Record) -> bytes:
        """The row as one line of COPY's text format, without its end. Raises as `json_row` does, and UnicodeError."""
        values = self.values(record)
        line = "\t".join([NULL if value is None else value for value in values])
        if "\0" in line:
            raise Unstorable(NUL_MESSAGE)
        # Few rows need an escape, and to search a whole line costs less than to search its values.
        is_plain = "\n" not in line and "\r" not in line and line.count("\t") == len(values) - 1
        if not is_plain or line.count("\\") != values.count(None):
            line = _escaped(values)
        return line.encode()

    def record(self, row: Sequence[Any]) -> Record:
        """The record of a row of `read_columns`."""
        *_, is_erased, extra = row
        if is_erased:
            return tombstone(row[self._id_at], row[self._version_at])
        record = dict(zip(self._names, row, strict=False))
        for name in self._days:
            if record[name] is not None:
                record[name] = record[name].isoformat()
        if extra is not None:
            record.update(extra["values"])
            record.update({name: datetime.fromisoformat(text) for name, text in extra["instants"].items()})
        return record

    def _erased(self, record: Record) -> dict[str, Any]:
        row = {ID: record[ID], VERSION: record[VERSION], IS_ERASED: True}
        return {**row, IS_DELETED: True} if IS_DELETED in self._known else row


def _columns_of(spec: RecordSpec[Any]) -> Iterator[RowColumn]:
    for field in spec.fields:
        yield RowColumn(column_of(field), field.name, _SQL_TYPES[field.kind])
    yield RowColumn(IS_ERASED_COLUMN, IS_ERASED, "boolean")
    yield RowColumn(EXTRA, EXTRA, "jsonb")
    if spec.text_fields:
        yield RowColumn(WORDS, WORDS, "tsvector")


_WRITTEN: dict[str, Callable[[Any], str]] = {
    "text": str,
    "bigint": str,
    "boolean": lambda value: "t" if value else "f",
    "timestamptz": datetime.isoformat,
    "date": str,
    "jsonb": lambda value: _encode(value).decode(),
    "tsvector": str,
}
"""A value in PostgreSQL's own notation, by the type of its column."""

NULL = r"\N"
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _escaped(values: Iterable[str | None]) -> str:
    return "\t".join([NULL if value is None else value.translate(_ESCAPES) for value in values])


def _extra(record: Record, names: Iterable[str]) -> dict[str, Any] | None:
    """Unknown fields; instants are kept separately, because JSON would return them as texts."""
    values = {name: record[name] for name in names}
    if not values:
        return None
    instants = {name: value.isoformat() for name, value in values.items() if isinstance(value, datetime)}
    plain = {name: storable_tree(value, name) for name, value in values.items() if name not in instants}
    return {"values": plain, "instants": instants}


def search_words(tokens: Iterable[str]) -> str:
    """The tokens as the literal of a `tsvector`. ASCII tokens are letters and digits, and need no quotes."""
    return " ".join([token if token.isascii() else f"'{token}'" for token in tokens])


_NESTED = frozenset((dict, list, tuple, float))
"""The types that are checked before they become JSON."""


def storable_tree(value: Any, name: str) -> Any:
    """The tree as jsonb returns it. Raises Unstorable for NaN and infinities, which msgspec would write as null."""
    pending = [value] if type(value) in _NESTED else []
    is_exact = True
    while pending:
        item = pending.pop()
        if type(item) is float:
            if not math.isfinite(item):
                raise Unstorable(f"The field {name} holds a number that is not finite.")
            is_exact = is_exact and abs(item) < EXACT_FLOAT_MAX
        else:
            parts = item.values() if type(item) is dict else item
            pending += [part for part in parts if type(part) in _NESTED]
    return value if is_exact else _with_long_floats(value)


def _with_long_floats(value: Any) -> Any:
    """The tree with floats beyond 16 digits written out and marked by a fraction, so that they come back as floats."""
    if isinstance(value, dict):
        return {key: _with_long_floats(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_long_floats(item) for item in value]
    if isinstance(value, float) and abs(value) >= EXACT_FLOAT_MAX:
        return msgspec.Raw(f"{value:.1f}".encode())
    return value


FORMS: dict[str, RowForm] = {spec.collection: RowForm(spec) for spec in ALL_SPECS}
"""The row form of each collection."""


def encoded_rows(collection: str, records: Iterable[Record]) -> str:
    """Rows as the one JSON parameter of a statement. Raises as `json_row` does."""
    row_of = FORMS[collection].json_row
    return _encode([row_of(record) for record in records]).decode()
