"""Documents of other programs whose ids are neither text nor ObjectIds.

No record has such an id, so they are never read as records; verification, backfill and the checks of the schema name
them.
"""

from typing import Any

from bson import json_util
from pymongo.asynchronous.database import AsyncDatabase

from adapters.documents.raw_bson import DamagedDocument, decoded
from adapters.mongo.documents import Document
from adapters.records.document_filter import DOCUMENT_ID

_KINDS = (
    "number",
    "object",
    "binData",
    "bool",
    "date",
    "null",
    "timestamp",
    "javascript",
    "minKey",
    "maxKey",
)
"""Every kind that an id can have besides these two. Named one by one, they are ranges of the index of ids."""
OF_OTHER_KINDS: Document = {DOCUMENT_ID: {"$type": list(_KINDS)}}
OF_TEXTS: Document = {DOCUMENT_ID: {"$gte": ""}}
"""Comparisons with a text only meet texts."""
NAMED_MAX = 5


def other_name(document_id: object) -> str:
    """What such an id is called: extended JSON in brackets, which sorts before all ids of records."""
    text = json_util.dumps(document_id, json_options=json_util.RELAXED_JSON_OPTIONS)
    # It is a part of addresses, where a slash would end it. This is the same in JSON.
    return f"({text.replace('/', chr(92) + 'u002f')})"


def is_other_name(record_id: str) -> bool:
    """Whether this is the name of such an id."""
    return record_id.startswith("(")


def name_in(data: bytes) -> str:
    """The name of the id of a document that may be damaged."""
    try:
        return other_name(decoded(data)[DOCUMENT_ID])
    except DamagedDocument as damaged:
        return f"({damaged.digest})"


async def named_in(
    database: AsyncDatabase[Document], collection: str, *, limit: int = NAMED_MAX
) -> list[str]:
    """The first of a collection, by name. Raises pymongo's errors."""
    found: Any = database[collection].find(OF_OTHER_KINDS, {DOCUMENT_ID: True}).limit(limit)
    return [other_name(document[DOCUMENT_ID]) async for document in found]
