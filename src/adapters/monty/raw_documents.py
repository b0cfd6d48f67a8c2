"""Documents as they lie in the file, read by a path that shares nothing with the store's own decoder."""

# ruff: noqa: S608 - names come from the specs; values are parameters

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from adapters.documents.raw_bson import DamagedDocument, decoded, decoded_all
from adapters.records.raw_reading import Digest, RawPage, digest_of

_ID = "_id"


def page_after(connection: sqlite3.Connection, collection: str, after: str, limit: int) -> RawPage:
    """The documents with the next ids."""
    statement = f"SELECT id, doc FROM {collection} WHERE id > ? ORDER BY id LIMIT ?"
    return _page(connection.execute(statement, (after, limit)).fetchall(), limit)


def page_of(connection: sqlite3.Connection, collection: str, ids: Sequence[str]) -> RawPage:
    """The documents with these ids."""
    statement = f"SELECT id, doc FROM {collection} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
    rows = connection.execute(statement, (json.dumps(list(ids)),)).fetchall()
    return _page(rows, len(rows) + 1)


def digests(
    connection: sqlite3.Connection, collection: str, after: str, bounds: Sequence[str]
) -> list[Digest]:
    """The digests of the ranges behind `after` that end with these ids."""
    statement = f"SELECT doc FROM {collection} WHERE id > ? AND id <= ? ORDER BY id"
    ranges = zip((after, *bounds), bounds, strict=False)
    return [digest_of([data for (data,) in connection.execute(statement, each)]) for each in ranges]


def count(connection: sqlite3.Connection, collection: str, after: str | None, upto: str | None) -> int:
    """The number of documents with ids above `after`, up to `upto`."""
    bounds = {">": after, "<=": upto}
    where = " AND ".join(f"id {sign} ?" for sign, bound in bounds.items() if bound is not None) or "true"
    values = [bound for bound in bounds.values() if bound is not None]
    ((number,),) = connection.execute(f"SELECT count(*) FROM {collection} WHERE {where}", values).fetchall()
    return int(number)


def _page(rows: Sequence[tuple[str, bytes]], limit: int) -> RawPage:
    if not rows:
        return RawPage([])
    unreadable: dict[str, str] = {}
    documents = decoded_all([data for _, data in rows])
    if documents is None:
        documents = _one_by_one(rows, unreadable)
    ids = [record_id for record_id, _ in rows if record_id not in unreadable]
    records = []
    for record_id, document in zip(ids, documents, strict=True):
        if document.pop(_ID, None) != record_id:
            unreadable[record_id] = "The document holds another id than its row."
            continue
        document["id"] = record_id
        records.append(document)
    prints = () if unreadable else [data for _, data in rows]
    return RawPage(records, unreadable, rows[-1][0], is_last=len(rows) < limit, prints=prints)


def _one_by_one(rows: Sequence[tuple[str, bytes]], unreadable: dict[str, str]) -> list[dict[str, Any]]:
    documents = []
    for record_id, data in rows:
        try:
            documents.append(decoded(data))
        except DamagedDocument as damaged:
            unreadable[record_id] = str(damaged)
    return documents
