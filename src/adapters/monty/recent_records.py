"""Records that were read or written lately, so that one that many ask for is not decoded for each of them."""

from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any, NamedTuple

from adapters.records.record import Record

KEPT_BYTES_MAX = 4 * 1024 * 1024
"""Encoded; in memory a record takes four or five times as much."""
RECORD_BYTES_MAX = 32 * 1024
"""Larger ones are rare, and few of them would be everything that is kept."""

_PLAIN = frozenset((str, int, float, bool, type(None)))


class _Kept(NamedTuple):
    """A record that nobody else holds, which of its fields can be changed in place, and how large it is encoded."""

    record: Record
    nested: tuple[str, ...]
    size: int


class RecentRecords:
    """The records used last, within bounds. Only what its owner keeps and forgets in time is right: it asks nobody."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._size = 0

    def get(self, collection: str, record_id: str) -> Record | None:
        """A copy of the record, if it is here."""
        kept = self._kept.get((collection, record_id))
        if kept is None:
            return None
        self._kept.move_to_end((collection, record_id))
        record = kept.record.copy()
        for field in kept.nested:
            record[field] = _copied(record[field])
        return record

    def keep(self, collection: str, record_id: str, record: Record, *, size: int) -> None:
        """Keeps a copy of the record as the present one, where it is one that decoding its document would give."""
        self.forget(collection, record_id)
        if size > RECORD_BYTES_MAX or not _is_decoded(record):
            return
        nested = tuple(field for field, value in record.items() if type(value) in (dict, list))
        kept = {field: _copied(record[field]) if field in nested else record[field] for field in record}
        self._kept[collection, record_id] = _Kept(kept, nested, size)
        self._size += size
        while self._size > KEPT_BYTES_MAX:
            self._size -= self._kept.popitem(last=False)[1].size

    def forget(self, collection: str, record_id: str) -> None:
        """From now on the stored document must be asked."""
        kept = self._kept.pop((collection, record_id), None)
        if kept is not None:
            self._size -= kept.size


def _copied(value: Any) -> Any:
    """The same value, sharing nothing that can change."""
    kind = type(value)
    if kind is dict:
        return {key: _copied(item) for key, item in value.items()}
    if kind is list:
        return [item if type(item) is str else _copied(item) for item in value]
    return value


def _is_decoded(value: Any) -> bool:
    """Whether decoding gives exactly such values: plain ones, instants in UTC."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is dict:
        return all(type(key) is str and _is_decoded(item) for key, item in value.items())
    if kind is list:
        return all(map(_is_decoded, value))
    return kind is datetime and value.tzinfo is UTC
