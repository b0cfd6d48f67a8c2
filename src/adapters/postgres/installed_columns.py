"""Columns that somebody has changed so that they alter or reject what is saved in them.

PostgreSQL rounds an instant to the precision of its column, pads a text to the length of a `char`, and fills in
defaults, all without an error: a write is confirmed, and something else is read afterwards.

Harmless, and so no flaw, is a type that holds every value of the expected one and returns it unchanged: `varchar`
without a length, or with a longer one than expected, and `timestamptz(6)`. A wider number is none of them: the driver
returns a `numeric` as another type than a `bigint`.
"""

# ruff: noqa: S608 - names come from the specs, types from the catalogue

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any

from adapters.postgres.expected_columns import DAY, EXPECTED_COLUMNS, INSTANT, NUMBER, TEXT, ExpectedColumn
from application.ports.schema import SchemaFlaw

Run = Callable[[str, Sequence[Any]], Awaitable[list[tuple[Any, ...]]]]
"""The rows of a statement."""
_COLUMNS = """
    SELECT name, attname::text, format_type(atttypid, atttypmod), typcategory::text, attcollation::regcollation::text,
        NOT attnotnull, attidentity <> '', attgenerated <> '',
        (SELECT pg_get_expr(adbin, adrelid, true) FROM pg_attrdef WHERE adrelid = attrelid AND adnum = attnum)
    FROM unnest(%s::text[]) AS name
    JOIN pg_attribute ON attrelid = to_regclass(quote_ident(name)) AND attnum > 0 AND NOT attisdropped
    JOIN pg_type ON pg_type.oid = atttypid
"""
_LIMITED_TEXT = re.compile(r"character varying(?:\((\d+)\))?")
_FINEST_INSTANT = "timestamp(6) with time zone"
_WHOLE_NUMBERS = ("smallint", "integer")
_CONVERTED = {TEXT: "SE", "character varying(32)": "SE", NUMBER: "N", INSTANT: "D", DAY: "D"}
"""The categories of types whose values PostgreSQL converts back by itself into what they were. Other types it refuses
to convert, except into a text: that would be the notation of the value.
"""
_NUMBERS_AND_TIMES = "ND"
"""The categories of types that may hold a fraction, or a time of the day, which is lost on the way back."""


@dataclass(frozen=True, slots=True)
class InstalledColumn:
    """A column as the catalogue has it, in the order of `_COLUMNS`."""

    table: str
    name: str
    type: str
    category: str
    collation: str
    is_nullable: bool
    is_identity: bool
    is_generated: bool
    default: str | None


@dataclass(frozen=True, slots=True)
class Flaw:
    """A flaw with the statements that remove it."""

    shown: SchemaFlaw
    statements: tuple[str, ...]


async def flaws_of_columns(run: Run) -> Sequence[Flaw]:
    """The columns, of all tables that are there, that differ from those of the migrations. Raises what `run` raises."""
    rows = await run(_COLUMNS, [list(EXPECTED_COLUMNS)])
    found = {(column.table, column.name): column for column in starmap(InstalledColumn, rows)}
    return [
        flaw
        for table, columns in EXPECTED_COLUMNS.items()
        for column in columns
        if (installed := found.get((table, column.name))) is not None
        and (flaw := _flaw_of(installed, column)) is not None
    ]


def _flaw_of(found: InstalledColumn, expected: ExpectedColumn) -> Flaw | None:
    troubles = list(_troubles_of(found, expected))
    if not troubles:
        return None
    change = f"ALTER TABLE {found.table} {', '.join(_changes(found, expected))}"
    is_converted = _is_same_type(found, expected) or found.category in _CONVERTED.get(
        expected.type, found.category
    )
    remedy = (
        f"Type: tandem migrate up. Or in psql: {change}"
        if is_converted
        else f"Change it back in psql, with USING and an expression that gives its values back: {change} USING …"
    )
    cause = (
        f"The column {found.name} of the table {found.table} {' and '.join(troubles)}: somebody changed it, and values"
        " may be saved altered, or not at all."
    )
    statements = (*_loss_checks(found, expected), change) if is_converted else ()
    return Flaw(SchemaFlaw(cause=cause, remedy=remedy), statements)


def _troubles_of(found: InstalledColumn, expected: ExpectedColumn) -> Iterator[str]:
    if not _holds_as_much(found.type, expected.type):
        yield f"has the type {found.type} instead of {expected.type}"
    elif not _is_same_collation(found, expected):
        yield f"has the collation {found.collation} instead of {expected.collation}"
    if found.is_identity:
        yield "is an identity column"
    elif found.is_generated:
        yield "is generated from others"
    elif found.default != expected.default:
        was = "none" if expected.default is None else expected.default
        yield f"has the default {found.default or 'none'} instead of {was}"
    if found.is_nullable and not expected.is_nullable:
        yield "may be null although NOT NULL was declared"
    elif expected.is_nullable and not found.is_nullable:
        yield "must not be null although tombstones leave it empty"


def _changes(found: InstalledColumn, expected: ExpectedColumn) -> Iterator[str]:
    """The changes that undo the troubles, as one statement lists them. PostgreSQL makes them in an order that fits."""
    column = f"ALTER COLUMN {found.name}"
    if found.is_identity:
        yield f"{column} DROP IDENTITY"
    elif found.is_generated:
        yield f"{column} DROP EXPRESSION"
    elif found.default is not None and found.default != expected.default:
        yield f"{column} DROP DEFAULT"
    if not _is_same_type(found, expected):
        yield f"{column} TYPE {expected.declared_type}"
    if expected.default is not None and found.default != expected.default:
        yield f"{column} SET DEFAULT {expected.default}"
    if found.is_nullable and not expected.is_nullable:
        yield f"{column} SET NOT NULL"
    elif expected.is_nullable and not found.is_nullable:
        yield f"{column} DROP NOT NULL"


def _is_same_type(found: InstalledColumn, expected: ExpectedColumn) -> bool:
    return _holds_as_much(found.type, expected.type) and _is_same_collation(found, expected)


def _is_same_collation(found: InstalledColumn, expected: ExpectedColumn) -> bool:
    return expected.collation in (None, found.collation)


def _holds_as_much(found: str, expected: str) -> bool:
    """Whether a type holds every value of another one and returns it unchanged."""
    if found == expected:
        return True
    if expected == INSTANT:
        return found == _FINEST_INSTANT
    text, limited = _LIMITED_TEXT.fullmatch(found), _LIMITED_TEXT.fullmatch(expected)
    if limited is None:
        return expected == TEXT and text is not None and text[1] is None
    return found == TEXT or (text is not None and (text[1] is None or int(text[1]) >= int(limited[1])))


def _loss_checks(found: InstalledColumn, expected: ExpectedColumn) -> tuple[str, ...]:
    """Statements that fail where a value would not be the same after it was changed back."""
    is_checked = expected.type in (NUMBER, DAY) and found.category in _NUMBERS_AND_TIMES
    if not is_checked or found.type in (expected.type, *_WHOLE_NUMBERS):
        return ()
    kept = f"{found.name}::{expected.type}::{found.type}"
    return (
        f"LOCK TABLE {found.table}",
        (
            "DO $$ BEGIN"
            f" IF EXISTS (SELECT FROM {found.table} WHERE {kept} IS DISTINCT FROM {found.name}) THEN"
            f" RAISE EXCEPTION 'the column {found.name} of the table {found.table} holds values that"
            f" {expected.type} cannot hold';"
            " END IF; END $$"
        ),
    )
