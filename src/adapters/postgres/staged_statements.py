"""The SQL of bulk loading, written once per table. Only names from the specs ever become part of a statement."""
# ruff: noqa: S608 - statements are put together from the specs, at import; values are parameters

from adapters.postgres.columns import KEY_COLUMN
from adapters.postgres.lane_statements import RAISE_SEEN
from adapters.postgres.rows import FORMS, RowForm
from adapters.postgres.statements import NOW, assignments, insert_into, listed, quoted, written_columns
from adapters.records.specs import AUDIT_LOGS

_ENTRIES = FORMS[AUDIT_LOGS.collection]
STAGED = "pg_temp.tandem_load"
"""The temporary table of a page that is loaded. It ends with its transaction, since a pooler's sessions are shared."""


def _merge_staged(form: RowForm) -> str:
    columns = [f"given.{quoted(column.name)}" for column in form.columns]
    values = listed([*columns, NOW] if form.keeps_synced_at else columns)
    newer = f"UPDATE SET {assignments(form)} WHERE stored.version < excluded.version"
    return (
        f"{insert_into(form)} SELECT {values} FROM {STAGED} AS given"
        f' ORDER BY given.{KEY_COLUMN} COLLATE "C"'
        f" ON CONFLICT ({KEY_COLUMN}) DO {'NOTHING' if form is _ENTRIES else newer}"
    )


STAGE = {
    name: f"CREATE TEMP TABLE tandem_load (LIKE {form.table}) ON COMMIT DROP" for name, form in FORMS.items()
}
COPY_STAGED = {
    name: f"COPY {STAGED} ({listed(quoted(column.name) for column in form.columns)}) FROM STDIN"
    for name, form in FORMS.items()
}
COPY_NEW = {
    name: f"COPY {form.table} ({listed(map(quoted, written_columns(form)))}) FROM STDIN"
    for name, form in FORMS.items()
}
"""Adds rows of which the table holds none yet; fails as a whole where it does. The last value is the time of arrival,
in tables that keep one.
"""
MERGE_STAGED = {name: _merge_staged(form) for name, form in FORMS.items()}
"""Stores the staged rows where they are newer, and staged entries where they are new, as `mirror_many` does."""
RELEASE_STAGED = {
    name: f"DELETE FROM {form.table} AS stored USING {STAGED} AS given"
    f" WHERE stored.{KEY_COLUMN} = given.{KEY_COLUMN} AND stored.version < given.version"
    for name, form in FORMS.items()
    if form is not _ENTRIES
}
"""As RELEASE, for staged rows."""
EMPTY_STAGED = f"DELETE FROM {STAGED}"
RAISE_SEEN_ALONE = f"WITH {RAISE_SEEN.format(lanes='%s', numbers='%s')} SELECT"
