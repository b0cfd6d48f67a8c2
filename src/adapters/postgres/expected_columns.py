"""The columns that the tables must have, with their types, derived from the specs by rule."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.postgres.columns import (
    EXTRA,
    IS_ERASED_COLUMN,
    KEY_COLUMN,
    NEVER_NULL_COLUMNS,
    SYNCED_AT,
    WORDS,
    column_of,
)
from adapters.records.fields import FieldKind
from adapters.records.specs import ALL_SPECS, RecordSpec

TEXT, NUMBER, BOOLEAN, INSTANT, DAY, JSON, TOKENS, OID = (
    "text",
    "bigint",
    "boolean",
    "timestamp with time zone",
    "date",
    "jsonb",
    "tsvector",
    "oid",
)
"""The types as PostgreSQL names them."""
REVISIONS: Final = "alembic_version"
_TYPES = {
    FieldKind.TEXT: TEXT,
    FieldKind.INTEGER: NUMBER,
    FieldKind.BOOLEAN: BOOLEAN,
    FieldKind.INSTANT: INSTANT,
    FieldKind.DAY: DAY,
    FieldKind.JSON: JSON,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedColumn:
    """A column by its name. `collation` is None where texts are only compared for equality, and for other types."""

    name: str
    type: str
    is_nullable: bool
    collation: str | None = None
    default: str | None = None

    @property
    def declared_type(self) -> str:
        """The type with its collation, as a statement names it."""
        return self.type if self.collation is None else f"{self.type} COLLATE {self.collation}"


def _own(name: str, kind: str, *, is_nullable: bool = False, default: str | None = None) -> ExpectedColumn:
    return ExpectedColumn(name=name, type=kind, is_nullable=is_nullable, default=default)


def _columns_of(spec: RecordSpec[Any]) -> Iterator[ExpectedColumn]:
    for field in spec.fields:
        name, kind = column_of(field), _TYPES[field.kind]
        yield ExpectedColumn(
            name=name,
            type=kind,
            is_nullable=name not in NEVER_NULL_COLUMNS,
            collation='"C"' if kind == TEXT else None,
        )
    if all(field.column != SYNCED_AT for field in spec.fields):
        yield _own(SYNCED_AT, INSTANT, is_nullable=True)
    yield _own(IS_ERASED_COLUMN, BOOLEAN, is_nullable=True)
    yield _own(EXTRA, JSON, is_nullable=True)
    if spec.text_fields:
        yield _own(WORDS, TOKENS, is_nullable=True)


_IS_CHECKPOINTED = _own("is_checkpointed", BOOLEAN, default="false")
OWN_TABLES: Final[Mapping[str, Sequence[ExpectedColumn]]] = {
    REVISIONS: (_own("version_num", "character varying(32)"),),
    "tandem_lanes": (
        *(_own(name, NUMBER) for name in ("lane", "number", "epoch", "pid")),
        *(_own(name, TEXT) for name in ("opening", "process", "host", "boot")),
        _own("is_open", BOOLEAN),
        _own("beaten_at", INSTANT),
        _IS_CHECKPOINTED,
    ),
    "tandem_seen": (
        _own("lane", NUMBER),
        _own("number", NUMBER),
        _own("cut", NUMBER, is_nullable=True),
        _IS_CHECKPOINTED,
    ),
    "tandem_foreign_changes": (_own("table_name", TEXT), _own("statements", NUMBER)),
    "tandem_tables": (_own("table_name", TEXT), _own("table_oid", OID)),
}
"""The columns of the tables that hold no records."""
EXPECTED_COLUMNS: Final[Mapping[str, Sequence[ExpectedColumn]]] = {
    **OWN_TABLES,
    **{spec.table: tuple(_columns_of(spec)) for spec in ALL_SPECS},
}
"""The columns of every table, by its name."""
PRIMARY_KEYS: Final[Mapping[str, str]] = {
    **{table: columns[0].name for table, columns in OWN_TABLES.items()},
    **{spec.table: KEY_COLUMN for spec in ALL_SPECS},
}
"""The column of the primary key of each table."""
