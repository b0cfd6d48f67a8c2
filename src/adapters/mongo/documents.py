"""Records as documents: `id` is `_id`, and a hidden field holds the search tokens.

MongoDB's own tokenizer keeps `snake_case` in one piece and drops accents; tokens by our rule under an ordinary index
give the same answer on every server.
"""

from typing import Any

from adapters.records.document_filter import DOCUMENT_ID, WORDS
from adapters.records.record import ID, Record
from adapters.records.specs import SPECS

Document = dict[str, Any]

GUARDED = "_guarded"
"""Counts the change sets that had this version of the record as a precondition.

A transaction that only reads a document does not conflict with one that changes it; one that writes this field does.
"""
WITHOUT_HIDDEN = {WORDS: False, GUARDED: False}


def to_document(collection: str, record: Record) -> Document:
    """The document of a record of this collection; the record stays as it is."""
    document = {DOCUMENT_ID: record[ID], **record}
    del document[ID]
    if tokens := SPECS[collection].tokens(record):
        document[WORDS] = tokens
    return document


def to_record(collection: str, document: Document) -> Record:
    """The record of a document in today's form. The document was read without the hidden fields; it is modified."""
    document[ID] = document.pop(DOCUMENT_ID)
    return SPECS[collection].upgraded(document)


def stored_record(document: Document) -> Record:
    """The record of a document that was read with its hidden fields, in the format in which it is stored."""
    hidden = (DOCUMENT_ID, WORDS, GUARDED)
    fields = {name: value for name, value in document.items() if name not in hidden}
    return {**fields, ID: document[DOCUMENT_ID]}


def has_todays_words(collection: str, document: Document) -> bool:
    """Whether a document that was read with its hidden fields has today's search tokens."""
    return bool(document.get(WORDS, []) == SPECS[collection].tokens(document))
