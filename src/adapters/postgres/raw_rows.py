"""Rows as the server holds them, read by a path that shares nothing with the conversion that writes them.

The columns come from the server's catalogue and not from the specs, so a column that the conversion forgets, or takes
for another one, is noticed.
"""

# ruff: noqa: S608 - names come from the specs and the catalogue, quoted by the server; values are parameters

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from adapters.postgres.connections import Connections
from adapters.records.raw_reading import Digest, RawPage
from adapters.records.record import Record
from adapters.records.record_store import SchemaMissing
from adapters.records.specs import SPECS

_COLUMNS = (
    "SELECT quote_ident(attname), attname, format_type(atttypid, NULL) FROM pg_attribute"
    " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
_OWN = frozenset({"synced_at", "words"})
"""Columns that say something about this store's copy, or only repeat others for searches."""
_PLAIN = frozenset({"text", "bigint", "boolean", "jsonb"})
_INSTANT = "timestamp with time zone"
_HASHABLE = (_PLAIN - {"jsonb"}) | {_INSTANT, "date"}
"""Kinds whose hash changes with every change of a value. That of jsonb is the same for 3 and 3.0."""


class RawRows:
    """Reads over the connections of a record store."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def scan(self, collection: str, *, after: str | None, limit: int) -> RawPage:
        """The rows with the next ids."""
        where = "WHERE mongo_id > %s ORDER BY mongo_id LIMIT %s"
        records, prints = await self._records(collection, where, [after or "", str(limit)])
        return _page(records, prints, is_last=len(records) < limit)

    async def fetch(self, collection: str, ids: Sequence[str]) -> RawPage:
        """The rows with these ids."""
        where = "WHERE mongo_id = ANY(%s) ORDER BY mongo_id"
        return _page(*await self._records(collection, where, [list(ids)]), is_last=True)

    async def count(self, collection: str, *, after: str | None = None, upto: str | None = None) -> int:
        """The number of rows with ids above `after`, up to `upto`."""
        bounds = {">": after, "<=": upto}
        bounded = [f'mongo_id {sign} %s COLLATE "C"' for sign, bound in bounds.items() if bound is not None]
        where = f" WHERE {' AND '.join(bounded)}" if bounded else ""
        values = [bound for bound in bounds.values() if bound is not None]
        cursor = await self._connections.run(f"SELECT count(*) FROM {SPECS[collection].table}{where}", values)
        ((number,),) = await cursor.fetchall()
        return int(number)

    async def digests(self, collection: str, *, after: str | None, bounds: Sequence[str]) -> list[Digest]:
        """The digests of the ranges behind `after` that end with these ids, computed by the server."""
        table = SPECS[collection].table
        print_ = _print(await self._columns(table))
        statement = (
            "SELECT of.count, of.value FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS given(low, high, place),"
            f" LATERAL (SELECT count(*), coalesce(sum({print_}), 0)::text AS value FROM {table}"
            ' WHERE mongo_id > given.low COLLATE "C" AND mongo_id <= given.high COLLATE "C") AS of'
            " ORDER BY given.place"
        )
        lows = [after or "", *bounds][: len(bounds)]
        rows = await (await self._connections.run(statement, [lows, list(bounds)])).fetchall()
        return [Digest(int(count), str(value)) for count, value in rows]

    async def _columns(self, table: str) -> list[tuple[str, str, str]]:
        cursor = await self._connections.run(_COLUMNS, [table])
        columns = [row for row in await cursor.fetchall() if row[1] not in _OWN]
        if not columns:
            raise SchemaMissing
        return columns

    async def _records(
        self, collection: str, where: str, parameters: Sequence[Any]
    ) -> tuple[list[Record], list[int]]:
        table = SPECS[collection].table
        columns = await self._columns(table)
        names = [_field_name(name) for _, name, _ in columns]
        cursor = await self._connections.run(_select(columns, table, where), parameters)
        try:
            rows = await cursor.fetchall()
        except psycopg.DataError:
            # An instant that Python cannot hold. As texts, instants differ from every instant of the other store.
            select = _select(columns, table, where, with_texts=True)
            rows = await (await self._connections.run(select, parameters)).fetchall()
        # The last value is the print, which has no name.
        records = [_record(dict(zip(names, row, strict=False))) for row in rows]
        return records, [row[-1] for row in rows]


def _select(
    columns: Sequence[tuple[str, str, str]], table: str, where: str, *, with_texts: bool = False
) -> str:
    values = [_value(quoted.replace("%", "%%"), kind, as_text=with_texts) for quoted, _, kind in columns]
    return f"SELECT {', '.join(values)}, {_print(columns)} FROM {table} {where}"


def _print(columns: Sequence[tuple[str, str, str]]) -> str:
    """A hash of everything in the row that is this store's record."""
    values = [
        quoted.replace("%", "%%") + ("" if kind in _HASHABLE else "::text") for quoted, _, kind in columns
    ]
    return f"hash_record_extended(ROW({', '.join(values)}), 0)"


def _value(column: str, kind: str, *, as_text: bool) -> str:
    if kind == _INSTANT and not as_text:
        return f"{column} AT TIME ZONE 'UTC'"
    return column if kind in _PLAIN else f"{column}::text"


def _field_name(column: str) -> str:
    """The name that a column's field has in records: `due_at` is dueAt."""
    if column == "mongo_id":
        return "id"
    first, *others = column.split("_")
    return first + "".join(other[:1].upper() + other[1:] for other in others)


def _record(record: Record) -> Record:
    """The record with the unknown fields in their place."""
    extra = record.pop("extra", None)
    if extra is None:
        return record
    parts = (extra.get("values"), extra.get("instants")) if isinstance(extra, dict) else (None, None)
    values, instants = parts
    if not isinstance(values, dict) or not isinstance(instants, dict):
        return {**record, "extra": extra}
    return {**record, **values, **{name: _instant(text) for name, text in instants.items()}}


def _instant(text: Any) -> Any:
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return text
    return instant if instant.tzinfo is None else instant.astimezone(UTC).replace(tzinfo=None)


def _page(records: list[Record], prints: list[int], *, is_last: bool) -> RawPage:
    last_id = records[-1]["id"] if records else None
    return RawPage(records, {}, last_id, is_last=is_last, prints=prints)
