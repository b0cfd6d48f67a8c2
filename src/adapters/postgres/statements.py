"""The SQL of the hot path, written once per table. Only names from the specs ever become part of a statement.

A parameter stands for one text, which PostgreSQL reads as the column's type. A set of rows is one JSON parameter. Every
write carries a whole state: a row is inserted, replaced where its version allows it, or left alone.
"""
# ruff: noqa: S608 - statements are put together from the specs, at import; values are parameters

from collections.abc import Iterable, Sequence
from functools import lru_cache

from adapters.postgres.columns import KEY_COLUMN, SYNCED_AT
from adapters.postgres.lane_statements import ADVANCE_AFTER_PUT, HELD, arrival_parts, laned
from adapters.postgres.rows import FORMS, RowColumn, RowForm
from adapters.records.record import ID, VERSION
from adapters.records.specs import AUDIT_LOGS

SHAPES_MAX = 256
NOW = "date_trunc('milliseconds', statement_timestamp())"
SYNCED = "SYNCED"

_ENTRIES = FORMS[AUDIT_LOGS.collection]
_ARRIVED = {"syncStatus": f"'{SYNCED}'"}
"""Sync fields of a mirrored entry, in place of the source's values. The caller adds the time of arrival."""


def quoted(name: str) -> str:
    """A name as PostgreSQL reads it."""
    return f'"{name}"'


def listed(names: Iterable[str]) -> str:
    """The names, separated by commas."""
    return ", ".join(names)


def written_columns(form: RowForm) -> list[str]:
    """The columns that a write sets: all of them, so that no value of the earlier state stays."""
    names = [column.name for column in form.columns]
    return [*names, SYNCED_AT] if form.keeps_synced_at else names


def assignments(form: RowForm) -> str:
    """Replaces every column but the key by the proposed value."""
    return listed(
        f"{quoted(name)} = excluded.{quoted(name)}" for name in written_columns(form) if name != KEY_COLUMN
    )


def insert_into(form: RowForm) -> str:
    """The beginning of an INSERT into a table, whose rows it names `stored`."""
    return f"INSERT INTO {form.table} AS stored ({listed(map(quoted, written_columns(form)))})"


def numbered(statement: str) -> str:
    """The statement with `$1`, `$2`, … in place of its `%s`."""
    first, *others = statement.split("%s")
    return "".join((first, *(f"${number}{part}" for number, part in enumerate(others, 1))))


def _parameters(form: RowForm, synced_at: str) -> str:
    values = [f"%s::{column.sql_type}" for column in form.columns]
    return listed([*values, synced_at] if form.keeps_synced_at else values)


def _given(form: RowForm, *, named: str) -> str:
    """The rows of one JSON parameter as a table."""
    columns = listed(f"{quoted(column.key)} {column.sql_type}" for column in form.columns)
    return f"jsonb_to_recordset(%({named})s::jsonb) AS given ({columns})"


def _selected(form: RowForm, synced_at: str) -> str:
    values = [f"given.{quoted(column.key)}" for column in form.columns]
    return listed([*values, synced_at] if form.keeps_synced_at else values)


# --- reading -------------------------------------------------------------------------------------


def _read(form: RowForm) -> str:
    return f"SELECT {listed(map(quoted, form.read_columns))} FROM {form.table}"


FETCH_ONE = {name: f"{_read(form)} WHERE {KEY_COLUMN} = %s" for name, form in FORMS.items()}
FETCH_MANY = {name: f"{_read(form)} WHERE {KEY_COLUMN} = ANY(%s)" for name, form in FORMS.items()}
SCAN = {
    name: f"{_read(form)} WHERE {KEY_COLUMN} > %s ORDER BY {KEY_COLUMN} LIMIT %s"
    for name, form in FORMS.items()
}
VERSION_OF = {
    name: f"SELECT version FROM {form.table} WHERE {KEY_COLUMN} = %s" for name, form in FORMS.items()
}
COUNT_ENTRIES = f"SELECT count(*) FROM {_ENTRIES.table} WHERE {KEY_COLUMN} = ANY(%s)"
"""Counts the stored entries: the outcome of a commit whose reply was lost."""


# --- writing as source ---------------------------------------------------------------------------


@lru_cache(SHAPES_MAX)
def commit_one(collection: str, *, is_new: bool, entry_count: int, has_lane: bool) -> str:
    """One put and its entries in one statement. Its row count is 0 if nothing was stored, because the put did not match
    or the lane was lost. The lane advances exactly where the put is stored.

    Where the put is stored and an entry or the lane is not, because a trigger drops it without an error, the statement
    divides by zero, so that it stores nothing.

    Parameters: the lane and its number; the row; for a replacement its id and expected version; each entry's row.
    """
    form = FORMS[collection]
    put = f"{_new_row(form, has_lane=has_lane) if is_new else _replacement(form, has_lane=has_lane)} RETURNING 1"
    parts = (
        [HELD] * has_lane + [f"put AS ({put})"] + [f"lane AS ({ADVANCE_AFTER_PUT} RETURNING 1)"] * has_lane
    )
    are_stored = ["EXISTS (SELECT FROM lane)"] * has_lane
    if entry_count:
        rows = " UNION ALL ".join([f"SELECT {_parameters(_ENTRIES, 'NULL')} FROM put"] * entry_count)
        parts.append(f"entry AS ({insert_into(_ENTRIES)} {rows} RETURNING 1)")
        are_stored.append(f"(SELECT count(*) FROM entry) = {entry_count}")
    row = f"1 / ({' AND '.join(are_stored)})::integer" if are_stored else "1"
    return numbered(f"WITH {listed(parts)} SELECT {row} FROM put")


def _new_row(form: RowForm, *, has_lane: bool) -> str:
    source = " FROM held" if has_lane else ""
    row = f"SELECT {_parameters(form, 'NULL')}{source}"
    return f"{insert_into(form)} {row} ON CONFLICT ({KEY_COLUMN}) DO NOTHING"


def _replacement(form: RowForm, *, has_lane: bool) -> str:
    columns = listed(map(quoted, written_columns(form)))
    row = f"ROW({_parameters(form, 'NULL::timestamptz')})"
    is_held = " AND EXISTS (SELECT FROM held)" if has_lane else ""
    return f"UPDATE {form.table} SET ({columns}) = {row} WHERE {KEY_COLUMN} = %s AND version = %s{is_held}"


LOCK_VERSIONS = {
    name: f"SELECT {KEY_COLUMN}, version FROM {form.table} WHERE {KEY_COLUMN} = ANY(%(ids)s)"
    f" ORDER BY {KEY_COLUMN} FOR UPDATE"
    for name, form in FORMS.items()
}
"""Locks the rows of a change set, in the same order for every writer, and returns their versions."""

SHARE_VERSIONS = {
    name: f"SELECT {KEY_COLUMN}, version FROM {form.table} WHERE {KEY_COLUMN} = ANY(%(ids)s)"
    f" ORDER BY {KEY_COLUMN} FOR SHARE"
    for name, form in FORMS.items()
}
"""Locks checked rows against changes until the transaction ends; other read checks share the lock. Returns versions."""

RELEASE = {
    name: f"DELETE FROM {form.table} AS stored USING {_given(form, named='rows')}"
    f' WHERE stored.{KEY_COLUMN} = given."{ID}" AND stored.version < given."{VERSION}"'
    for name, form in FORMS.items()
}
"""Deletes the rows that the same transaction replaces, so that a unique value can move between records."""

INSERT_MANY = {
    name: f"{insert_into(form)} SELECT {_selected(form, 'NULL')} FROM {_given(form, named='rows')}"
    f' ORDER BY given."{ID}" COLLATE "C"'
    for name, form in FORMS.items()
}
"""Adds rows and entries; the rows that they replace were deleted before."""


# --- writing as target ---------------------------------------------------------------------------


@lru_cache(SHAPES_MAX)
def mirror_one(collection: str, *, has_lane: bool, has_seen: bool) -> str:
    """One put where it is newer and one entry where it is new, in one statement.

    Parameters: the lane and its number, the lane and number that were seen; then both rows.
    Its row count is the number of rows that were written, so that no outcome has to be assumed.
    """
    form = FORMS[collection]
    put = (
        f"{insert_into(form)} VALUES ({_parameters(form, NOW)})"
        f" ON CONFLICT ({KEY_COLUMN}) DO UPDATE SET {assignments(form)} WHERE stored.version < excluded.version"
        " RETURNING 1"
    )
    values = listed(_ARRIVED.get(column.key, f"%s::{column.sql_type}") for column in _ENTRIES.columns)
    entry = f"{insert_into(_ENTRIES)} VALUES ({values}) ON CONFLICT ({KEY_COLUMN}) DO NOTHING RETURNING 1"
    statement = f"WITH put AS ({put}), entry AS ({entry}) SELECT 1 FROM put UNION ALL SELECT 1 FROM entry"
    return numbered(laned(statement, arrival_parts(has_lane=has_lane, has_seen=has_seen)))


MIRRORED_ENTRY_AT: Sequence[int] = tuple(
    place for place, column in enumerate(_ENTRIES.columns) if column.key not in _ARRIVED
)
"""The values of an entry's row that `mirror_one` takes."""

ENTRIES_PARAMETER = "entries"


@lru_cache(SHAPES_MAX)
def mirror_many(collections: tuple[str, ...], *, has_lane: bool, has_seen: bool) -> str:
    """The newest given state of every record where it is newer, and every new entry, in one statement.

    One JSON parameter for each collection, by its name, and one for the entries; those of `arrival_parameters`.
    Returns how many rows were written.
    """
    parts = {f"put_{name}": _mirror_rows(FORMS[name], named=name) for name in collections}
    parts["entry"] = _mirror_entries(named=ENTRIES_PARAMETER)
    written = " + ".join(f"(SELECT count(*) FROM {quoted(name)})" for name in parts)
    named = listed(f"{quoted(name)} AS ({part} RETURNING 1)" for name, part in parts.items())
    return laned(
        f"WITH {named} SELECT {written}",
        arrival_parts(has_lane=has_lane, has_seen=has_seen, is_named=True),
    )


def _mirror_rows(form: RowForm, *, named: str) -> str:
    identity = f'given."{ID}" COLLATE "C"'
    return (
        f"{insert_into(form)} SELECT DISTINCT ON ({identity}) {_selected(form, NOW)} FROM {_given(form, named=named)}"
        f' ORDER BY {identity}, given."{VERSION}" DESC'
        f" ON CONFLICT ({KEY_COLUMN}) DO UPDATE SET {assignments(form)} WHERE stored.version < excluded.version"
    )


def _mirror_entries(*, named: str) -> str:
    identity = f'given."{ID}"'
    values = listed(map(_mirrored_value, _ENTRIES.columns))
    return (
        f"{insert_into(_ENTRIES)} SELECT DISTINCT ON ({identity}) {values} FROM {_given(_ENTRIES, named=named)}"
        f" ORDER BY {identity} ON CONFLICT ({KEY_COLUMN}) DO NOTHING"
    )


def _mirrored_value(column: RowColumn) -> str:
    return _ARRIVED.get(column.key, f"given.{quoted(column.key)}")


VERSIONS_OF = {
    name: f"SELECT {KEY_COLUMN}, version FROM {form.table} WHERE {KEY_COLUMN} = ANY(%(ids)s)"
    for name, form in FORMS.items()
}
"""The versions that are stored, to read back what became of puts and entries that a statement did not write."""

UNLOCKED_ROWS = {
    name: f"SELECT {KEY_COLUMN} FROM {form.table} WHERE {KEY_COLUMN} = ANY(%(ids)s) FOR UPDATE SKIP LOCKED"
    for name, form in FORMS.items()
}
"""Those of the rows that no other session has locked."""

MIRROR_ROWS = {
    name: f"{_mirror_entries(named='rows')} RETURNING collection"
    if form is _ENTRIES
    else f"{_mirror_rows(form, named='rows')} RETURNING 1"
    for name, form in FORMS.items()
}
"""The part of `mirror_many` for one table. Without rows it shows whether the table can be written to; entries that
were stored return their collections.
"""

MARK = f"""
    WITH given AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS given (id text, status text, attempts bigint,
            next_at timestamptz, error text, at timestamptz, lane bigint, number bigint, reopens boolean)
    ), raised AS (
        INSERT INTO tandem_seen AS stored (lane, number)
        SELECT lane, max(number) FROM given WHERE lane IS NOT NULL GROUP BY lane ORDER BY lane
        ON CONFLICT (lane) DO UPDATE
        SET number = greatest(stored.number, least(excluded.number, coalesce(stored.cut, excluded.number))),
            is_checkpointed = false
        RETURNING lane, cut
    )
    UPDATE {_ENTRIES.table} AS stored
    SET sync_status = given.status, sync_attempts = given.attempts, sync_next_at = given.next_at,
        sync_error = given.error, sync_lane = given.lane, sync_number = given.number,
        synced_at = CASE WHEN given.status = '{SYNCED}' THEN given.at WHEN given.reopens THEN NULL
                         ELSE stored.synced_at END
    FROM given LEFT JOIN raised ON raised.lane = given.lane
    WHERE stored.{KEY_COLUMN} = given.id AND (given.reopens OR stored.sync_status IS DISTINCT FROM '{SYNCED}')
        AND (raised.cut IS NULL OR given.number <= raised.cut)
"""
"""Notes the outcome of mirroring entries, and what was seen of the lanes that brought them to the target.

SYNCED is final, unless the target has lost the entry. Marks above a cut are void: raising what was seen waits for a cut
under way, and sees it.
"""
