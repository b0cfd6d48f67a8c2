"""Records that were read or written lately, so that one that many ask for is not decoded for each of them.

Bytes are kept, and decoded when they are asked for again: for what is read once a copy would cost more than it saves.
"""

from collections import OrderedDict
from typing import Any

from adapters.monty.document import decoded
from adapters.records.record import Record

KEPT_BYTES_MAX = 4 * 1024 * 1024
"""Encoded; in memory a record takes four or five times as much."""
DOCUMENT_BYTES_MAX = 32 * 1024
"""Larger ones are rare, and few of them would be everything that is kept."""


class _Kept:
    """One document; once it was asked for its record instead, and which of its fields can be changed in place."""

    __slots__ = ("data", "nested", "record", "size")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.record: Record | None = None
        self.nested: tuple[str, ...] = ()

    def copy(self) -> Record:
        """The record, sharing nothing that can change."""
        if self.record is None:
            self.record, self.data = decoded(self.data), b""
            self.nested = tuple(name for name, value in self.record.items() if type(value) in (dict, list))
        copy = self.record.copy()
        for name in self.nested:
            copy[name] = _copied(copy[name])
        return copy


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
        return kept.copy()

    def keep(self, collection: str, record_id: str, data: bytes) -> None:
        """Keeps the record of a document as the present one, unless it is too large."""
        self.forget(collection, record_id)
        if len(data) > DOCUMENT_BYTES_MAX:
            return
        self._kept[collection, record_id] = _Kept(data)
        self._size += len(data)
        while self._size > KEPT_BYTES_MAX:
            self._size -= self._kept.popitem(last=False)[1].size

    def forget(self, collection: str, record_id: str) -> None:
        """From now on the stored document must be asked."""
        kept = self._kept.pop((collection, record_id), None)
        if kept is not None:
            self._size -= kept.size


def _copied(value: Any) -> Any:
    if type(value) is dict:
        return {name: _copied(item) for name, item in value.items()}
    if type(value) is list:
        return [item if type(item) is str else _copied(item) for item in value]
    return value
