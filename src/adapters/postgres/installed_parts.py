"""What a database lacks of the parts that are neither tables nor columns, although a migration has made them.

Whoever drops an index, restores a part of a dump or switches off the log of a table gets no error: statements go on
working, and two records hold the same unique value, or a crash empties the table.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.postgres.columns import KEY_COLUMN
from adapters.postgres.expected_parts import CHECKS, INDEXES, PRIMARY_KEYS, TRIGGER, ExpectedIndex
from adapters.records.record import VERSION
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS
from application.ports.schema import FlawEffect, SchemaFlaw

MIGRATE = "Type: tandem migrate up"
UNLOGGED, ALWAYS = "u", "A"
"""The words of PostgreSQL's catalogue."""
WATCHED = frozenset(spec.table for spec in (*ENTITY_SPECS, AUDIT_LOGS))
"""The tables whose changes by others a trigger counts."""

_TABLES = f"""
    SELECT relname::text, relpersistence::text,
        (SELECT tgenabled::text FROM pg_trigger WHERE tgrelid = given.oid AND tgname = '{TRIGGER}'),
        EXISTS (SELECT FROM pg_attribute WHERE attrelid = given.oid AND attname = '{VERSION}' AND attnotnull)
    FROM pg_class AS given
    WHERE oid = ANY(ARRAY(SELECT to_regclass(quote_ident(name)) FROM unnest(%s::text[]) AS name))
"""  # noqa: S608 - constant names
_INDEXES = """
    SELECT relname::text, indexrelid::regclass::text, indisunique, indisprimary,
        indisvalid AND indisready AND indislive, amname::text,
        ARRAY(
            SELECT coalesce(attname::text, '') FROM unnest(indkey::int2[]) WITH ORDINALITY AS key (number, place)
            LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = key.number
            WHERE key.place <= indnkeyatts ORDER BY key.place
        ),
        pg_get_expr(indpred, indrelid)
    FROM pg_index JOIN pg_class AS given ON given.oid = indrelid
    JOIN pg_am ON pg_am.oid = (SELECT relam FROM pg_class WHERE oid = indexrelid)
    WHERE given.oid = ANY(ARRAY(SELECT to_regclass(quote_ident(name)) FROM unnest(%s::text[]) AS name))
"""
_CHECKS = """
    SELECT relname::text, conname::text, convalidated, pg_get_expr(conbin, conrelid)
    FROM pg_constraint JOIN pg_class AS given ON given.oid = conrelid
    WHERE contype = 'c'
        AND given.oid = ANY(ARRAY(SELECT to_regclass(quote_ident(name)) FROM unnest(%s::text[]) AS name))
"""
_COUNT = """
    CREATE OR REPLACE FUNCTION tandem_count_foreign_change() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
    BEGIN
        INSERT INTO tandem_foreign_changes VALUES (TG_TABLE_NAME, 1)
        ON CONFLICT (table_name) DO UPDATE SET statements = tandem_foreign_changes.statements + 1;
        RETURN NULL;
    END $$
"""
_CAST = re.compile(r"::\w+(\[\])?")
_ANY_OF = re.compile(r"= ANY ARRAY\[([^]]*)\]")

Run = Callable[[str, Sequence[Any]], Awaitable[list[tuple[Any, ...]]]]
"""The rows of a statement."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """A flaw with the statements that mend it."""

    shown: SchemaFlaw
    statements: tuple[str, ...]


async def flaws_of(run: Run, names: Sequence[str]) -> Sequence[Flaw]:
    """What is not as a migration has made it in the tables of these names. Raises what `run` raises."""
    names = list(names)
    tables = {row[0]: row[1:] for row in await run(_TABLES, [names])}
    indexes = await run(_INDEXES, [names])
    checks = {(table, name): found for table, name, *found in await run(_CHECKS, [names])}
    return [
        *_of_tables(tables),
        *_of_primary_keys(tables, indexes),
        *_of_indexes(tables, {str(name).rpartition(".")[2]: found for _, name, *found in indexes}),
        *_of_checks(tables, checks),
    ]


def _of_tables(tables: Mapping[str, Sequence[Any]]) -> Iterator[Flaw]:
    for table, (persistence, trigger, has_version) in tables.items():
        if persistence == UNLOGGED:
            statement = f"ALTER TABLE {table} SET LOGGED"
            yield _flaw(
                f"The table {table} is unlogged: PostgreSQL empties it after a crash.",
                statement,
                remedy=f"In psql, type: {statement}",
            )
        if table in WATCHED and trigger is None:
            yield _uncounted(f"The trigger {TRIGGER} of the table {table} is missing.", *_creation(table))
        elif table in WATCHED and trigger != ALWAYS:
            yield _uncounted(
                f"The trigger {TRIGGER} of the table {table} is not enabled always.", _enabled(table)
            )
        if PRIMARY_KEYS[table] == KEY_COLUMN and not has_version:
            yield _flaw(
                f"The column {VERSION} of the table {table} may be null: somebody has dropped NOT NULL.",
                f"ALTER TABLE {table} ALTER COLUMN {VERSION} SET NOT NULL",
            )


def _of_primary_keys(tables: Collection[str], indexes: Sequence[Sequence[Any]]) -> Iterator[Flaw]:
    keys = {
        table: columns
        for table, _, _, is_primary, is_valid, _, columns, _ in indexes
        if is_primary and is_valid
    }
    for table in tables:
        if keys.get(table) != [PRIMARY_KEYS[table]]:
            yield _flaw(
                f"The primary key of the table {table} is missing: somebody dropped it.",
                f"ALTER TABLE {table} ADD PRIMARY KEY ({PRIMARY_KEYS[table]})",
            )


def _of_indexes(tables: Collection[str], found: Mapping[str, Sequence[Any]]) -> Iterator[Flaw]:
    for index in INDEXES:
        if index.table not in tables:
            continue
        present = found.get(index.name)
        drop = () if present is None else (f"DROP INDEX {index.name}",)
        if (trouble := _trouble_of(index, present)) is not None:
            kind = "unique key" if index.is_unique else "index"
            yield _flaw(
                f"The {kind} {index.name} of the table {index.table} {trouble}.",
                *drop,
                index.creation,
                effect=FlawEffect.UNSAFE if index.is_unique else FlawEffect.SLOW,
            )


def _trouble_of(index: ExpectedIndex, present: Sequence[Any] | None) -> str | None:
    if present is None:
        return "is missing: somebody dropped or renamed it"
    is_unique, _, is_valid, method, columns, condition = present
    if not is_valid:
        return "is invalid, as after CREATE INDEX CONCURRENTLY was interrupted"
    is_same = (
        (is_unique, method, tuple(columns)) == (index.is_unique, index.method, index.columns)
        and _plain(condition) == _plain(index.condition)
    )  # fmt: skip
    return None if is_same else "is another one than Tandem made: somebody replaced it"


def _of_checks(tables: Collection[str], found: Mapping[tuple[str, str], Sequence[Any]]) -> Iterator[Flaw]:
    for table, checks in CHECKS.items():
        for name, condition in checks.items() if table in tables else ():
            present = found.get((table, name))
            if present is not None and present[0] and _plain(present[1]) == _plain(condition):
                continue
            trouble = (
                "is missing: somebody dropped or renamed it"
                if present is None
                else "is not validated"
                if not present[0]
                else "is another one than Tandem made: somebody replaced it"
            )
            drop = () if present is None else (f"ALTER TABLE {table} DROP CONSTRAINT {name}",)
            yield _flaw(
                f"The check {name} of the table {table} {trouble}.",
                *drop,
                f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition})",
            )


def _plain(condition: str | None) -> str | None:
    """A condition without what PostgreSQL adds to it: casts, and brackets around each part."""
    if condition is None:
        return None
    without = _CAST.sub("", condition).replace("(", "").replace(")", "")
    return _ANY_OF.sub(r"IN \1", without)


def _flaw(
    cause: str, *statements: str, effect: FlawEffect = FlawEffect.UNSAFE, remedy: str = MIGRATE
) -> Flaw:
    return Flaw(SchemaFlaw(cause=cause, remedy=remedy, effect=effect), statements)


def _uncounted(trouble: str, *statements: str) -> Flaw:
    cause = f"{trouble} What other programs change there is not noticed."
    return _flaw(cause, *statements, effect=FlawEffect.UNCOUNTED)


def _creation(table: str) -> tuple[str, ...]:
    """As the baseline has it, which is frozen."""
    return (
        _COUNT,
        (
            f"CREATE TRIGGER {TRIGGER} AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT WHEN (current_setting('tandem.writer', true) IS DISTINCT FROM 'on')"
            " EXECUTE FUNCTION tandem_count_foreign_change()"
        ),
        _enabled(table),
    )


def _enabled(table: str) -> str:
    return f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {TRIGGER}"
