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
from sqlalchemy.dialects.postgresql import JSONB, OID, TIMESTAMP, TSVECTOR
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import TypeEngine

from adapters.postgres.columns import EXTRA, IS_ERASED_COLUMN, NEVER_NULL, SYNCED_AT, WORDS, column_of
from adapters.postgres.conditions import checks_of
from adapters.postgres.expected_parts import INDEXES, ExpectedIndex
from adapters.records.fields import Field, FieldKind
from adapters.records.record import ID
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


def _index_all(table: Table) -> None:
    for index in INDEXES:
        if index.table == table.name:
            TableIndex(
                index.name,
                *(_key(table, index, column) for column in index.columns),
                unique=index.is_unique,
                postgresql_using=index.method,
                postgresql_where=None if index.condition is None else text(index.condition),
            )


def _key(table: Table, index: ExpectedIndex, name: str) -> ColumnElement[Any]:
    return table.c[name].asc().nulls_first() if index.has_nulls_first(name) else table.c[name]


def _table_of(spec: RecordSpec[Any]) -> Table:
    columns = [*map(_field_column, spec.fields), *_own_columns(spec)]
    checks = [CheckConstraint(condition, name=name) for name, condition in checks_of(spec).items()]
    table = Table(spec.table, metadata, *columns, *checks)
    _index_all(table)
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
)
"""The lanes of this store."""
_index_all(LANES)

SEEN = Table(
    "tandem_seen",
    metadata,
    Column("lane", BigInteger(), primary_key=True, autoincrement=False),
    Column("number", BigInteger(), nullable=False),
    Column("cut", BigInteger()),
    Column("is_checkpointed", Boolean(), nullable=False, server_default=text("false")),
)
"""What this store has seen of the lanes of other stores."""
_index_all(SEEN)

FOREIGN_CHANGES = Table(
    "tandem_foreign_changes",
    metadata,
    Column("table_name", Text(), primary_key=True),
    Column("statements", BigInteger(), nullable=False),
)
"""How many statements of other programs have changed each table; a trigger counts them."""

MADE = Table(
    "tandem_tables",
    metadata,
    Column("table_name", Text(), primary_key=True),
    Column("table_oid", OID(), nullable=False),
)
"""Which tables the migrations have made."""

TABLES: dict[str, Table] = {spec.collection: _table_of(spec) for spec in ALL_SPECS}
"""Each table by its collection."""
