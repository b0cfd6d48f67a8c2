"""Documents of other services: with ObjectIds as ids, and in other formats.

The codec decodes ObjectIds as their 24 digits everywhere, ids included. Where a collection holds such ids, a question
becomes two queries, since MongoDB compares text and ObjectIds only with values of their own type. The first write of a
record replaces its document by one with a text id, in the same transaction. Where both exist, the text id wins.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from bson.objectid import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.documents import GUARDED, Document, has_todays_words, stored_record, to_document
from adapters.mongo.errors import StaleVersion
from adapters.mongo.writes import AnyWrite, Write
from adapters.records.change_set import ChangeSet
from adapters.records.criteria import Question
from adapters.records.document_filter import DOCUMENT_ID
from adapters.records.record import ID, VERSION, Record
from adapters.records.specs import ENTITY_SPECS, SPECS
from domain.entity import ID_LENGTH, is_id

UPGRADED = frozenset(spec.collection for spec in ENTITY_SPECS)
"""The collections that may hold old documents: entries and control records have only one format."""
_HEX_DIGITS = "0123456789abcdef"
_RANKS: dict[type, int] = {int: 1, float: 1, str: 2, bool: 4, datetime: 5}


async def collections_with_object_ids(database: AsyncDatabase[Document]) -> frozenset[str]:
    """The collections that hold documents under ObjectIds. The validator of a collection rejects new ones."""
    return frozenset([name for name in UPGRADED if await has_object_ids(database, name)])


async def has_object_ids(database: AsyncDatabase[Document], collection: str) -> bool:
    """Whether a collection holds such documents, and may."""
    query: Document = {DOCUMENT_ID: {"$type": "objectId"}}
    return (
        collection in UPGRADED and await database[collection].find_one(query, {DOCUMENT_ID: True}) is not None
    )


def object_ids(ids: Iterable[str]) -> list[ObjectId]:
    """The ObjectIds with these digits; other texts have none."""
    return [ObjectId(text) for text in ids if is_id(text)]


async def require_new(
    database: AsyncDatabase[Document],
    writes: Sequence[AnyWrite],
    session: AsyncClientSession,
    *,
    with_object_ids: Container[str],
) -> None:
    """Raises StaleVersion where a new document already exists under the ObjectId of the same digits."""
    for write in writes:
        if isinstance(write, Write) and not write.replaces and write.collection in with_object_ids:
            keys = object_ids([write.document[DOCUMENT_ID]])
            if await database[write.collection].find_one({DOCUMENT_ID: {"$in": keys}}, session=session):
                raise StaleVersion


def among_texts(query: Document) -> Document:
    """The query restricted to documents with text ids."""
    return (
        {"$and": [{DOCUMENT_ID: {"$type": "string"}}, query]} if query else {DOCUMENT_ID: {"$type": "string"}}
    )


def among_object_ids(query: Document) -> Document:
    """The same query for documents with ObjectIds as ids."""
    return {"$and": [{DOCUMENT_ID: {"$type": "objectId"}}, _in_object_ids(query)]}


def merged(question: Question, *answers: Sequence[Record]) -> list[Record]:
    """One page out of the ordered results of both queries; a record in both appears once."""
    order = question.order
    records = {record[ID]: record for answer in reversed(answers) for record in answer}
    in_order = sorted(
        records.values(),
        key=lambda record: (_sort_key(record.get(order.field)), record[ID]),
        reverse=order.descending,
    )
    return in_order[: question.limit]


async def rewrite_documents(
    database: AsyncDatabase[Document], collection: str, ids: Sequence[str], session: AsyncClientSession
) -> int:
    """Stores the old ones among the documents in today's form, in this transaction; returns how many.

    Their versions stay, because their content does not change. Documents that cannot be converted are left alone.
    """
    documents = database[collection]
    found = documents.find({DOCUMENT_ID: {"$in": ids}}, session=session)
    by_text = {document[DOCUMENT_ID]: document async for document in found}
    old = documents.find({DOCUMENT_ID: {"$in": object_ids(ids)}}, session=session)
    by_object_id = {document[DOCUMENT_ID]: document async for document in old}
    rewritten = 0
    for record_id, document in by_text.items():
        successor = _successor(collection, document)
        if successor is not None:
            replaced = await documents.replace_one(
                _version_filter(record_id, document), successor, session=session
            )
            rewritten += replaced.matched_count
    for record_id, document in by_object_id.items():
        successor = _successor(collection, document, has_old_id=True)
        if successor is not None and record_id not in by_text:
            stored = _version_filter(ObjectId(record_id), document)
            if (await documents.delete_one(stored, session=session)).deleted_count:
                await documents.insert_one(successor, session=session)
                rewritten += 1
    return rewritten


async def rewrite_touched(
    database: AsyncDatabase[Document], change_sets: Sequence[ChangeSet], session: AsyncClientSession
) -> int:
    """Rewrites the old documents that these change sets put or check; returns how many."""
    touched: dict[str, list[str]] = {}
    for change_set in change_sets:
        guarded = [(check.collection, check.record_id) for check in change_set.read_checks]
        for collection, record_id in (*change_set.touched(), *guarded):
            if collection in UPGRADED:
                touched.setdefault(collection, []).append(record_id)
    rewritten = 0
    for collection, ids in touched.items():
        rewritten += await rewrite_documents(database, collection, ids, session)
    return rewritten


def _successor(collection: str, document: Document, *, has_old_id: bool = False) -> Document | None:
    """The document in today's form; None where it has that form already or cannot be converted."""
    stored = stored_record(document)
    record = SPECS[collection].upgraded(stored)
    is_current = record is stored and not has_old_id and has_todays_words(collection, document)
    if is_current or not SPECS[collection].schema.fits(record):
        return None
    kept = {GUARDED: document[GUARDED]} if GUARDED in document else {}
    return {**to_document(collection, record), **kept}


def _version_filter(document_id: str | ObjectId, document: Document) -> Document:
    version = document.get(VERSION, {"$exists": False})
    return {DOCUMENT_ID: document_id, VERSION: version}


def _in_object_ids(query: Any) -> Any:
    """The query with every condition on ids translated to ObjectIds."""
    if isinstance(query, list):
        return [_in_object_ids(part) for part in query]
    if not isinstance(query, dict):
        return query
    conditions: Document = {}
    for name, condition in query.items():
        if name != DOCUMENT_ID:
            conditions[name] = _in_object_ids(condition) if name.startswith("$") else condition
        else:
            conditions[name] = dict(_id_conditions(condition))
    return conditions


def _id_conditions(condition: Document) -> Iterator[tuple[str, Any]]:
    for operator, value in condition.items():
        match operator:
            case "$eq" if isinstance(value, str):
                yield "$in", object_ids([value])
            case "$in":
                yield "$in", object_ids(value)
            case "$gt" | "$gte":
                yield ("$gte" if operator == "$gte" and is_id(value) else "$gt"), object_id_up_to(value)
            case "$lt" | "$lte":
                yield ("$lt" if operator == "$lt" and is_id(value) else "$lte"), object_id_up_to(value)
            case _:
                yield operator, value


def object_id_up_to(text: str) -> ObjectId:
    """The ObjectId of these digits; for a text that is no id, the last ObjectId that sorts before it."""
    if is_id(text):
        return ObjectId(text)
    digits = ""
    for char in text[:ID_LENGTH]:
        lower = [digit for digit in _HEX_DIGITS if digit < char]
        if char not in _HEX_DIGITS:
            # Every id that continues with a lower digit sorts before the text.
            return _last_up_to(digits + lower[-1]) if lower else _preceding(digits)
        digits += char
    return ObjectId(digits) if len(digits) == ID_LENGTH else _preceding(digits)


def _last_up_to(prefix: str) -> ObjectId:
    return ObjectId(prefix.ljust(ID_LENGTH, "f"))


def _preceding(prefix: str) -> ObjectId:
    """The last ObjectId before all those with this prefix; the lowest ObjectId where there is none."""
    number = int(prefix.ljust(ID_LENGTH, "0"), 16)
    return ObjectId(f"{max(number - 1, 0):0{ID_LENGTH}x}")


def _sort_key(value: Any) -> tuple[int, Any]:
    """Sorts as MongoDB does: nulls, numbers, text, trees, booleans, instants."""
    rank = 0 if value is None else _RANKS.get(type(value), 3)
    return (rank, repr(value) if rank == 3 else value)
