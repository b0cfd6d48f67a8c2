"""Indexes that are made when somebody asks for them first, so that opening does not wait for what nobody may need."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

from adapters.monty.collection_indexes import IndexForm, OrderedIndex, late_order, rank
from adapters.monty.word_index import WordIndex
from adapters.monty.word_search import FoundByWords
from adapters.records.criteria import HasWords
from adapters.records.fields import FieldKind
from adapters.records.record import ID, IS_DELETED, Record, is_tombstone
from adapters.records.specs import RecordSpec

READ_AT_ONCE_MAX = 256
"""After how many records others get their turn: a few milliseconds."""


class KeepsUp(Protocol):
    """What an index does with the next state of a record."""

    def replace(self, before: Record | None, after: Record) -> None:
        """Takes note that a record has a new state; harmless where it did already."""
        ...


class Stored(Protocol):
    """What is stored of one collection, as an index needs to see it that comes later."""

    def ids_after(self, last_id: str | None) -> Iterator[str]:
        """The ids above one, tombstones included, in order."""
        ...

    def records(self, ids: Sequence[str]) -> list[Record]:
        """Those of the records that exist."""
        ...


class LateIndex:
    """Fills an index by id, in bounded steps, while records change."""

    def __init__(self, index: KeepsUp, stored: Stored) -> None:
        self._index = index
        self._stored = stored
        self._filled_through: str | None = None
        self._filling = asyncio.Lock()
        self.is_complete = False

    async def complete(self) -> None:
        """Returns when everything stored is in the index. Whoever gives up half way leaves the rest to the next.

        Raises the store's errors as they are.
        """
        if self.is_complete:
            return
        async with self._filling:
            while not self.is_complete:
                ids = list(islice(self._stored.ids_after(self._filled_through), READ_AT_ONCE_MAX))
                for record in self._stored.records(ids):
                    self._index.replace(None, record)
                if len(ids) < READ_AT_ONCE_MAX:
                    self.is_complete = True
                    return
                self._filled_through = ids[-1]
                await asyncio.sleep(0)

    def note(self, before: Record | None, after: Record) -> None:
        """Passes on the next state of a record, unless filling will come across it."""
        is_filled = self._filled_through is not None and after[ID] <= self._filled_through
        if self.is_complete or is_filled:
            self._index.replace(before, after)


class LateIndexes:
    """What came later to one collection: the index of its words, and orders that no index of the spec stands in."""

    def __init__(self, spec: RecordSpec[Any], stored: Stored) -> None:
        self._spec = spec
        self._stored = stored
        self._words = WordIndex(spec.text_fields, self._record)
        self._late_words = LateIndex(self._words, stored)
        self._orders: dict[str, tuple[_LateOrder, LateIndex]] = {}

    async def complete_words(self) -> None:
        """Makes the index of words, unless it is there."""
        await self._late_words.complete()

    def search(self, wanted: Sequence[HasWords], *, is_deleted: bool | None) -> FoundByWords:
        """What `WordIndex.search` answers; the index of words must be complete."""
        return self._words.search(wanted, is_deleted=is_deleted)

    async def complete_order(self, field: str) -> bool:
        """Makes the order by a field, the living apart from the trash. False where values have no order, as trees."""
        if self._spec.field(field).kind is FieldKind.JSON:
            return False
        if field not in self._orders:
            order = _LateOrder(field)
            self._orders[field] = (order, LateIndex(order, self._stored))
        await self._orders[field][1].complete()
        return True

    @property
    def orders(self) -> list[OrderedIndex]:
        """The orders that are complete."""
        return [order.index for order, late in self._orders.values() if late.is_complete]

    def note(self, before: Record | None, after: Record) -> None:
        """Takes note that a record has a new state."""
        self._late_words.note(before, after)
        for _, late in self._orders.values():
            late.note(before, after)

    def _record(self, record_id: str) -> Record | None:
        for record in self._stored.records([record_id]):
            return record
        return None


class _LateOrder:
    """One order of a collection, less its tombstones."""

    def __init__(self, field: str) -> None:
        self.index = late_order(IndexForm(tuple(dict.fromkeys((IS_DELETED, field, ID)))))

    def replace(self, before: Record | None, after: Record) -> None:
        """Takes note that a record has a new state; harmless where it did already."""
        keys = self.index.keys
        for record, is_kept in ((before, False), (after, True)):
            if record is None or is_tombstone(record):
                continue
            key = self.index.key({name: rank(record.get(name)) for name in self.index.fields})
            if key is None or (key in keys) is is_kept:
                continue
            if is_kept:
                keys.add(key)
            else:
                keys.remove(key)
