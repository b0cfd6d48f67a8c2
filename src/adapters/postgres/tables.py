"""The tables, derived from the specs by rule. Migrations declare the same tables; a test compares both.

    mongo_id    the record's id, and the key
    …           one column per field of the spec, with a real type
    synced_at   when the mirror wrote the row; null where this store was the source
    is_erased   true in tombstones, null otherwise
    extra       unknown fields, kept and returned
    words       the words of the text fields, for search

Columns other than the key and the version are nullable, since a tombstone has no other values. One check requires that
of tombstones, and one requires the spec's required fields of all other rows. More checks limit values and kinds of
JSON. Text sorts by code point (the C collation). Instants are `timestamptz` without a precision: `timestamptz(3)` would
round silently.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy import Index as TableIndex
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, TSVECTOR
from sqlalchemy.sql.expression import ColumnElement, TextClause
from sqlalchemy.types import TypeEngine

from adapters.postgres.columns import (
    EXTRA,
    IS_ERASED_COLUMN,
    NEVER_NULL,
    NEVER_NULL_COLUMNS,
    SYNCED_AT,
    WORDS,
    check_name,
    column_of,
)
from adapters.records.criteria import Scalar
from adapters.records.fields import Field, FieldKind
from adapters.records.indexes import Index, Scope, UniqueKey
from adapters.records.record import ID, IS_DELETED
from adapters.records.specs import ALL_SPECS, RecordSpec

metadata = MetaData()


def _type_of(kind: FieldKind) -> TypeEngine[Any]:
    types: dict[FieldKind, TypeEngine[Any]] = {
        FieldKind.TEXT: Text(collation="C"),
        FieldKind.INTEGER: BigInteger(),
        FieldKind.BOOLEAN: Boolean(),
        FieldKind.INSTANT: TIMESTAMP(timezone=True),
        FieldKind.DAY: Date(),
        FieldKind.JSON: JSONB(),
    }
    return types[kind]


def _field_column(field: Field) -> Column[Any]:
    return Column(
        column_of(field),
        _type_of(field.kind),
        primary_key=field.name == ID,
        nullable=field.name not in NEVER_NULL,
        autoincrement=False,
    )


def _own_columns(spec: RecordSpec[Any]) -> list[Column[Any]]:
    """The columns of rows besides the record's fields."""
    columns: list[Column[Any]] = [Column(IS_ERASED_COLUMN, Boolean()), Column(EXTRA, JSONB())]
    if all(field.column != SYNCED_AT for field in spec.fields):
        columns.insert(0, Column(SYNCED_AT, TIMESTAMP(timezone=True)))
    if spec.text_fields:
        columns.append(Column(WORDS, TSVECTOR()))
    return columns


def _emptiness(spec: RecordSpec[Any]) -> CheckConstraint:
    """The check that a tombstone has no content."""
    content = [column_of(field) for field in spec.fields if field.name not in {*NEVER_NULL, IS_DELETED}]
    own = [EXTRA, WORDS] if spec.text_fields else [EXTRA]
    kept_empty = " AND ".join(f"{name} IS NULL" for name in (*content, *own) if name != SYNCED_AT)
    return CheckConstraint(f"{IS_ERASED_COLUMN} IS NOT TRUE OR ({kept_empty})", name=f"{spec.table}_erased")


def _completeness(spec: RecordSpec[Any]) -> CheckConstraint:
    """The check that a row, unless it is a tombstone, has every required field."""
    required = [column_of(field) for field in spec.fields if not field.nullable]
    there = " AND ".join(f"{name} IS NOT NULL" for name in required if name not in NEVER_NULL_COLUMNS)
    return CheckConstraint(f"{IS_ERASED_COLUMN} IS TRUE OR ({there})", name=f"{spec.table}_required")


def _limits(spec: RecordSpec[Any]) -> Iterator[CheckConstraint]:
    """The allowed values of enumerations and kinds of JSON. Nulls pass: `_completeness` checks those."""
    for field in spec.fields:
        column, name = column_of(field), check_name(spec, field)
        if field.values:
            yield CheckConstraint(_one_of(column, field.values), name=name)
        elif field.kind is FieldKind.JSON:
            kind = "array" if field.is_list else "object"
            yield CheckConstraint(f"jsonb_typeof({column}) = '{kind}'", name=name)


def _condition(spec: RecordSpec[Any], index: UniqueKey | Index) -> TextClause | None:
    """The condition of a partial index, in the words that questions use."""
    held = (
        (Scope.LIVE if index.live_only else Scope.ALL).held
        if isinstance(index, UniqueKey)
        else index.scope.held
    )
    clauses = [_one_of(column_of(spec.field(name)), values) for name, values in held.items()]
    clauses += [f"{column_of(spec.field(name))} IS NOT NULL" for name in spec.present_in(index)]
    return text(" AND ".join(clauses)) if clauses else None


def _one_of(column: str, values: Sequence[Scalar | None]) -> str:
    """The column holds one of these values, all of which come from the specs; None is for null."""
    if values in ((True,), (False,)):
        return column if values[0] else f"NOT {column}"
    one_of = f"{column} IN ({', '.join(repr(value) for value in values if value is not None)})"
    return f"({column} IS NULL OR {one_of})" if None in values else one_of


def _in_order(table: Table, field: Field) -> ColumnElement[Any]:
    """Nulls first ascending, and so last when read backwards: one index serves both directions."""
    column = table.c[column_of(field)]
    return column if field.name in NEVER_NULL else column.asc().nulls_first()


def _index_all(spec: RecordSpec[Any], table: Table) -> None:
    for key in spec.unique_keys:
        columns = [table.c[column_of(spec.field(name))] for name in key.fields]
        TableIndex(key.name, *columns, unique=True, postgresql_where=_condition(spec, key))
    for index in spec.indexes:
        fields = [spec.field(name) for name in dict.fromkeys((*index.fields, ID))]
        ordered = [_in_order(table, field) for field in fields]
        TableIndex(index.name, *ordered, postgresql_where=_condition(spec, index))
    if spec.text_fields:
        TableIndex(f"{spec.collection}_words", table.c[WORDS], postgresql_using="gin")


def _table_of(spec: RecordSpec[Any]) -> Table:
    columns = [*map(_field_column, spec.fields), *_own_columns(spec)]
    table = Table(spec.table, metadata, *columns, _emptiness(spec), _completeness(spec), *_limits(spec))
    _index_all(spec, table)
    return table


LANES = Table(
    "tandem_lanes",
    metadata,
    Column("lane", BigInteger(), primary_key=True, autoincrement=False),
    *(Column(name, BigInteger(), nullable=False) for name in ("number", "epoch", "pid")),
    *(Column(name, Text(), nullable=False) for name in ("opening", "process", "host", "boot")),
    Column("is_open", Boolean(), nullable=False),
    Column("beaten_at", TIMESTAMP(timezone=True), nullable=False),
    Column("is_checkpointed", Boolean(), nullable=False, server_default=text("false")),
    TableIndex("tandem_lanes_compared", "lane", postgresql_where=text("NOT is_checkpointed")),
)
"""The lanes of this store."""

SEEN = Table(
    "tandem_seen",
    metadata,
    Column("lane", BigInteger(), primary_key=True, autoincrement=False),
    Column("number", BigInteger(), nullable=False),
    Column("cut", BigInteger()),
    Column("is_checkpointed", Boolean(), nullable=False, server_default=text("false")),
    TableIndex("tandem_seen_compared", "lane", postgresql_where=text("NOT is_checkpointed")),
)
"""What this store has seen of the lanes of other stores."""

FOREIGN_CHANGES = Table(
    "tandem_foreign_changes",
    metadata,
    Column("table_name", Text(), primary_key=True),
    Column("statements", BigInteger(), nullable=False),
)
"""How many statements of other programs have changed each table; a trigger counts them."""

TABLES: dict[str, Table] = {spec.collection: _table_of(spec) for spec in ALL_SPECS}
"""Each table by its collection."""
