"""Reads documents as records in today's form, whichever format and kind of id they have in the store."""

from collections.abc import Sequence

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.client import MongoConnection
from adapters.mongo.document_query import lasting_filter, question_filter, sort_of
from adapters.mongo.documents import WITHOUT_HIDDEN, Document, has_todays_words, stored_record, to_record
from adapters.mongo.old_documents import (
    among_object_ids,
    among_texts,
    collections_with_object_ids,
    has_object_ids,
    merged,
    object_ids,
)
from adapters.mongo.other_ids import OF_TEXTS, named_in
from adapters.records.criteria import Criterion, Question
from adapters.records.document_filter import DOCUMENT_ID
from adapters.records.old_records import StoredFormat
from adapters.records.record import ID, Record
from adapters.records.specs import SPECS


class DocumentReader:
    """The reading half of the record store. `with_object_ids` are the collections with documents under ObjectIds."""

    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection
        self.with_object_ids: frozenset[str] = frozenset()

    async def look_for_object_ids(self) -> None:
        """Notes which collections hold documents under ObjectIds; the others need only one query per question."""
        async with self._connection.call() as database:
            self.with_object_ids = await collections_with_object_ids(database)

    async def look_in(self, database: AsyncDatabase[Document], collection: str) -> None:
        """Looks again in one collection: another program may have written past its validator."""
        if await has_object_ids(database, collection):
            self.with_object_ids |= {collection}

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        """See RecordStore.fetch."""
        if not ids:
            return {}
        async with self._connection.call() as database:
            found = await _by_key(database, collection, ids)
            missing = [record_id for record_id in ids if record_id not in found]
            if missing and collection in self.with_object_ids:
                found |= await _by_key(database, collection, object_ids(missing))
        return found

    async def find(self, question: Question) -> list[Record]:
        """See RecordStore.find."""
        if question.limit < 1:
            return []
        query = question_filter(question)
        async with self._connection.call() as database:
            if question.collection not in self.with_object_ids:
                return await _page(database, question, query)
            texts = await _page(database, question, among_texts(query))
            return merged(question, texts, await _page(database, question, among_object_ids(query)))

    async def count(self, collection: str, where: Criterion) -> int:
        """See RecordStore.count. A record stored under both kinds of id counts twice until it is rewritten."""
        query = lasting_filter(where)
        async with self._connection.call() as database:
            documents = database[collection]
            if collection not in self.with_object_ids:
                return await documents.count_documents(query)
            texts = await documents.count_documents(among_texts(query))
            return texts + await documents.count_documents(among_object_ids(query))

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        """See RecordStore.scan."""
        found = await self._next(collection, WITHOUT_HIDDEN, after=after, limit=limit)
        return [to_record(collection, document) for document, _ in found]

    async def formats(self, collection: str, *, after: str | None, limit: int) -> list[StoredFormat]:
        """See Upgradable.formats. A document with outdated search words is old as well."""
        spec = SPECS[collection]
        others: list[str] = []
        if after is None:
            async with self._connection.call() as database:
                others = await named_in(database, collection, limit=limit)
        formats = [StoredFormat(one, is_current=True, fits=False) for one in others]
        for document, has_text_id in await self._next(collection, None, after=after, limit=limit):
            stored = stored_record(document)
            record = spec.upgraded(stored)
            is_current = record is stored and has_text_id and has_todays_words(collection, document)
            formats.append(StoredFormat(record[ID], is_current=is_current, fits=spec.is_readable(record)))
        return formats

    async def _next(
        self, collection: str, projection: Document | None, *, after: str | None, limit: int
    ) -> list[tuple[Document, bool]]:
        """The documents with the next ids, and whether these are text. Ids of other kinds have no place among them."""
        query: Document = OF_TEXTS if after is None else {DOCUMENT_ID: {"$gt": after}}
        async with self._connection.call() as database:
            if after is None:
                await self.look_in(database, collection)
            documents = database[collection]
            if collection not in self.with_object_ids:
                return [(one, True) for one in await _by_id(documents, query, projection, limit)]
            others = await _by_id(documents, among_object_ids(query), projection, limit)
            texts = await _by_id(documents, among_texts(query), projection, limit)
        by_id = {one[DOCUMENT_ID]: (one, False) for one in others}
        by_id |= {one[DOCUMENT_ID]: (one, True) for one in texts}
        return [by_id[document_id] for document_id in sorted(by_id)[:limit]]


async def _by_key(
    database: AsyncDatabase[Document], collection: str, keys: Sequence[object]
) -> dict[str, Record]:
    cursor = database[collection].find(
        {DOCUMENT_ID: {"$in": list(keys)}}, WITHOUT_HIDDEN, batch_size=len(keys) + 1
    )
    records = [to_record(collection, document) async for document in cursor]
    return {record[ID]: record for record in records}


async def _page(database: AsyncDatabase[Document], question: Question, query: Document) -> list[Record]:
    found = await _documents(database, question, query)
    if not all(isinstance(document[DOCUMENT_ID], str) for document in found):
        # Rare, so that the condition costs nothing where there are no such documents.
        found = await _documents(database, question, {"$and": [OF_TEXTS, query]})
    return [to_record(question.collection, document) for document in found]


async def _documents(
    database: AsyncDatabase[Document], question: Question, query: Document
) -> list[Document]:
    cursor = database[question.collection].find(query, WITHOUT_HIDDEN, batch_size=question.limit + 1)
    ordered = cursor.sort(sort_of(question.order)).limit(question.limit)
    return [document async for document in ordered]


async def _by_id(
    documents: AsyncCollection[Document], query: Document, projection: Document | None, limit: int
) -> list[Document]:
    cursor = documents.find(query, projection, batch_size=limit + 1)
    return [document async for document in cursor.sort(DOCUMENT_ID, 1).limit(limit)]
