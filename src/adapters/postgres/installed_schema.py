"""The tables as a database has them, to explain why a statement does not find one, or one of its columns.

Nothing was made yet ......... SchemaMissing: a migration makes it
the tables were there ........ SchemaGone: a migration would make empty ones, so the message says where they are now
the schema is closed ......... SchemaClosed: PostgreSQL hides the tables of a schema that the account may not use
somebody changed the tables .. SchemaAltered, although the revision is the current one: no migration undoes that
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from adapters.postgres.errors import Refused, SchemaAltered, SchemaClosed
from adapters.postgres.expected_columns import OWN_TABLES, REVISIONS
from adapters.postgres.installed_columns import Flaw, Run, flaws_of_columns
from adapters.postgres.installed_parts import flaws_of
from adapters.postgres.installed_tables import flaws_of_tables
from adapters.postgres.origins import raised_by
from adapters.postgres.rows import FORMS
from adapters.postgres.statements import written_columns
from adapters.records.record_store import SchemaGone, SchemaMissing
from application.ports.schema import SchemaFlaw
from domain.errors import StoreUnavailable

MIGRATIONS = Path(__file__).parent / "migrations" / "versions"
KNOWN = frozenset(path.name.partition("_")[0] for path in MIGRATIONS.glob("[0-9]*.py"))
"""The revisions that this program knows: the numbers with which the file names of the migrations begin."""
HEAD = max(KNOWN)
"""The revision that this program needs: the newest one. Alembic takes half a second to load, so only a test asks it for
this number.
"""
CURRENT_REVISION = """
    SELECT version_num, alembic_version.tableoid, relnamespace::regnamespace::text
    FROM alembic_version JOIN pg_class ON pg_class.oid = alembic_version.tableoid
"""
"""The revision, and the table and the schema that it was read from."""
OWN_COLUMNS: Mapping[str, Sequence[str]] = {
    table: tuple(column.name for column in columns) for table, columns in OWN_TABLES.items()
}
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
_PRESENT_PLACE = """
    SELECT relnamespace::regnamespace::text, to_regnamespace(%s) IS NOT NULL
    FROM pg_class WHERE oid = %s AND relname = %s
"""
"""The schema of a table now, and whether the schema that it was in is there."""
_COLUMNS = """
    SELECT name, attname FROM unnest(%s::text[]) AS name
    JOIN pg_attribute ON attrelid = to_regclass(quote_ident(name)) AND attnum > 0 AND NOT attisdropped
    ORDER BY attrelid, attnum
"""


class KnownTables:
    """Where this process has found the tables of a database, to tell those that are gone from those never made."""

    def __init__(self) -> None:
        self._table_oid: int | None = None
        self._schema = ""

    def note(self, revisions: Sequence[Sequence[Any]]) -> None:
        """Remembers the rows of CURRENT_REVISION."""
        if revisions:
            _, self._table_oid, self._schema = revisions[0]

    def forget(self) -> None:
        """Another database has taken the place of the one where they were found."""
        self._table_oid, self._schema = None, ""

    async def explained(self, run: Run) -> SchemaGone | None:
        """Where tables are that cannot be found any more; None if there never were any."""
        if self._table_oid is None:
            return None
        places = await run(_PRESENT_PLACE, [self._schema, str(self._table_oid), REVISIONS])
        if not places:
            return SchemaGone(
                "The tables of Tandem were in PostgreSQL when this process opened it, and are gone: somebody dropped"
                " them, or replaced the database. Stop Tandem and restore the database from a copy; a migration would"
                " only make empty tables, so it is refused."
            )
        ((present, is_replaced),) = places
        if present == self._schema:
            return SchemaGone(
                f"The tables of Tandem are in the schema {present}, where this connection does not look any more. Let"
                " POSTGRES_URL name it (options=-csearch_path%3DSCHEMA), and start Tandem again."
            )
        renaming = f"ALTER SCHEMA {self._schema} RENAME TO {self._schema}_beside; " if is_replaced else ""
        return SchemaGone(
            f"The tables of Tandem are in the schema {present} now: somebody renamed {self._schema}. Rename it back: in"
            f" psql, type: {renaming}ALTER SCHEMA {present} RENAME TO {self._schema}"
        )


async def explained(missing: SchemaMissing, run: Run, known: KnownTables) -> StoreUnavailable:
    """Why a statement did not find a table or a column. Raises StoreUnavailable where the catalogue cannot be read."""
    closed = await run(_CLOSED, [list(_expected())])
    if closed:
        return SchemaClosed(_closed(str(name) for (name,) in closed))
    found = await columns_found(run)
    if not found:
        return await known.explained(run) or missing
    if REVISIONS in found and await _is_older(found[REVISIONS], run):
        return missing
    flaws = missing_in(found)[:NAMED_MAX]
    return (
        SchemaAltered(" ".join(f"{flaw.cause} {flaw.remedy}" for flaw in flaws))
        if flaws
        else _of_others(missing)
    )


async def schema_flaws_of(run: Run) -> Sequence[Flaw]:
    """What is not as a migration has made it in tables of the current revision. Raises as `explained`."""
    found = await columns_found(run)
    missing = [Flaw(flaw, ()) for flaw in missing_in(found)]
    # A column that is missing takes its indexes and checks along.
    whole = [table for table, columns in _expected().items() if set(columns) <= set(found.get(table, ()))]
    of_tables, replaced = await flaws_of_tables(run, whole)
    own = [table for table in whole if table not in replaced]
    # A column that is changed back takes its checks along, so columns come first.
    return [
        *missing,
        *of_tables,
        *await flaws_of_columns(run),
        *await flaws_of(run, own),
    ]


def _expected() -> dict[str, Sequence[str]]:
    """The columns of every table."""
    return {**OWN_COLUMNS, **{form.table: written_columns(form) for form in FORMS.values()}}


async def columns_found(run: Run) -> dict[str, list[str]]:
    """The columns of the tables that are there."""
    found: dict[str, list[str]] = {}
    for table, column in await run(_COLUMNS, [list(_expected())]):
        found.setdefault(table, []).append(column)
    return found


def missing_in(found: Mapping[str, Sequence[str]]) -> list[SchemaFlaw]:
    """The tables and columns that are not among those that were found."""
    return [
        flaw for table, columns in _expected().items() for flaw in _missing(table, columns, found.get(table))
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


def _missing(table: str, expected: Sequence[str], found: Sequence[str] | None) -> Iterable[SchemaFlaw]:
    """What is missing in one table."""
    if found is None:
        yield _renamed(f"The table {table}", f"ALTER TABLE … RENAME TO {table}")
        return
    missing = [column for column in expected if column not in found]
    others = [column for column in found if column not in expected]
    for column in missing:
        other = others[0] if len(others) == len(missing) == 1 else "…"
        yield _renamed(
            f"The column {column} of the table {table}",
            f"ALTER TABLE {table} RENAME COLUMN {other} TO {column}",
        )


def _renamed(part: str, statement: str) -> SchemaFlaw:
    return SchemaFlaw(
        cause=f"{part} is missing: somebody renamed or dropped it.",
        remedy=f"Rename it back ({statement}), or restore the database from a copy.",
    )


def _of_others(missing: SchemaMissing) -> StoreUnavailable:
    """Every table and column is there, so something else names one that is not: a trigger, a rule or a view."""
    cause = missing.__cause__
    if not isinstance(cause, psycopg.Error):
        return missing
    by = raised_by(cause) or "a trigger, a rule or a view"
    return Refused(
        f"All tables of Tandem are there, but {by} names another table or column that is missing"
        f" (SQLSTATE {cause.sqlstate}). Correct it or drop it."
    )
