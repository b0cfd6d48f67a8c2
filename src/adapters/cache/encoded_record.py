"""Records as MessagePack that decodes to an equal record."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from adapters.records.record import Record

RECORD_BYTES_MAX = 256 * 1024
"""Larger records are not cached."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder()


def encoded(record: Record | None) -> bytes | None:
    """None if the record is too large or would not decode to an equal one. No record is a copy too."""
    if any(isinstance(value, datetime) and value.tzinfo is None for value in (record or {}).values()):
        return None  # it would decode to a text
    try:
        data = _ENCODER.encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    return data if len(data) <= RECORD_BYTES_MAX else None


def decoded(copies: Iterable[tuple[str, bytes | None]]) -> dict[str, Record | None]:
    """The copies by id, without those that are missing or damaged."""
    records: dict[str, Record | None] = {}
    for record_id, data in copies:
        try:
            record = False if data is None else _DECODER.decode(data)
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue
        if record is None or isinstance(record, dict):
            records[record_id] = record
    return records
