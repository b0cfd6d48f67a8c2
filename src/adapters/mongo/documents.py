"""Records as documents: `id` is `_id`, and the searched words stand beside the fields they come from."""

from typing import Any

from adapters.records.criteria import words_of
from adapters.records.record import ID, Record
from adapters.records.specs import SPECS

Document = dict[str, Any]

DOCUMENT_ID = "_id"
WORDS = "_words"
"""The distinct words of a record's text fields, lower case, between single spaces.

MongoDB's own idea of a word keeps `snake_case` in one piece and drops accents; this field holds ours, so that a text
index and a plain expression answer alike, on every server.
"""
GUARDED = "_guarded"
"""Counts the change sets that relied on this very version of a record.

A transaction that only reads a document does not stand in the way of one that changes it; one that counts here does.
"""
WITHOUT_HIDDEN = {WORDS: False, GUARDED: False}


def to_document(collection: str, record: Record) -> Document:
    """The document of a record of this collection; the record stays as it is."""
    document = {DOCUMENT_ID: record[ID], **record}
    del document[ID]
    texts = [record.get(name) for name in SPECS[collection].text_fields]
    if words := words_of(" ".join(text for text in texts if isinstance(text, str))):
        document[WORDS] = " ".join(words)
    return document


def to_record(document: Document) -> Record:
    """The record of a document, which was read without the hidden fields and is given up."""
    return {ID: document.pop(DOCUMENT_ID), **document}
