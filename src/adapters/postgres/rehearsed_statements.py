"""The SQL that shows whether a table takes any row at all. Whatever it writes is rolled back."""
# ruff: noqa: S608 - statements are put together from the specs, at import; values are parameters

from adapters.postgres.columns import KEY_COLUMN
from adapters.postgres.rows import FORMS, RowForm
from adapters.postgres.statements import assignments, insert_into, listed, quoted, written_columns
from adapters.records.specs import AUDIT_LOGS

_ENTRIES = FORMS[AUDIT_LOGS.collection]


def _rewrite(form: RowForm, *, order: str) -> str:
    kept = (
        f"SELECT * FROM {form.table} WHERE {KEY_COLUMN} <> ALL(%(ids)s)"
        f" ORDER BY {KEY_COLUMN} {order} LIMIT 1 FOR UPDATE SKIP LOCKED"
    )
    return (
        f"{insert_into(form)} SELECT {listed(map(quoted, written_columns(form)))} FROM ({kept}) AS kept"
        f" ON CONFLICT ({KEY_COLUMN}) DO "
        + ("NOTHING" if form is _ENTRIES else f"UPDATE SET {assignments(form)}")
    )


REWRITE = {
    name: tuple(_rewrite(form, order=order) for order in ("DESC", "ASC")) for name, form in FORMS.items()
}
"""Writes a row that the table holds, other than these, once more as it is: the newest one, or the oldest one. Rolled
back; if both fail, the table rejects every row.
"""


def _take(form: RowForm, *, order: str) -> str:
    kept = (
        f"SELECT {KEY_COLUMN} FROM {form.table} WHERE {KEY_COLUMN} <> ALL(%(ids)s)"
        f" ORDER BY {KEY_COLUMN} {order} LIMIT 1 FOR UPDATE SKIP LOCKED"
    )
    return f"DELETE FROM {form.table} AS taken WHERE {KEY_COLUMN} IN ({kept}) RETURNING to_jsonb(taken)::text"


TAKE = {name: tuple(_take(form, order=order) for order in ("DESC", "ASC")) for name, form in FORMS.items()}
"""Deletes a row other than these and returns it: the newest one, or the oldest one. Rolled back."""

INSERT_TAKEN = {
    name: f"{insert_into(form)} SELECT {listed(map(quoted, written_columns(form)))}"
    f" FROM jsonb_populate_record(NULL::{form.table},"
    f" %(row)s::jsonb || jsonb_build_object('{KEY_COLUMN}', %(id)s::text)) AS taken"
    f" ON CONFLICT ({KEY_COLUMN}) DO "
    + ("NOTHING" if form is _ENTRIES else f"UPDATE SET {assignments(form)}")
    for name, form in FORMS.items()
}
"""Writes a deleted row under a new id, as a mirrored row is written. Rolled back."""

DROPPED_MAX = 20
"""Rows that are written once more to find out whether a table drops every row."""

REWRITE_SOME = {
    name: f"WITH kept AS MATERIALIZED (SELECT * FROM {form.table} WHERE {KEY_COLUMN} <> ALL(%(ids)s)"
    f" ORDER BY {KEY_COLUMN} DESC LIMIT {DROPPED_MAX} FOR UPDATE SKIP LOCKED), written AS ({insert_into(form)}"
    f" SELECT {listed(map(quoted, written_columns(form)))} FROM kept ON CONFLICT ({KEY_COLUMN}) DO"
    f" UPDATE SET {assignments(form)} RETURNING 1)"
    " SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM written)"
    for name, form in FORMS.items()
    if form is not _ENTRIES
}
"""Writes rows other than these once more, as they are: how many there are, and how many a trigger let through. Rolled
back.
"""

TABLE_OF_FILE = """
    SELECT coalesce(toasted.relname, indexed.relname, named.relname)
    FROM pg_class AS named
    LEFT JOIN pg_index ON pg_index.indexrelid = named.oid
    LEFT JOIN pg_class AS indexed ON indexed.oid = pg_index.indrelid
    LEFT JOIN pg_class AS toasted ON toasted.reltoastrelid = coalesce(indexed.oid, named.oid)
    WHERE named.relfilenode = %s
"""
"""The table to which a file belongs, also the file of an index or of long values."""
