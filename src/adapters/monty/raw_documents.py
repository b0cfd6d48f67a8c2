"""Documents as they lie in the file, read by a path that shares nothing with the store's own decoder."""

# ruff: noqa: S608 - names come from the specs; values are parameters

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder, TypeRegistry
from bson.errors import BSONError
from bson.int64 import Int64
from bson.objectid import ObjectId

from adapters.records.raw_reading import RawPage

_ID = "_id"


class _Number(TypeDecoder):
    bson_type = Int64

    def transform_bson(self, value: int) -> int:
        return int(value)


class _Digits(TypeDecoder):
    bson_type = ObjectId

    def transform_bson(self, value: ObjectId) -> str:
        return str(value)


_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    dict,
    tz_aware=False,
    # Instants beyond the year 9999 stay numbers, where the usual conversion fails.
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="surrogateescape",
    type_registry=TypeRegistry([_Number(), _Digits()]),
)


def page_after(connection: sqlite3.Connection, collection: str, after: str, limit: int) -> RawPage:
    """The documents with the next ids."""
    statement = f"SELECT id, doc FROM {collection} WHERE id > ? ORDER BY id LIMIT ?"
    return _page(connection.execute(statement, (after, limit)).fetchall(), limit)


def page_of(connection: sqlite3.Connection, collection: str, ids: Sequence[str]) -> RawPage:
    """The documents with these ids."""
    statement = f"SELECT id, doc FROM {collection} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
    rows = connection.execute(statement, (json.dumps(list(ids)),)).fetchall()
    return _page(rows, len(rows) + 1)


def count_all(connection: sqlite3.Connection, collection: str) -> int:
    """The number of documents."""
    ((number,),) = connection.execute(f"SELECT count(*) FROM {collection}").fetchall()
    return int(number)


def _page(rows: Sequence[tuple[str, bytes]], limit: int) -> RawPage:
    if not rows:
        return RawPage([])
    unreadable: dict[str, str] = {}
    try:
        # One call for all of them. A damaged length could join two documents, hence the count.
        documents = bson.decode_all(b"".join([data for _, data in rows]), _CODEC)
    except (BSONError, TypeError):
        documents = []
    if len(documents) != len(rows):
        documents = _one_by_one(rows, unreadable)
    ids = [record_id for record_id, _ in rows if record_id not in unreadable]
    records = []
    for record_id, document in zip(ids, documents, strict=True):
        if document.pop(_ID, None) != record_id:
            unreadable[record_id] = "The document holds another id than its row."
            continue
        document["id"] = record_id
        records.append(document)
    return RawPage(records, unreadable, rows[-1][0], is_last=len(rows) < limit)


def _one_by_one(rows: Sequence[tuple[str, bytes]], unreadable: dict[str, str]) -> list[dict[str, Any]]:
    documents = []
    for record_id, data in rows:
        try:
            documents.append(bson.decode(data, _CODEC))
        except (BSONError, TypeError) as error:
            unreadable[record_id] = f"The document is damaged: {error}"
    return documents
