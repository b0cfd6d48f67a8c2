"""Finds and rewrites rows whose search tokens follow an earlier rule. Only `words` changes, so versions stay."""
# ruff: noqa: S608 - statements are put together from the specs, at import; values are parameters

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from adapters.postgres.columns import KEY_COLUMN, WORDS
from adapters.postgres.connections import Connections
from adapters.postgres.contention import retried
from adapters.postgres.lane_rows import advance
from adapters.postgres.rows import search_words
from adapters.postgres.tables import TABLES
from adapters.records.lane_slots import LaneSlots, Slot
from adapters.records.old_records import StoredFormat
from adapters.records.record import ID, VERSION, Record, is_tombstone
from adapters.records.specs import SPECS

_GIVEN = "jsonb_to_recordset(%(rows)s::jsonb) AS given (id text, version bigint, words text)"


async def outdated_among(connections: Connections, collection: str, records: Sequence[Record]) -> set[str]:
    """The ids of those records whose rows have other tokens than today's."""
    table = TABLES[collection].name
    stored = f"FROM {_GIVEN} JOIN {table} AS stored ON stored.{KEY_COLUMN} = given.id"
    differ = f"stored.{WORDS} IS DISTINCT FROM given.words::tsvector AND stored.version = given.version"
    answer = await connections.run(f"SELECT given.id {stored} WHERE {differ}", _rows(collection, records))
    return {record_id for (record_id,) in await answer.fetchall()}


async def formats_of(
    connections: Connections, collection: str, records: Sequence[Record]
) -> list[StoredFormat]:
    """The formats of a page of records; see Upgradable."""
    spec = SPECS[collection]
    old = await outdated_among(connections, collection, records) if spec.text_fields else set()
    return [
        StoredFormat(one[ID], is_current=one[ID] not in old, fits=spec.is_readable(one)) for one in records
    ]


async def rewrite_words(
    connections: Connections, slots: LaneSlots, collection: str, records: Iterable[Record]
) -> int:
    """Stores today's tokens of these records in one transaction; returns how many rows changed. A row that has another
    version by now has been written with today's tokens. Raises LaneLost where the lane does not allow it.
    """
    statement = (
        f"UPDATE {TABLES[collection].name} AS stored SET {WORDS} = given.words::tsvector FROM {_GIVEN}"
        f" WHERE stored.{KEY_COLUMN} = given.id AND stored.version = given.version"
        f" AND stored.{WORDS} IS DISTINCT FROM given.words::tsvector RETURNING given.id"
    )
    rows = _rows(collection, records)

    async def rewrite(slot: Slot | None) -> int:
        async with connections.transaction() as transaction:
            changed = await (await transaction.run(statement, rows)).fetchall()
            await advance(transaction, slot)
        return len(changed)

    async with slots.held() as slot:
        changed_count = await retried(lambda: rewrite(slot))
        if slot is not None:
            slot.advance()
        return changed_count


def _rows(collection: str, records: Iterable[Record]) -> dict[str, Any]:
    tokens_of = SPECS[collection].tokens
    rows = [
        {
            ID: one[ID],
            VERSION: one[VERSION],
            WORDS: None if is_tombstone(one) else search_words(tokens_of(one)),
        }
        for one in records
    ]
    return {"rows": msgspec.json.encode(rows).decode()}
