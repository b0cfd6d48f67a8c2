"""The conditions of partial indexes and the checks of the tables, as SQL derived from the specs by rule.

Without SQLAlchemy, which is slow to load: a running service compares them with what the database has.
"""

from collections.abc import Sequence
from typing import Any

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
from adapters.records.fields import FieldKind
from adapters.records.indexes import Index, Scope, UniqueKey
from adapters.records.record import IS_DELETED
from adapters.records.specs import RecordSpec


def condition_of(spec: RecordSpec[Any], index: UniqueKey | Index) -> str | None:
    """The condition of a partial index, in the words that questions use and with no more brackets than it needs; None
    for one that holds every row.
    """
    held = (
        (Scope.LIVE if index.live_only else Scope.ALL).held
        if isinstance(index, UniqueKey)
        else index.scope.held
    )
    clauses = [_one_of(column_of(spec.field(name)), values) for name, values in held.items()]
    clauses += [f"{column_of(spec.field(name))} IS NOT NULL" for name in spec.present_in(index)]
    if len(clauses) > 1:
        clauses = [f"({clause})" if " OR " in clause else clause for clause in clauses]
    return " AND ".join(clauses) or None


def checks_of(spec: RecordSpec[Any]) -> dict[str, str]:
    """The checks of a table by name: a tombstone has no content, any other row has every required field, and the
    values of enumerations and the kinds of JSON are limited. Nulls pass the latter.
    """
    checks = {f"{spec.table}_erased": _emptiness(spec), f"{spec.table}_required": _completeness(spec)}
    for field in spec.fields:
        column, name = column_of(field), check_name(spec, field)
        if field.values:
            checks[name] = _one_of(column, field.values)
        elif field.kind is FieldKind.JSON:
            checks[name] = f"jsonb_typeof({column}) = '{'array' if field.is_list else 'object'}'"
    return checks


def _emptiness(spec: RecordSpec[Any]) -> str:
    content = [column_of(field) for field in spec.fields if field.name not in {*NEVER_NULL, IS_DELETED}]
    own = [EXTRA, WORDS] if spec.text_fields else [EXTRA]
    kept_empty = " AND ".join(f"{name} IS NULL" for name in (*content, *own) if name != SYNCED_AT)
    return f"{IS_ERASED_COLUMN} IS NOT TRUE OR {kept_empty}"


def _completeness(spec: RecordSpec[Any]) -> str:
    required = [column_of(field) for field in spec.fields if not field.nullable]
    there = " AND ".join(f"{name} IS NOT NULL" for name in required if name not in NEVER_NULL_COLUMNS)
    return f"{IS_ERASED_COLUMN} IS TRUE OR {there}"


def _one_of(column: str, values: Sequence[Scalar | None]) -> str:
    """The column holds one of these values, all of which come from the specs; None is for null."""
    if values in ((True,), (False,)):
        return column if values[0] else f"NOT {column}"
    one_of = f"{column} IN ({', '.join(repr(value) for value in values if value is not None)})"
    return f"{column} IS NULL OR {one_of}" if None in values else one_of
