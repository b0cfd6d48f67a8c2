"""Records as bytes: what goes in comes out equal, or does not go in."""

from datetime import datetime
from typing import Any

import msgspec

from adapters.cache.record_cache import RECORD_BYTES_MAX
from adapters.records.record import VERSION, Record

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder()


def encoded(record: Record) -> bytes | None:
    """The record's MessagePack: instants and integers to the last digit. None where it cannot be given back equal."""
    if type(record.get(VERSION)) is not int:
        return None
    for value in record.values():
        # Instants without a zone would come back as text.
        if isinstance(value, datetime) and value.tzinfo is None:
            return None
    try:
        data = _ENCODER.encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    return data if len(data) <= RECORD_BYTES_MAX else None


def decoded(data: bytes) -> Record | None:
    """The record that was encoded; None where these bytes are no record."""
    try:
        record = _DECODER.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
