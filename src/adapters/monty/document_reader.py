"""Reading: candidates from the indexes, matched by MontyDB, in the order that was asked for."""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Any

from montydb import MontyClient

from adapters.monty.document import record_of
from adapters.monty.document_query import DocumentQuery, document_query
from adapters.monty.errors import DRIVER_ERRORS, unavailable
from adapters.monty.keyed_storage import CandidateQuery
from adapters.monty.question_plan import Plan, plan, plan_unordered, position_of
from adapters.monty.sorted_keys import Key
from adapters.monty.stored_state import StoredState
from adapters.records.criteria import AllOf, Criterion, Order, Question
from adapters.records.record import ID, Record
from adapters.records.specs import SPECS

MATCHED_AT_ONCE_MAX = 256
"""After how many candidates others get their turn: a few milliseconds."""


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
        return self._records(collection, ids)

    async def find(self, question: Question) -> list[Record]:
        """The matching records in the question's order."""
        orders = self._state.indexes(question.collection).orders
        way = plan(orders, question.where, order=question.order, limit=question.limit)
        query = _query(question.collection, way)
        if way.is_ordered:
            return await self._page(question, query, way)
        return _sorted(await self._all(question.collection, query, way), question)

    async def count(self, collection: str, where: Criterion) -> int:
        """How many records match."""
        way = plan_unordered(self._state.indexes(collection).orders, where)
        if way.is_exact:
            return way.size
        return len(await self._all(collection, _query(collection, way), way))

    async def _page(self, question: Question, query: DocumentQuery, way: Plan) -> list[Record]:
        """Walks along the order until the page is full. A record that moves ahead meanwhile is seen once."""
        position = _position_after(question)
        found: dict[str, Record] = {}
        step = min(question.limit, MATCHED_AT_ONCE_MAX)
        while len(found) < question.limit:
            self._state.require_whole()
            keys = way.walk(position, step, descending=question.order.descending)
            ids = [key[-1][1] for key in keys]
            for record in self._matching(question.collection, query, ids):
                found.setdefault(record[ID], record)
            if len(keys) < step:
                break
            position, step = keys[-1], MATCHED_AT_ONCE_MAX
            await asyncio.sleep(0)
        return list(found.values())[: question.limit]

    async def _all(self, collection: str, query: DocumentQuery, way: Plan) -> list[Record]:
        """Every match among those that were candidates at the beginning."""
        ids = way.ids()
        found: list[Record] = []
        for start in range(0, len(ids), MATCHED_AT_ONCE_MAX):
            if start:
                await asyncio.sleep(0)
                self._state.require_whole()
            found += self._matching(collection, query, ids[start : start + MATCHED_AT_ONCE_MAX])
        return found

    def _records(self, collection: str, ids: Sequence[str]) -> list[Record]:
        """Those of the records that exist, in the order of the ids."""
        try:
            return self._state.records(collection, ids)
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error

    def _matching(self, collection: str, query: DocumentQuery, ids: Sequence[str]) -> list[Record]:
        """Those of the records that match, in the order of the ids."""
        try:
            return [
                record_of(found) for found in self._collections[collection].find(CandidateQuery(query, ids))
            ]
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error


def _query(collection: str, way: Plan) -> DocumentQuery:
    """What MontyDB must check of each candidate."""
    return document_query(AllOf(way.rest), SPECS[collection].text_fields)


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
