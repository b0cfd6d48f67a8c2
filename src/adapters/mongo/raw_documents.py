"""Documents as the server sends them, read by a path that shares nothing with the store's own decoder."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from adapters.documents.raw_bson import DamagedDocument, decoded, short_digest
from adapters.mongo.client import MongoConnection
from adapters.mongo.document_reader import DocumentReader
from adapters.mongo.documents import GUARDED
from adapters.mongo.old_documents import object_id_up_to, object_ids
from adapters.mongo.other_ids import OF_OTHER_KINDS, is_other_name, name_in
from adapters.records.document_filter import DOCUMENT_ID, WORDS
from adapters.records.raw_reading import RAW_MAX, Digest, RawPage, digest_of

_HIDDEN = {WORDS: False, GUARDED: False}
_LENGTH_BYTES = 4


class RawDocuments:
    """The raw half of the record store: see RawReader."""

    def __init__(self, connection: MongoConnection, reader: DocumentReader) -> None:
        self._connection, self._reader = connection, reader

    async def raw_scan(self, collection: str, *, after: str | None, limit: int) -> RawPage:
        """The documents with the next ids. Text ids and ObjectIds sort apart on the server, and together here.

        Ids of other kinds have no place in this order: the first page names them as unreadable.
        """
        found: dict[str, bytes] = {}
        others: dict[str, bytes] = {}
        is_last = True
        async with self._connection.call() as database:
            if after is None:
                await self._reader.look_in(database, collection)
                others = await _documents(database, collection, OF_OTHER_KINDS, RAW_MAX)
            kinds = ("string", "objectId") if self._has_object_ids(collection) else ("string",)
            for kind in reversed(kinds):
                documents = await _documents(database, collection, _query(after, kind), limit)
                is_last = is_last and len(documents) < limit
                # Where a record lies under both kinds of id, the text is the newer one.
                found |= documents
        ids = sorted(found)[:limit]
        page = _page(
            {record_id: found[record_id] for record_id in ids}, is_last=is_last and len(found) <= limit
        )
        page.unreadable.update(_unnamed(others))
        return page

    async def raw_fetch(self, collection: str, ids: Sequence[str]) -> RawPage:
        """The documents with these ids."""
        keys = object_ids(ids) if self._has_object_ids(collection) else []
        others: dict[str, bytes] = {}
        async with self._connection.call() as database:
            if any(map(is_other_name, ids)):
                others = await _documents(database, collection, OF_OTHER_KINDS, RAW_MAX)
            found = (
                await _documents(database, collection, {DOCUMENT_ID: {"$in": keys}}, len(ids)) if keys else {}
            )
            found |= await _documents(database, collection, {DOCUMENT_ID: {"$in": list(ids)}}, len(ids))
        page = _page(dict(sorted(found.items())), is_last=True)
        page.unreadable.update(_unnamed({name: data for name, data in others.items() if name in ids}))
        return page

    async def other_documents(self, collection: str, *, limit: int) -> dict[str, bytes]:
        """See HoldsOthers."""
        async with self._connection.call() as database:
            return await _documents(database, collection, OF_OTHER_KINDS, limit)

    async def raw_digests(self, collection: str, *, after: str | None, bounds: Sequence[str]) -> list[Digest]:
        """The digests of the documents as the server sends them."""
        kinds = ("objectId", "string") if self._has_object_ids(collection) else ("string",)
        digests: list[Digest] = []
        async with self._connection.call() as database:
            for upto in bounds:
                found: dict[str, bytes] = {}
                if after is None:
                    # So that one that was added since makes a difference.
                    found = await _documents(database, collection, OF_OTHER_KINDS, RAW_MAX)
                for kind in kinds:
                    found |= await _documents(database, collection, _query(after, kind, upto=upto), 0)
                digests.append(digest_of([found[record_id] for record_id in sorted(found)]))
                after = upto
        return digests

    async def raw_count(self, collection: str, *, after: str | None = None, upto: str | None = None) -> int:
        """The number of documents with ids above `after`, up to `upto`."""
        kinds = ("objectId", "string") if self._has_object_ids(collection) else ("string",)
        is_bounded = after is not None or upto is not None
        queries = [_query(after, kind, upto=upto) for kind in kinds] if is_bounded else [{}]
        if is_bounded and after is None:
            queries.append(OF_OTHER_KINDS)
        async with self._connection.call() as database:
            return sum([int(await database[collection].count_documents(query)) for query in queries])

    def _has_object_ids(self, collection: str) -> bool:
        return collection in self._reader.with_object_ids


def _query(after: str | None, kind: str, *, upto: str | None = None) -> dict[str, Any]:
    condition: dict[str, Any] = {}
    for operator, bound in (("$gt", after), ("$lte", upto)):
        if bound is not None:
            condition[operator] = bound if kind == "string" else object_id_up_to(bound)
    # Comparisons with a text only meet texts.
    is_bounded = kind == "string" and condition
    return {DOCUMENT_ID: condition if is_bounded else {"$type": kind, **condition}}


async def _documents(
    database: AsyncDatabase[dict[str, Any]], collection: str, query: dict[str, Any], limit: int
) -> dict[str, bytes]:
    """The bytes of each document, by id and in the order of the ids; of all with a limit of 0."""
    cursor = database[collection].find_raw_batches(query, _HIDDEN, batch_size=limit and limit + 1)
    parts: list[bytes] = []
    batch: Any  # the driver declares documents, and gives bytes
    async for batch in cursor.sort(DOCUMENT_ID, 1).limit(limit):
        parts += split_documents(batch)
    return {id_in(data): data for data in parts}


def split_documents(batch: bytes) -> Iterator[bytes]:
    """The documents that follow each other, each of which begins with its length."""
    start = 0
    while start < len(batch):
        end = start + int.from_bytes(batch[start : start + _LENGTH_BYTES], "little")
        yield batch[start:end]
        start = end


def id_in(data: bytes) -> str:
    """The id of a document that may be damaged behind it: the server always stores it first."""
    kind, name, value = data[4], data[5:9], data[9:]
    if name == b"_id\0" and kind == 0x07:
        return value[:12].hex()
    if name == b"_id\0" and kind == 0x02:
        length = int.from_bytes(value[:4], "little")
        return value[4 : 3 + length].decode("utf-8", "surrogateescape")
    return name_in(data)


def _unnamed(others: Mapping[str, bytes]) -> dict[str, str]:
    """Why documents without a usable id are no records; the reason changes with the content."""
    return {
        name: f"The id is neither a text nor an ObjectId (SHA-256 {short_digest(data)}…)."
        for name, data in others.items()
    }


def _page(found: dict[str, bytes], *, is_last: bool) -> RawPage:
    records: list[dict[str, Any]] = []
    unreadable: dict[str, str] = {}
    for record_id, data in found.items():
        try:
            document = decoded(data)
        except DamagedDocument as damaged:
            unreadable[record_id] = str(damaged)
            continue
        document.pop(DOCUMENT_ID, None)
        document["id"] = record_id
        records.append(document)
    prints = () if unreadable else list(found.values())
    return RawPage(records, unreadable, max(found, default=None), is_last=is_last, prints=prints)
