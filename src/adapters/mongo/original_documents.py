"""Reads the documents of another service's database, with the type of every value."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import bson
import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from bson.json_util import CANONICAL_JSON_OPTIONS, dumps
from pymongo import AsyncMongoClient
from pymongo.errors import DuplicateKeyError

from adapters.mongo.adopted_database import ADOPTED_MARK, ADOPTED_PREFIX
from adapters.mongo.client import DURABLE, new_client
from adapters.mongo.documents import Document, to_document
from adapters.mongo.errors import translated
from adapters.mongo.raw_documents import id_in, split_documents
from adapters.records.adoption_state import ADOPTION_ID, STATE, State
from adapters.records.document_filter import DOCUMENT_ID
from adapters.records.originals import Original
from adapters.records.record import VERSION, Record
from adapters.records.specs import CONTROL
from domain.entity import is_id

BATCH = 500
TIMEOUT_MS = 30_000
FIRST_ANSWER_SECONDS = 5.0
"""How long a server that may not be there has for its first answer."""
POOL_MAX = 4

_NAMED_AS_THEY_ARE = frozenset({"$oid", "$numberInt", "$numberLong"})
# Instants beyond the year 9999 stay numbers, where the usual conversion fails.
_CODEC: CodecOptions[Document] = CodecOptions(dict, datetime_conversion=DatetimeConversion.DATETIME_AUTO)


class OriginalDocuments:
    """The port Originals over a MongoDB database. `close` ends the connection."""

    own_prefix = ADOPTED_PREFIX

    def __init__(self, uri: str, database: str) -> None:
        self.database = database
        with translated():
            self._client: AsyncMongoClient[Document] = new_client(
                uri, timeout_ms=TIMEOUT_MS, pool_max=POOL_MAX
            )

    async def close(self) -> None:
        """Disconnects."""
        await self._client.close()

    async def collections(self) -> Sequence[str]:
        own = (ADOPTED_PREFIX, "system.")
        return [name for name in await self._names() if not name.startswith(own)]

    async def is_tandems(self) -> bool:
        return CONTROL.collection in await self._names()

    async def is_marked(self) -> bool:
        return ADOPTED_MARK in await self._names()

    async def marked_state(self) -> State | None:
        with translated(), pymongo.timeout(FIRST_ANSWER_SECONDS):
            note = await self._client[self.database][ADOPTED_MARK].find_one({DOCUMENT_ID: ADOPTION_ID})
        return None if note is None else State(note["value"][STATE])

    async def _names(self) -> list[str]:
        with translated(), pymongo.timeout(FIRST_ANSWER_SECONDS):
            return sorted(await self._client[self.database].list_collection_names())

    async def count(self, collection: str) -> int:
        with translated(), pymongo.timeout(TIMEOUT_MS / 1_000):
            return await self._client[self.database][collection].count_documents({})

    async def documents(self, collection: str) -> AsyncIterator[Original]:
        with translated():
            cursor = self._client[self.database][collection].find_raw_batches({}, batch_size=BATCH)
            batch: Any  # the driver declares documents, and gives bytes
            async for batch in cursor.sort(DOCUMENT_ID, 1):
                for data in split_documents(batch):
                    yield original_of(collection, data)

    async def mark(self, note: Record) -> None:
        # One write: who starts in between finds another service's database, or an incomplete adoption.
        mark = self._client[self.database].get_collection(ADOPTED_MARK, write_concern=DURABLE)
        if await self.is_marked():
            return
        with translated(), pymongo.timeout(TIMEOUT_MS / 1_000), suppress(DuplicateKeyError):
            await mark.insert_one(to_document(CONTROL.collection, note))

    async def complete_mark(self) -> None:
        # A store that adopts into itself has done so; a target that was only marked has not.
        mark = self._client[self.database].get_collection(ADOPTED_MARK, write_concern=DURABLE)
        running = {DOCUMENT_ID: ADOPTION_ID, f"value.{STATE}": State.RUNNING.value}
        done = {"$set": {f"value.{STATE}": State.DONE.value}, "$inc": {VERSION: 1}}
        with translated(), pymongo.timeout(TIMEOUT_MS / 1_000):
            await mark.update_one(running, done)


def original_of(collection: str, data: bytes) -> Original:
    """The original in the bytes of a document."""
    try:
        document = bson.decode(data, _CODEC)
        fields: dict[str, Any] = json.loads(dumps(document, json_options=CANONICAL_JSON_OPTIONS))
    except (BSONError, TypeError, ValueError, OverflowError) as error:
        raw = b64encode(data).decode()
        return Original(collection=collection, id=_safe_id(data), fields={}, damage=str(error), raw=raw)
    return Original(collection=collection, id=id_text(fields.get(DOCUMENT_ID)), fields=fields)


def id_text(value: Any) -> str:
    """What people call the document: the digits of an ObjectId, a number, or its id as extended JSON."""
    if isinstance(value, dict) and len(value) == 1:
        ((kind, inner),) = value.items()
        if kind in _NAMED_AS_THEY_ARE and isinstance(inner, str):
            return inner
    return value if isinstance(value, str) and is_id(value) else json.dumps(value)


def _safe_id(data: bytes) -> str:
    try:
        return id_in(data)
    except (BSONError, IndexError, KeyError):
        return "(unknown)"
