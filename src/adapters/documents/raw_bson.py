"""BSON as it is stored, decoded by a codec that shares nothing with the decoders of the stores."""

import hashlib
from collections.abc import Sequence
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder, TypeRegistry
from bson.errors import BSONError
from bson.int64 import Int64
from bson.objectid import ObjectId

DIGEST_LENGTH = 16


class DamagedDocument(Exception):
    """The bytes are no document. The message names their digest, so that it changes with the content."""

    def __init__(self, reason: str, *, digest: str) -> None:
        super().__init__(f"The document is damaged: {reason} (SHA-256 {digest}…)")
        self.digest = digest


class _Number(TypeDecoder):
    bson_type = Int64

    def transform_bson(self, value: int) -> int:
        return int(value)


class _Digits(TypeDecoder):
    bson_type = ObjectId

    def transform_bson(self, value: ObjectId) -> str:
        return str(value)


_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    dict,
    tz_aware=False,
    # Instants beyond the year 9999 stay numbers, where the usual conversion fails.
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="surrogateescape",
    type_registry=TypeRegistry([_Number(), _Digits()]),
)


def decoded(data: bytes) -> dict[str, Any]:
    """One document, with the names and values as stored. Raises DamagedDocument."""
    try:
        return bson.decode(data, _CODEC)
    except (BSONError, TypeError) as error:
        raise DamagedDocument(str(error), digest=short_digest(data)) from error


def short_digest(data: bytes) -> str:
    """The beginning of a digest of these bytes, to see whether a document is still the same."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_LENGTH]


def decoded_all(parts: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """All documents by one call; None if one of them is damaged."""
    try:
        documents = bson.decode_all(b"".join(parts), _CODEC)
    except (BSONError, TypeError):
        return None
    # A damaged length could join two documents.
    return documents if len(documents) == len(parts) else None
