"""Records as documents: `id` is `_id`, and a hidden field holds the words of the searched fields."""

from typing import Any

from adapters.records.criteria import words_of
from adapters.records.record import ID, Record
from adapters.records.specs import SPECS

Document = dict[str, Any]

DOCUMENT_ID = "_id"
WORDS = "_words"
"""The distinct words of a record's text fields, lower case, separated by single spaces: the words of the first field,
then the separator, then the words that occur in the other fields only.

MongoDB's tokenizer keeps `snake_case` in one piece and drops accents; this field holds the words by our rule, so that a
text index and a plain expression give the same answer on every server.
"""
WORDS_SEPARATOR = "."
"""No word contains it: words are letters and digits."""
GUARDED = "_guarded"
"""Counts the change sets that had this version of the record as a precondition.

A transaction that only reads a document does not conflict with one that changes it; one that writes this field does.
"""
WITHOUT_HIDDEN = {WORDS: False, GUARDED: False}


def to_document(collection: str, record: Record) -> Document:
    """The document of a record of this collection; the record stays as it is."""
    document = {DOCUMENT_ID: record[ID], **record}
    del document[ID]
    if words := _words(record, SPECS[collection].text_fields):
        document[WORDS] = words
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
    """Whether a document that was read with its hidden fields has today's search words."""
    return bool(document.get(WORDS, "") == _words(document, SPECS[collection].text_fields))


def _words(record: Record, text_fields: tuple[str, ...]) -> str:
    texts = [text if isinstance(text := record.get(name), str) else "" for name in text_fields]
    words = words_of(" ".join(texts))
    if not words:
        return ""
    leading = words_of(texts[0])
    # `words` follows the order of the fields, so the words of the first field come first.
    return " ".join((*leading, WORDS_SEPARATOR, *words[len(leading) :]))
