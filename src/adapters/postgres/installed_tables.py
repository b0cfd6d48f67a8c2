"""Tables that are others than the migrations made, or that show other rows than those stored in them.

PostgreSQL reads and changes the rows of child tables as those of their parent, hides rows by row-level security, and
finds whatever has the name of a table, also after somebody has put another one in its place.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from adapters.postgres.expected_columns import EXPECTED_COLUMNS, REVISIONS
from adapters.postgres.installed_columns import Flaw, Run
from application.ports.schema import FlawEffect, SchemaFlaw

MADE = "tandem_tables"
"""The table in which the migrations note which tables they have made, by name and number (OID)."""
CHILDREN_NAMED_MAX = 3
_ORDINARY = "r"
_RECORDED = [table for table in EXPECTED_COLUMNS if table != REVISIONS]
_FOUND = """
    SELECT given.relname::text, given.relkind::text, made.table_oid IS NULL, made.table_oid = given.oid,
        (SELECT oid::regclass::text FROM pg_class WHERE oid = made.table_oid),
        row_security_active(given.oid),
        ARRAY(SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = given.oid ORDER BY 1)
    FROM pg_class AS given LEFT JOIN tandem_tables AS made ON made.table_name = given.relname
    WHERE given.oid = ANY(ARRAY(SELECT to_regclass(quote_ident(name)) FROM unnest(%s::text[]) AS name))
    ORDER BY 1
"""
_NOTE = """
    INSERT INTO tandem_tables (table_name, table_oid)
    SELECT relname, oid FROM pg_class
    WHERE oid = ANY(ARRAY(SELECT to_regclass(quote_ident(name)) FROM unnest(ARRAY[{names}]) AS name))
    ON CONFLICT (table_name) DO UPDATE SET table_oid = EXCLUDED.table_oid
"""


async def flaws_of_tables(run: Run, names: Sequence[str]) -> tuple[Sequence[Flaw], Collection[str]]:
    """What is wrong with the tables of these names as a whole, and which of them are others than Tandem made, so that
    their parts say nothing. Raises what `run` raises.
    """
    if MADE not in names:
        return (), ()
    found = {name: rest for name, *rest in await run(_FOUND, [list(names)])}
    flaws = [flaw for name, rest in found.items() for flaw in _flaws_of(name, rest)]
    # All numbers are new in a database that was restored from a dump.
    _, is_unknown, is_same, *_ = found.get(MADE, (_ORDINARY, True, None))
    if is_unknown or not is_same:
        return [_unnoted(_RECORDED), *flaws], ()
    unknown = [name for name, (_, is_unknown, *_) in found.items() if is_unknown and name in _RECORDED]
    replaced = {
        name: _replaced(name, former)
        for name, (_, is_unknown, is_same, former, *_) in found.items()
        if name in _RECORDED and not is_unknown and not is_same
    }
    return [*([_unnoted(unknown)] if unknown else []), *replaced.values(), *flaws], replaced.keys()


def _unnoted(names: Sequence[str]) -> Flaw:
    cause = (
        f"{MADE} does not say which tables the migrations made, as after the database was restored from a dump: whether"
        " somebody has replaced a table is not noticed."
    )
    quoted = ", ".join(f"'{name}'" for name in names)
    shown = SchemaFlaw(cause=cause, remedy="Type: tandem migrate up", effect=FlawEffect.UNCOUNTED)
    return Flaw(shown, (_NOTE.format(names=quoted),))


def _replaced(name: str, former: str | None) -> Flaw:
    accept = f"DELETE FROM {MADE} WHERE table_name = '{name}'"  # noqa: S608 - a name of ours
    back = (
        "Restore it from a copy"
        if former is None
        else f"Rename both back in psql: ALTER TABLE {name} RENAME TO {name}_beside;"
        f" ALTER TABLE {former} RENAME TO {name}"
    )
    gone = "is gone" if former is None else f"is called {former} now"
    cause = f"The table {name} is another one than Tandem made, which {gone}: somebody replaced it."
    remedy = f"{back}. If the present one is right: {accept}; and then type: tandem migrate up"
    return Flaw(SchemaFlaw(cause=cause, remedy=remedy), ())


def _flaws_of(name: str, found: Sequence[Any]) -> Iterator[Flaw]:
    kind, _, _, _, is_hiding, children = found
    if kind == _ORDINARY and children:
        named = ", ".join(children[:CHILDREN_NAMED_MAX])
        yield _flaw(
            f"The table {name} has child tables ({named}), and PostgreSQL takes their rows for rows of {name}.",
            f"In psql, type: ALTER TABLE {children[0]} NO INHERIT {name}",
        )
    if is_hiding:
        yield _flaw(
            f"Row-level security may hide rows of the table {name} from the account of Tandem, and reject others.",
            f"In psql, type: ALTER TABLE {name} DISABLE ROW LEVEL SECURITY",
        )


def _flaw(cause: str, remedy: str) -> Flaw:
    return Flaw(SchemaFlaw(cause=cause, remedy=remedy), ())
