"""What a database lacks of the parts that are neither tables nor columns, although a migration has made them.

Whoever drops an index, restores a part of a dump or switches off the log of a table gets no error: statements go on
working, and two records hold the same unique value, or a crash empties the table.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from adapters.postgres.expected_columns import PRIMARY_KEYS
from adapters.postgres.expected_parts import BTREE, CHECKS, INDEXES, TRIGGER, ExpectedIndex
from adapters.postgres.installed_columns import Flaw, Run
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS
from application.ports.schema import FlawEffect, SchemaFlaw

MIGRATE = "Type: tandem migrate up"
UNLOGGED, ALWAYS = "u", "A"
"""The words of PostgreSQL's catalogue."""
WATCHED = frozenset(spec.table for spec in (*ENTITY_SPECS, AUDIT_LOGS))
"""The tables whose changes by others a trigger counts."""

_TABLES = f"""
    SELECT relname::text, relpersistence::text,
        (SELECT tgenabled::text FROM pg_trigger WHERE tgrelid = given.oid AND tgname = '{TRIGGER}')
    FROM pg_class AS given
    WHERE oid = ANY(ARRAY(SELECT to_regclass(quote_ident(name)) FROM unnest(%s::text[]) AS name))
"""  # noqa: S608 - constant names
_INDEXES = """
    SELECT relname::text, (SELECT relname::text FROM pg_class WHERE oid = indexrelid), indisprimary,
        indisvalid AND indisready AND indislive, indisunique, indimmediate, amname::text,
        ARRAY(
            SELECT coalesce(attname::text, '')
                || CASE indoption[place - 1] WHEN 0 THEN '' WHEN 2 THEN ' NULLS FIRST' ELSE ' DESC' END
                || CASE WHEN indcollation[place - 1] <> attcollation THEN ' COLLATE' ELSE '' END
            FROM unnest(indkey::int2[]) WITH ORDINALITY AS key (number, place)
            LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = key.number
            WHERE place <= indnkeyatts ORDER BY place
        ),
        pg_get_expr(indpred, indrelid, true)
    FROM pg_index JOIN pg_class AS given ON given.oid = indrelid
    JOIN pg_am ON pg_am.oid = (SELECT relam FROM pg_class WHERE oid = indexrelid)
    WHERE given.oid = ANY(ARRAY(SELECT to_regclass(quote_ident(name)) FROM unnest(%s::text[]) AS name))
"""
_CHECKS = """
    SELECT relname::text, conname::text, convalidated, pg_get_expr(conbin, conrelid, true)
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
_REPLACED = "is another one than Tandem made: somebody replaced it"
_CAST_COLUMN = re.compile(r"\((\w+)\)(?=::text\b)")
"""As a condition names a column of the type varchar."""
_CAST = re.compile(r"::\w+(\[\])?")
_ANY_OF = re.compile(r"= ANY \(ARRAY\[([^]]*)\]\)")
_ONE_OF_IN_BRACKETS = re.compile(r"\((\w+ IN \([^()]*\))\)")


async def flaws_of(run: Run, names: Sequence[str]) -> Sequence[Flaw]:
    """What is not as a migration has made it in the tables of these names. Raises what `run` raises."""
    names = list(names)
    tables = {row[0]: row[1:] for row in await run(_TABLES, [names])}
    indexes = await run(_INDEXES, [names])
    checks = {(table, name): found for table, name, *found in await run(_CHECKS, [names])}
    return [
        *_of_tables(tables),
        *_of_primary_keys(tables, indexes),
        *_of_indexes(tables, {name: found for _, name, _, *found in indexes}),
        *_of_checks(tables, checks),
    ]


def _of_tables(tables: Mapping[str, Sequence[Any]]) -> Iterator[Flaw]:
    for table, (persistence, trigger) in tables.items():
        if persistence == UNLOGGED:
            yield _flaw(
                f"The table {table} is unlogged: PostgreSQL empties it after a crash.",
                f"ALTER TABLE {table} SET LOGGED",
            )
        if table in WATCHED and trigger is None:
            yield _uncounted(f"The trigger {TRIGGER} of the table {table} is missing.", *_creation(table))
        elif table in WATCHED and trigger != ALWAYS:
            yield _uncounted(
                f"The trigger {TRIGGER} of the table {table} is not enabled always.", _enabled(table)
            )


def _of_primary_keys(tables: Collection[str], indexes: Sequence[Sequence[Any]]) -> Iterator[Flaw]:
    found = {table: (name, rest) for table, name, is_primary, *rest in indexes if is_primary}
    for table in tables:
        column = PRIMARY_KEYS[table]
        name, present = found.get(table, (None, None))
        if present == [True, True, True, BTREE, [column], None]:
            continue
        drop = () if name is None else (f'ALTER TABLE {table} DROP CONSTRAINT "{name}"',)
        trouble = "is missing: somebody dropped it" if name is None else _REPLACED
        yield _flaw(
            f"The primary key of the table {table} {trouble}.",
            *drop,
            f"ALTER TABLE {table} ADD PRIMARY KEY ({column})",
        )


def _of_indexes(tables: Collection[str], found: Mapping[str, Sequence[Any]]) -> Iterator[Flaw]:
    for index in INDEXES:
        if index.table not in tables:
            continue
        present = found.get(index.name)
        drop = () if present is None else _drop(index)
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
    is_valid, is_unique, is_immediate, method, keys, condition = present
    if not is_valid:
        return "is invalid, as after CREATE INDEX CONCURRENTLY was interrupted"
    is_same = (is_unique, method, tuple(keys), _as_written(condition)) == (
        index.is_unique,
        index.method,
        index.keys,
        index.condition,
    )
    # ON CONFLICT cannot use a key that is checked at the commit.
    return None if is_same and is_immediate else _REPLACED


def _drop(index: ExpectedIndex) -> tuple[str, ...]:
    """Also where it belongs to a constraint, which keeps it from being dropped."""
    return (
        f"ALTER TABLE {index.table} DROP CONSTRAINT IF EXISTS {index.name}",
        f"DROP INDEX IF EXISTS {index.name}",
    )


def _of_checks(tables: Collection[str], found: Mapping[tuple[str, str], Sequence[Any]]) -> Iterator[Flaw]:
    for table, checks in CHECKS.items():
        for name, condition in checks.items() if table in tables else ():
            present = found.get((table, name))
            if present is not None and present[0] and _as_written(present[1]) == condition:
                continue
            trouble = (
                "is missing: somebody dropped or renamed it"
                if present is None
                else "is not validated"
                if not present[0]
                else _REPLACED
            )
            drop = () if present is None else (f"ALTER TABLE {table} DROP CONSTRAINT {name}",)
            yield _flaw(
                f"The check {name} of the table {table} {trouble}.",
                *drop,
                f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition})",
            )


def _as_written(condition: str | None) -> str | None:
    """A condition without what PostgreSQL adds to it: casts, and another form of IN. Brackets stay where they count."""
    if condition is None:
        return None
    without_casts = _CAST.sub("", _CAST_COLUMN.sub(r"\1", condition))
    return _ONE_OF_IN_BRACKETS.sub(r"\1", _ANY_OF.sub(r"IN (\1)", without_casts))


def _flaw(cause: str, *statements: str, effect: FlawEffect = FlawEffect.UNSAFE) -> Flaw:
    return Flaw(SchemaFlaw(cause=cause, remedy=MIGRATE, effect=effect), statements)


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
