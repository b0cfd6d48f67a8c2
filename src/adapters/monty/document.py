"""Records as BSON documents: `id` is stored as `_id`, all other fields under their own names."""

import re
from datetime import UTC, datetime
from typing import Any

import bson
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from bson.errors import BSONError
from bson.int64 import Int64
from bson.objectid import ObjectId

from adapters.records.document_filter import DOCUMENT_ID
from adapters.records.record import ID, CorruptRecord, Record
from domain.errors import RuleBroken, Violation

DOCUMENT_BYTES_MAX = 16 * 1024 * 1024
"""MongoDB's limit as well, so that every record can be moved there."""


class _PlainInteger(TypeDecoder):
    """Decodes wide integers as `int`, because msgspec rejects BSON's own subclass."""

    bson_type = Int64

    def transform_bson(self, value: int) -> int:
        return int(value)


class _PlainId(TypeDecoder):
    """Decodes ObjectIds as their 24 digits, because ids in records are text everywhere."""

    bson_type = ObjectId

    def transform_bson(self, value: ObjectId) -> str:
        return str(value)


CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    dict, tz_aware=True, tzinfo=UTC, type_registry=TypeRegistry([_PlainInteger(), _PlainId()])
)


def encoded(record: Record) -> bytes:
    """The record's document. Raises RuleBroken if it would not decode to an equal record."""
    _require_exact(record)
    document = {DOCUMENT_ID: record[ID], **record}
    del document[ID]
    try:
        data = bson.encode(document)
    except (BSONError, OverflowError, UnicodeError) as error:
        raise RuleBroken("A value of this record cannot be stored.") from error
    if len(data) > DOCUMENT_BYTES_MAX:
        raise RuleBroken(f"This record cannot be stored: it is larger than {DOCUMENT_BYTES_MAX} bytes.")
    return data


def decoded(data: bytes) -> Record:
    """The record of a document's bytes. Raises CorruptRecord if they are damaged."""
    try:
        record: Record = bson.decode(data, codec_options=CODEC)
        record[ID] = record.pop(DOCUMENT_ID)
        return record
    except (BSONError, KeyError) as error:
        # `_id` comes first, so it may still be readable.
        found = re.match(rb"....\x02_id\x00....([ -~]+)\x00", data, re.DOTALL)
        id = found[1].decode("ascii") if found else None
        name = id or "a record"
        message = f"The stored document of {name} is damaged: restore it from a copy."
        raise CorruptRecord(message, record_id=id) from error


def _require_exact(record: Record) -> None:
    """Rejects values that BSON would change: it truncates instants to milliseconds and reads naive ones as UTC."""
    if DOCUMENT_ID in record:
        raise RuleBroken(
            "This record cannot be stored.", violations=[Violation(f"/{DOCUMENT_ID}", "is a reserved name")]
        )
    for name, value in record.items():
        if isinstance(value, datetime) and (value.tzinfo is None or value.microsecond % 1000):
            violation = Violation(f"/{name}", "must be an instant with a zone and whole milliseconds")
            raise RuleBroken("This record cannot be stored.", violations=[violation])
