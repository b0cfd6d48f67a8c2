"""The tables as a database has them, to explain why a statement does not find one, or one of its columns.

Nothing was made yet ......... SchemaMissing: a migration makes it
the schema is closed ......... SchemaClosed: PostgreSQL hides the tables of a schema that the account may not use
somebody changed the tables .. SchemaAltered, although the revision is the current one: no migration mends that
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from adapters.postgres.errors import Refused, SchemaAltered, SchemaClosed
from adapters.postgres.origins import raised_by
from adapters.postgres.rows import FORMS
from adapters.postgres.statements import written_columns
from adapters.records.record_store import SchemaMissing
from domain.errors import StoreUnavailable

MIGRATIONS = Path(__file__).parent / "migrations" / "versions"
HEAD = max(path.name.partition("_")[0] for path in MIGRATIONS.glob("[0-9]*.py"))
"""The revision that this program needs: the number of the newest migration, with which its file name begins. Alembic
takes half a second to load, so only a test asks it for this number.
"""
CURRENT_REVISION = "SELECT version_num FROM alembic_version"
_REVISIONS = "alembic_version"
OWN_COLUMNS: Mapping[str, Sequence[str]] = {
    _REVISIONS: ("version_num",),
    "tandem_lanes": (
        "lane", "number", "epoch", "pid", "opening", "process", "host", "boot", "is_open", "beaten_at",
        "is_checkpointed",
    ),
    "tandem_seen": ("lane", "number", "cut", "is_checkpointed"),
    "tandem_foreign_changes": ("table_name", "statements"),
}  # fmt: skip
"""The columns of the tables that hold no records."""
NAMED_MAX = 5
"""How many missing tables and columns one message names."""

_CLOSED = """
    SELECT quote_ident(nspname) FROM pg_namespace AS named
    JOIN regexp_split_to_table(current_setting('search_path'), '\\s*,\\s*') AS path ON
        nspname = CASE btrim(path, '"') WHEN '$user' THEN current_user ELSE btrim(path, '"') END
    WHERE NOT has_schema_privilege(named.oid, 'USAGE') AND (
        EXISTS (SELECT FROM pg_class WHERE relnamespace = named.oid AND relname = ANY(%s))
        OR cardinality(current_schemas(false)) = 0
    )
"""
"""The schemas of the search path that the account may not use, where the tables are, or may be."""
_COLUMNS = """
    SELECT name, attname FROM unnest(%s::text[]) AS name
    JOIN pg_attribute ON attrelid = to_regclass(quote_ident(name)) AND attnum > 0 AND NOT attisdropped
    ORDER BY attrelid, attnum
"""

Run = Callable[[str, Sequence[Any]], Awaitable[list[tuple[Any, ...]]]]
"""The rows of a statement."""


async def explained(missing: SchemaMissing, run: Run) -> StoreUnavailable:
    """Why a statement did not find a table or a column. Raises StoreUnavailable where the catalogue cannot be read."""
    closed = await run(_CLOSED, [list(_expected())])
    if closed:
        return SchemaClosed(_closed(str(name) for (name,) in closed))
    found = await _found(run)
    if not found or (_REVISIONS in found and await _is_older(found[_REVISIONS], run)):
        return missing
    missing_parts = _all_missing(found)
    return SchemaAltered(" ".join(missing_parts[:NAMED_MAX])) if missing_parts else _of_others(missing)


async def missing_parts_of(run: Run) -> Sequence[str]:
    """What is missing in tables of the current revision, each with a remedy. Raises as `explained`."""
    return _all_missing(await _found(run))[:NAMED_MAX]


def _expected() -> dict[str, Sequence[str]]:
    """The columns of every table."""
    return {**OWN_COLUMNS, **{form.table: written_columns(form) for form in FORMS.values()}}


async def _found(run: Run) -> dict[str, list[str]]:
    """The columns of the tables that are there."""
    found: dict[str, list[str]] = {}
    for table, column in await run(_COLUMNS, [list(_expected())]):
        found.setdefault(table, []).append(column)
    return found


def _all_missing(found: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        part for table, columns in _expected().items() for part in _missing(table, columns, found.get(table))
    ]


async def _is_older(columns: Sequence[str], run: Run) -> bool:
    """Whether a migration is still to come, which makes what is missing."""
    if "version_num" not in columns:
        return False
    rows = await run(CURRENT_REVISION, ())
    return not rows or rows[0][0] != HEAD


def _closed(names: Iterable[str]) -> str:
    schemas = ", ".join(names)
    return (
        f"PostgreSQL says: permission denied for schema {schemas}. The account of Tandem may not use it, so its tables"
        f" cannot be seen. Grant it: GRANT USAGE ON SCHEMA {schemas} TO the account."
    )


def _missing(table: str, expected: Sequence[str], found: Sequence[str] | None) -> Iterable[str]:
    """What is missing in one table, with a remedy."""
    if found is None:
        yield (
            f"The table {table} is missing: somebody renamed or dropped it."
            f" Rename it back (ALTER TABLE … RENAME TO {table}), or restore the database from a copy."
        )
        return
    missing = [column for column in expected if column not in found]
    others = [column for column in found if column not in expected]
    for column in missing:
        other = others[0] if len(others) == len(missing) == 1 else "…"
        yield (
            f"The column {column} of the table {table} is missing: somebody renamed or dropped it."
            f" Rename it back (ALTER TABLE {table} RENAME COLUMN {other} TO {column}), or restore the database from a"
            " copy."
        )


def _of_others(missing: SchemaMissing) -> StoreUnavailable:
    """Every table and column is there, so something else names one that is not: a trigger, a rule or a view."""
    cause = missing.__cause__
    if not isinstance(cause, psycopg.Error):
        return missing
    by = raised_by(cause) or "a trigger, a rule or a view"
    return Refused(
        f"All tables of Tandem are there, but {by} names another table or column that is missing"
        f" (SQLSTATE {cause.sqlstate}). Mend it or drop it."
    )
