"""Records as documents: `id` is `_id`, everything else stands under its own name, in BSON."""

import struct
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import bson
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from bson.errors import BSONError
from bson.int64 import Int64
from bson.objectid import ObjectId

from adapters.records.record import ID, Record
from domain.errors import RuleBroken, Violation

DOCUMENT_ID = "_id"
DOCUMENT_BYTES_MAX = 16 * 1024 * 1024
"""What MongoDB takes too, so that a record can always move there."""

_LENGTH = struct.Struct("<i")


class _PlainInteger(TypeDecoder):
    """BSON's wide integers come back as a subclass of int that msgspec refuses."""

    bson_type = Int64

    def transform_bson(self, value: int) -> int:
        return int(value)


class _PlainId(TypeDecoder):
    """ObjectIds come back as their 24 digits: records know ids as text, wherever they stand."""

    bson_type = ObjectId

    def transform_bson(self, value: ObjectId) -> str:
        return str(value)


CODEC_FACTS = {"tz_aware": True, "tzinfo": UTC, "type_registry": TypeRegistry([_PlainInteger(), _PlainId()])}
"""How documents are decoded, as MontyClient takes it."""

CODEC: CodecOptions[MutableMapping[str, Any]] = CodecOptions(**CODEC_FACTS)  # type: ignore[arg-type]


def key_of(record_id: str) -> bytes:
    """The key under which MontyDB keeps a document with this text as its `_id`: the BSON of the text."""
    text = record_id.encode("utf-8", "surrogatepass")
    return b"\x02" + _LENGTH.pack(len(text) + 1) + text + b"\x00"


def object_key_of(record_id: str) -> bytes:
    """The key under which MontyDB keeps a document whose `_id` is the ObjectId of these digits."""
    return b"\x07" + bytes.fromhex(record_id)


def encoded(record: Record) -> bytes:
    """The record's document. Raises RuleBroken where a document could not give the same record back."""
    _require_exact(record)
    document = {DOCUMENT_ID: record[ID], **record}
    del document[ID]
    try:
        data = bson.encode(document)
    except (BSONError, OverflowError, UnicodeError) as error:
        raise RuleBroken("A value of this record cannot be stored.") from error
    if len(data) > DOCUMENT_BYTES_MAX:
        raise RuleBroken(f"This cannot be stored: it is larger than {DOCUMENT_BYTES_MAX} bytes.")
    return data


def decoded(data: bytes) -> Record:
    """The record of a document's bytes."""
    return record_of(bson.decode(data, codec_options=CODEC))


def record_of(document: MutableMapping[str, Any]) -> Record:
    """The record of a document that nobody else holds."""
    record: Record = dict(document)
    record[ID] = record.pop(DOCUMENT_ID)
    return record


def _require_exact(record: Record) -> None:
    """BSON cuts instants to milliseconds without a word, and takes naive ones for UTC."""
    if DOCUMENT_ID in record:
        raise RuleBroken(
            "This cannot be stored.", violations=[Violation(f"/{DOCUMENT_ID}", "is a reserved name")]
        )
    for name, value in record.items():
        if isinstance(value, datetime) and (value.tzinfo is None or value.microsecond % 1000):
            violation = Violation(f"/{name}", "is not an instant with a zone and whole milliseconds")
            raise RuleBroken("This cannot be stored.", violations=[violation])
