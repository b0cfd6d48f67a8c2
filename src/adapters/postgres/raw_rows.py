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
from adapters.records.raw_reading import RawPage
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


class RawRows:
    """Reads over the connections of a record store."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def scan(self, collection: str, *, after: str | None, limit: int) -> RawPage:
        """The rows with the next ids."""
        where = "WHERE mongo_id > %s ORDER BY mongo_id LIMIT %s"
        records = await self._records(collection, where, [after or "", str(limit)])
        return _page(records, is_last=len(records) < limit)

    async def fetch(self, collection: str, ids: Sequence[str]) -> RawPage:
        """The rows with these ids."""
        where = "WHERE mongo_id = ANY(%s) ORDER BY mongo_id"
        return _page(await self._records(collection, where, [list(ids)]), is_last=True)

    async def count(self, collection: str) -> int:
        """The number of rows."""
        cursor = await self._connections.run(f"SELECT count(*) FROM {SPECS[collection].table}")
        ((number,),) = await cursor.fetchall()
        return int(number)

    async def _records(self, collection: str, where: str, parameters: Sequence[Any]) -> list[Record]:
        table = SPECS[collection].table
        cursor = await self._connections.run(_COLUMNS, [table])
        columns = [row for row in await cursor.fetchall() if row[1] not in _OWN]
        if not columns:
            raise SchemaMissing
        names = [_field_name(name) for _, name, _ in columns]
        cursor = await self._connections.run(_select(columns, table, where), parameters)
        try:
            rows = await cursor.fetchall()
        except psycopg.DataError:
            # An instant that Python cannot hold. As texts, instants differ from every instant of the other store.
            select = _select(columns, table, where, with_texts=True)
            rows = await (await self._connections.run(select, parameters)).fetchall()
        return [_record(dict(zip(names, row, strict=True))) for row in rows]


def _select(
    columns: Sequence[tuple[str, str, str]], table: str, where: str, *, with_texts: bool = False
) -> str:
    values = [_value(quoted.replace("%", "%%"), kind, as_text=with_texts) for quoted, _, kind in columns]
    return f"SELECT {', '.join(values)} FROM {table} {where}"


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


def _page(records: list[Record], *, is_last: bool) -> RawPage:
    return RawPage(records, {}, records[-1]["id"] if records else None, is_last=is_last)
