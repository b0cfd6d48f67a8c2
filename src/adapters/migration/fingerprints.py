"""What two stores must agree on about a record: a form of its own, which no store writes or reads.

Two steps, because nearly all records are equal: pages are compared as the bytes of all of their records, one call in C
for each; only where these differ, the records are compared field by field.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from adapters.records.record import ID, IS_ERASED, VERSION, Record
from adapters.records.specs import AUDIT_LOGS, SPECS, SYNC_FIELDS, RecordSpec


def _foreign(value: Any) -> Any:
    """A value of a kind that only one driver has, so that it equals no value that records have."""
    return {"$" + type(value).__name__: repr(value)}


_encode = msgspec.msgpack.Encoder(enc_hook=_foreign, order="deterministic").encode
UNENCODABLE = (UnicodeEncodeError, OverflowError, RecursionError, TypeError, ValueError)


class Canonical:
    """The compared form of the records of one collection: absent fields are null, and so are sync fields."""

    def __init__(self, collection: str) -> None:
        self.spec: RecordSpec[Any] = SPECS[collection]
        self._absent = dict.fromkeys((*(field.name for field in self.spec.fields), IS_ERASED))
        self._left_out = dict.fromkeys(SYNC_FIELDS) if collection == AUDIT_LOGS.collection else {}

    def compared(self, record: Record) -> Record:
        """The record with the fields that are compared."""
        return {**self._absent, **record, **self._left_out}

    def encoded(self, records: Sequence[Record]) -> bytes:
        """The content of records: equal bytes, equal records. Raises one of UNENCODABLE.

        Records with equal content may have different bytes: -0.0, or 1 in place of 1.0, or an older form.
        """
        absent, left_out = self._absent, self._left_out
        return _encode([{**absent, **record, **left_out} for record in records])

    def differing_fields(self, source: Record, target: Record) -> tuple[str, ...]:
        """The names of the fields that differ, in order; empty for equal records.

        A record in an older form equals what it reads as in today's form, since that is what a target is given.
        """
        fields = self._differing(source, target)
        if not fields:
            return ()
        upgraded = self._differing(self._upgraded(source), self._upgraded(target))
        return () if not upgraded else fields

    def _differing(self, source: Record, target: Record) -> tuple[str, ...]:
        left, right = self.compared(source), self.compared(target)
        names = sorted(left.keys() | right.keys())
        return tuple(name for name in names if not same(left.get(name), right.get(name)))

    def _upgraded(self, record: Record) -> Record:
        return self.spec.upgraded(with_zones(record))

    def version(self, record: Record) -> int | None:
        """The version of a record; None where it is not a number. Records of other services without one have 1."""
        version = self._upgraded(record).get(VERSION) if record.get(VERSION) is None else record[VERSION]
        return version if type(version) is int else None


def with_zones(value: Any) -> Any:
    """A raw record, or a part of one, with its instants in UTC."""
    if isinstance(value, dict):
        return {name: with_zones(item) for name, item in value.items()}
    if isinstance(value, list):
        return [with_zones(item) for item in value]
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def same(left: Any, right: Any) -> bool:
    """Whether two raw values mean the same. Numbers compare by value; null and absent are the same."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left) and math.isnan(right):
        return True
    if isinstance(left, datetime) and isinstance(right, datetime):
        return _plain(left) == _plain(right)
    return (type(left) is type(right) and left == right) or _numbers(left, right)


def _numbers(left: Any, right: Any) -> bool:
    return isinstance(left, int | float) and isinstance(right, int | float) and left == right


def _plain(instant: datetime) -> datetime:
    return instant if instant.tzinfo is None else instant.astimezone(UTC).replace(tzinfo=None)


def by_id(records: Sequence[Record]) -> dict[str, Record]:
    """The records by their ids."""
    return {record[ID]: record for record in records}
