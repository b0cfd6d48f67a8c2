"""Reading: candidates from the indexes, matched by MontyDB, in the order that was asked for."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from montydb import MontyClient

from adapters.monty.collection_indexes import OrderedIndex
from adapters.monty.document import record_of
from adapters.monty.document_query import DocumentQuery, document_query
from adapters.monty.errors import DRIVER_ERRORS, unavailable
from adapters.monty.index_walk import Found, FoundByIndex, Plan
from adapters.monty.keyed_storage import CandidateQuery
from adapters.monty.question_plan import has_order, plan, plan_unordered, position_of, searches_in
from adapters.monty.sorted_keys import Key
from adapters.monty.stored_state import StoredState
from adapters.monty.word_search import FoundByWords
from adapters.records.criteria import (
    RELEVANCE,
    AllOf,
    Criterion,
    Equals,
    Order,
    Question,
    conjuncts_of,
)
from adapters.records.record import ID, IS_DELETED, Record
from adapters.records.relevance import found_by_relevance
from adapters.records.specs import SPECS

MATCHED_AT_ONCE_MAX = 256
"""After how many candidates others get their turn: a few milliseconds."""
PASSED_AT_ONCE_MAX = 4_096
"""After how many keys of an index others get their turn, likewise."""
SORTED_AT_ONCE_MAX = 2_000
"""From how many candidates on an order is made and kept instead of sorting them for every page."""


class DocumentReader:
    """Answers questions from one open MontyDB client."""

    def __init__(self, client: MontyClient, state: StoredState, *, database: str) -> None:
        self._state = state
        self._collections: dict[str, Any] = {name: client[database][name] for name in SPECS}

    def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        """The records with these ids, tombstones included."""
        self._state.require_whole()
        return {record[ID]: record for record in self._records(collection, ids)}

    def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        """The records with the next ids, tombstones included."""
        ids = list(islice(self._state.indexes(collection).ids_after(after), limit))
        try:
            return self._state.walked(collection, ids)
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error

    async def find(self, question: Question) -> list[Record]:
        """The matching records in the question's order."""
        if question.order.field == RELEVANCE:
            return await found_by_relevance(self.find, question)
        collection, where = question.collection, question.where
        await self._make_searchable(collection, where)
        way = self._plan(question)
        if way.candidates_max > SORTED_AT_ONCE_MAX and await self._is_order_made(question):
            way = self._plan(question)
        if way.is_ordered:
            return await self._page(question, way)
        return _sorted(await self._all(collection, where, way), question)

    async def count(self, collection: str, where: Criterion) -> int:
        """How many records match."""
        await self._make_searchable(collection, where)
        found = self._found_by_words(collection, where)
        way = plan_unordered(self._orders(collection), where, words=found)
        if way.is_exact:
            return way.count()
        return len(await self._all(collection, where, way))

    def _plan(self, question: Question) -> Plan:
        return plan(
            self._orders(question.collection),
            question.where,
            order=question.order,
            limit=question.limit,
            words=self._found_by_words(question.collection, question.where),
        )

    def _orders(self, collection: str) -> list[OrderedIndex]:
        return [*self._state.indexes(collection).orders, *self._state.late(collection).orders]

    async def _page(self, question: Question, way: Plan) -> list[Record]:
        """Walks along the order until the page is full. A record that moves ahead meanwhile is seen once."""
        collection, position = question.collection, _position_after(question)
        query = _query(collection, way.rest)
        found: dict[str, Record] = {}
        wanted = question.limit
        while True:
            step = _keys_for(way, wanted)
            changes = self._state.changes(collection)
            keys = way.walk(position, step, descending=question.order.descending)
            ids = way.among(keys)
            for start in range(0, len(ids), MATCHED_AT_ONCE_MAX):
                if len(found) < question.limit:
                    part = ids[start : start + MATCHED_AT_ONCE_MAX]
                    found.update(
                        (one[ID], found.get(one[ID], one)) for one in self._matching(collection, query, part)
                    )
            if len(keys) < step or len(found) >= question.limit:
                break
            # Whatever was counted on, more is needed: twice as much each time.
            position, wanted = keys[-1], 2 * wanted
            await asyncio.sleep(0)
            self._state.require_whole()
            if way.found is not None and changes != self._state.changes(collection):
                way = replace(way, found=self._found_again(way.found, question))
        return list(found.values())[: question.limit]

    async def _all(self, collection: str, where: Criterion, way: Plan) -> list[Record]:
        """Every match among those that were candidates at the beginning."""
        ids, changes = way.ids(), self._state.changes(collection)
        query = _query(collection, way.rest)
        found: list[Record] = []
        for start in range(0, len(ids), MATCHED_AT_ONCE_MAX):
            if start:
                await asyncio.sleep(0)
                self._state.require_whole()
                if changes != self._state.changes(collection):
                    # What made them candidates may no longer be so.
                    query = _query(collection, (where,))
            found += self._matching(collection, query, ids[start : start + MATCHED_AT_ONCE_MAX])
        return found

    async def _make_searchable(self, collection: str, where: Criterion) -> None:
        """Waits for the index of words where the question needs it."""
        if self._is_search(collection, where):
            try:
                await self._state.late(collection).complete_words()
            except DRIVER_ERRORS as error:
                raise unavailable(error) from error

    async def _is_order_made(self, question: Question) -> bool:
        """Makes the order of a question where no index stands in it: every further page then costs the page."""
        collection, order = question.collection, question.order
        if has_order(self._orders(collection), question.where, order):
            return False
        try:
            return await self._state.late(collection).complete_order(order.field)
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error

    def _found_by_words(self, collection: str, where: Criterion) -> FoundByWords | None:
        """What the searches of a question come to at present, or None where it has none."""
        if not self._is_search(collection, where):
            return None
        try:
            late = self._state.late(collection)
            return late.search(searches_in(where), is_deleted=_is_deleted(where))
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error

    def _found_again(self, found: Found, question: Question) -> Found | None:
        """The same after a change."""
        if isinstance(found, FoundByIndex):
            return FoundByIndex(found.way)
        return self._found_by_words(question.collection, question.where)

    @staticmethod
    def _is_search(collection: str, where: Criterion) -> bool:
        return bool(SPECS[collection].text_fields and searches_in(where))

    def _records(self, collection: str, ids: Sequence[str]) -> list[Record]:
        """Those of the records that exist, in the order of the ids."""
        try:
            return self._state.records(collection, ids)
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error

    def _matching(self, collection: str, query: DocumentQuery, ids: Sequence[str]) -> list[Record]:
        """Those of the records that match, in the order of the ids."""
        if not query:
            return self._records(collection, ids)
        try:
            return [
                record_of(found) for found in self._collections[collection].find(CandidateQuery(query, ids))
            ]
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error


def _query(collection: str, rest: tuple[Criterion, ...]) -> DocumentQuery:
    """What MontyDB must check of each candidate."""
    return document_query(AllOf(rest), SPECS[collection].text_fields)


def _is_deleted(where: Criterion) -> bool | None:
    """Whether a question is about the trash, or about the living, or about both."""
    for criterion in conjuncts_of(where):
        if (
            isinstance(criterion, Equals)
            and criterion.field == IS_DELETED
            and isinstance(criterion.value, bool)
        ):
            return criterion.value
    return None


def _keys_for(way: Plan, wanted: int) -> int:
    """How many keys to pass at once, so that about this many candidates are among them."""
    if way.found is None or way.stretches is None:
        return min(wanted, MATCHED_AT_ONCE_MAX)
    keys = min(wanted, MATCHED_AT_ONCE_MAX) * way.size // max(1, way.found.estimate)
    return max(1, min(wanted, MATCHED_AT_ONCE_MAX), min(keys, PASSED_AT_ONCE_MAX))


def _position_after(question: Question) -> Key | None:
    if question.after is None:
        return None
    value, last_id = question.after
    return position_of(question.order, last_id, value)


def _sorted(records: list[Record], question: Question) -> list[Record]:
    """The page of a question out of all its matches."""
    order, after = question.order, _position_after(question)
    placed = [(_place(order, record), record) for record in records]
    if after is not None:
        placed = [pair for pair in placed if (pair[0] < after if order.descending else pair[0] > after)]
    placed.sort(key=lambda pair: pair[0], reverse=order.descending)
    return [record for _, record in placed[: question.limit]]


def _place(order: Order, record: Record) -> Key:
    return position_of(order, record[ID], record.get(order.field))
