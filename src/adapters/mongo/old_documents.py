"""Documents from before Tandem: with ObjectIds for ids, and in other forms.

The codec gives ObjectIds as their 24 digits wherever they stand, ids included. Where a collection holds such ids, a
question is asked twice, since MongoDB compares text and ObjectIds with their own kind only. The first write of a record
replaces its document by one under the text, in the same transaction. Where both are there the text counts.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from bson.objectid import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.documents import (
    DOCUMENT_ID,
    GUARDED,
    Document,
    has_todays_words,
    stored_record,
    to_document,
)
from adapters.mongo.errors import StaleVersion
from adapters.mongo.writes import Reliance, Write
from adapters.records.criteria import Question
from adapters.records.record import ID, VERSION, Record
from adapters.records.specs import ENTITY_SPECS, SPECS
from domain.entity import ID_LENGTH, is_id

UPGRADED = frozenset(spec.collection for spec in ENTITY_SPECS)
"""The collections that may hold old documents: entries and control records never had another form."""
_HEX_DIGITS = "0123456789abcdef"
_RANKS: dict[type, int] = {int: 1, float: 1, str: 2, bool: 4, datetime: 5}


async def collections_with_object_ids(database: AsyncDatabase[Document]) -> frozenset[str]:
    """Those that hold such documents now. Once a collection has its validator, no more can come."""
    found = set()
    for collection in UPGRADED:
        if await database[collection].find_one({DOCUMENT_ID: {"$type": "objectId"}}, {DOCUMENT_ID: True}):
            found.add(collection)
    return frozenset(found)


def object_ids(ids: Iterable[str]) -> list[ObjectId]:
    """The ObjectIds with these digits; other texts have none."""
    return [ObjectId(text) for text in ids if is_id(text)]


async def require_new(
    database: AsyncDatabase[Document],
    writes: Sequence[Write | Reliance],
    session: AsyncClientSession,
    *,
    with_object_ids: Container[str],
) -> None:
    """Raises StaleVersion where a document that is to be new lies under the ObjectId of the same digits."""
    for write in writes:
        if isinstance(write, Write) and not write.replaces and write.collection in with_object_ids:
            keys = object_ids([write.document[DOCUMENT_ID]])
            if await database[write.collection].find_one({DOCUMENT_ID: {"$in": keys}}, session=session):
                raise StaleVersion


def among_texts(query: Document) -> Document:
    """The question to the documents whose ids are text."""
    return (
        {"$and": [{DOCUMENT_ID: {"$type": "string"}}, query]} if query else {DOCUMENT_ID: {"$type": "string"}}
    )


def among_object_ids(query: Document) -> Document:
    """The same question to the documents whose ids are ObjectIds."""
    return {"$and": [{DOCUMENT_ID: {"$type": "objectId"}}, _in_object_ids(query)]}


def merged(question: Question, *answers: Sequence[Record]) -> list[Record]:
    """One page out of the ordered answers to both questions; a record that is in both is told once."""
    order = question.order
    records = {record[ID]: record for answer in reversed(answers) for record in answer}
    in_order = sorted(
        records.values(),
        key=lambda record: (_place(record.get(order.field)), record[ID]),
        reverse=order.descending,
    )
    return in_order[: question.limit]


async def rewrite_documents(
    database: AsyncDatabase[Document], collection: str, ids: Sequence[str], session: AsyncClientSession
) -> int:
    """Stores those of the documents that are old in today's form, in this transaction; returns how many.

    Their versions stay: nothing has happened to the records. What cannot be given today's form is left alone.
    """
    documents = database[collection]
    wanted: list[str | ObjectId] = [*ids, *object_ids(ids)]
    found = documents.find({DOCUMENT_ID: {"$in": ids}}, session=session)
    by_text = {document[DOCUMENT_ID]: document async for document in found}
    old = documents.find({DOCUMENT_ID: {"$in": wanted[len(ids) :]}}, session=session)
    by_object_id = {document[DOCUMENT_ID]: document async for document in old}
    rewritten = 0
    for record_id, document in by_text.items():
        successor = _successor(collection, document)
        if successor is not None:
            replaced = await documents.replace_one(_place_of(record_id, document), successor, session=session)
            rewritten += replaced.matched_count
    for record_id, document in by_object_id.items():
        successor = _successor(collection, document, has_old_id=True)
        if successor is not None and record_id not in by_text:
            place = _place_of(ObjectId(record_id), document)
            if (await documents.delete_one(place, session=session)).deleted_count:
                await documents.insert_one(successor, session=session)
                rewritten += 1
    return rewritten


def _successor(collection: str, document: Document, *, has_old_id: bool = False) -> Document | None:
    """The document in today's form; None where it has it already or cannot have it."""
    stored = stored_record(document)
    record = SPECS[collection].upgraded(stored)
    is_current = record is stored and not has_old_id and has_todays_words(collection, document)
    if is_current or not SPECS[collection].shape.fits(record):
        return None
    kept = {GUARDED: document[GUARDED]} if GUARDED in document else {}
    return {**to_document(collection, record), **kept}


def _place_of(document_id: str | ObjectId, document: Document) -> Document:
    version = document.get(VERSION, {"$exists": False})
    return {DOCUMENT_ID: document_id, VERSION: version}


def _in_object_ids(query: Any) -> Any:
    """The query with every condition on ids put in terms of ObjectIds."""
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
                yield ("$gte" if operator == "$gte" and is_id(value) else "$gt"), _before(value)
            case "$lt" | "$lte":
                yield ("$lt" if operator == "$lt" and is_id(value) else "$lte"), _before(value)
            case _:
                yield operator, value


def _before(text: str) -> ObjectId:
    """The ObjectId of these digits, or the last one whose digits sort before a text that is no id."""
    if is_id(text):
        return ObjectId(text)
    digits = ""
    for char in text[:ID_LENGTH]:
        lower = [digit for digit in _HEX_DIGITS if digit < char]
        if char not in _HEX_DIGITS:
            # Every id that goes on with a lower digit comes before the text.
            return _last_up_to(digits + lower[-1]) if lower else _preceding(digits)
        digits += char
    return ObjectId(digits) if len(digits) == ID_LENGTH else _preceding(digits)


def _last_up_to(prefix: str) -> ObjectId:
    return ObjectId(prefix.ljust(ID_LENGTH, "f"))


def _preceding(prefix: str) -> ObjectId:
    """The last ObjectId before all that begin with the prefix; the first of all where there is none."""
    number = int(prefix.ljust(ID_LENGTH, "0"), 16)
    return ObjectId(f"{max(number - 1, 0):0{ID_LENGTH}x}")


def _place(value: Any) -> tuple[int, Any]:
    """Nulls, numbers, text, trees, booleans, instants: as MongoDB orders them."""
    rank = 0 if value is None else _RANKS.get(type(value), 3)
    return (rank, repr(value) if rank == 3 else value)
