"""The names of columns and constraints, derived from the specs by rule.

Statements are put together from these names alone. The tables themselves need SQLAlchemy, which is slow to load, and
which a target never needs: it answers no questions.
"""

from collections.abc import Iterator
from typing import Any

from adapters.records.fields import Field, FieldKind
from adapters.records.indexes import UniqueKey
from adapters.records.record import ID, VERSION
from adapters.records.specs import ALL_SPECS, RecordSpec

KEY_COLUMN = "mongo_id"
SYNCED_AT = "synced_at"
IS_ERASED_COLUMN = "is_erased"
EXTRA = "extra"
WORDS = "words"
NEVER_NULL = frozenset({ID, VERSION})
"""The fields of a tombstone, besides its marks."""
NEVER_NULL_COLUMNS = frozenset({KEY_COLUMN, VERSION})


def column_of(field: Field) -> str:
    """The column that holds a field."""
    return KEY_COLUMN if field.name == ID else field.column


def unique_keys_by_constraint() -> dict[str, UniqueKey]:
    """Each unique key by the name PostgreSQL reports when it is violated."""
    return {key.name: key for spec in ALL_SPECS for key in spec.unique_keys}


def fields_by_constraint() -> dict[str, str]:
    """The field that each check on values is about, by the name PostgreSQL reports when it is violated."""
    return {check_name(spec, field): field.name for spec in ALL_SPECS for field in spec.fields}


def index_names() -> Iterator[str]:
    """The name of every index of the tables."""
    for spec in ALL_SPECS:
        yield f"{spec.table}_pkey"
        yield f"{spec.collection}_words"
        yield from (key.name for key in spec.unique_keys)
        yield from (index.name for index in spec.indexes)


def check_name(spec: RecordSpec[Any], field: Field) -> str:
    """The name of the check on the values of one field."""
    return f"{spec.table}_{column_of(field)}_{'kind' if field.kind is FieldKind.JSON else 'known'}"
