"""Answers the questions of the port from one open database."""

# ruff: noqa: S608 - statements are put together from the specs; values are parameters

import heapq
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

from montydb.engine.weighted import Weighted

from adapters.monty.counts import count_statement, estimate_statement, is_all_live
from adapters.monty.criteria_sql import Sql, where_of
from adapters.monty.document import decoded
from adapters.monty.document_query import document_query
from adapters.monty.planning import Estimates, Path, gathered_max, listed_max, order_index, page_statements
from adapters.monty.read_connections import ReadConnections
from adapters.monty.search import WordAccess, match_expression, searches_of
from adapters.monty.storage import matching
from adapters.monty.tables import TABLES, Table
from adapters.monty.tuning import Strategy, Tuning
from adapters.records.criteria import (
    RELEVANCE,
    AllOf,
    Criterion,
    Question,
    after_position,
    conjuncts_of,
    words_of,
)
from adapters.records.record import ID, Record
from adapters.records.relevance import found_by_relevance


class Reader:
    """See the port RecordStore."""

    def __init__(self, connections: ReadConnections, tuning: Tuning) -> None:
        self._connections, self._tuning = connections, tuning
        self._estimates = Estimates()

    async def close(self) -> None:
        """Waits for what is being read."""
        await self._connections.close()

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        if len(ids) > self._tuning.on_loop_rows_max:
            return await self._connections.in_thread(lambda connection: _fetched(connection, collection, ids))
        return self._connections.now(lambda connection: _fetched(connection, collection, ids))

    async def gather(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        """All of it as of one commit."""
        if sum(map(len, wanted.values())) > self._tuning.on_loop_rows_max:
            return await self._connections.in_thread(lambda connection: _gathered(connection, wanted))
        return self._connections.now(lambda connection: _gathered(connection, wanted))

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        statement = f"SELECT doc FROM {collection} WHERE id > ? ORDER BY id LIMIT ?"
        return await self._connections.soon(
            lambda connection: [
                decoded(data) for (data,) in connection.execute(statement, (after or "", limit)).fetchall()
            ],
            rows=limit,
        )

    async def count(self, collection: str, where: Criterion) -> int:
        table, conjuncts = TABLES[collection], conjuncts_of(where)
        if is_all_live(table, conjuncts):
            live = Sql("SELECT live FROM live_counts WHERE collection = ?", (collection,))
            return self._connections.now(lambda connection: _number(connection, live))
        counted = count_statement(table, conjuncts)
        if counted.is_exact:
            # Most counts are of many rows and would be begun twice on the loop.
            return await self._connections.in_thread(lambda connection: _number(connection, counted))
        return await self._connections.in_thread(
            lambda connection: sum(1 for _ in _matches(connection, table, where, counted))
        )

    async def find(self, question: Question) -> list[Record]:
        if question.order.field == RELEVANCE:
            return await found_by_relevance(self.find, question)
        if question.limit < 1:
            return []
        table = TABLES[question.collection]
        if question.order.field not in table.kinds:
            return await self._connections.in_thread(
                lambda connection: _sorted_page(connection, table, question)
            )
        path = await self._path(table, question)
        return await self._connections.soon(
            lambda connection: _page(connection, table, question, path), rows=path.rows
        )

    async def _path(self, table: Table, question: Question) -> Path:
        conjuncts = conjuncts_of(question.where)
        index, left = order_index(table, conjuncts, question.order)
        if index is None:
            return Path(None)
        if not left:
            return Path(index)
        if self._tuning.strategy is not Strategy.BY_ESTIMATE:
            return _forced_path(index, self._tuning.strategy)
        size = await self._counted(Sql(f"SELECT max(n) FROM {table.name}"))
        return await self._cheapest_path(table, question, index=index, left=left, size=size)

    async def _cheapest_path(
        self, table: Table, question: Question, *, index: str, left: list[Criterion], size: int
    ) -> Path:
        """`left` is what following the index leaves to be checked."""
        few = gathered_max(question.limit, size)
        conjuncts = conjuncts_of(question.where)
        searches = searches_of(table, conjuncts)
        access = WordAccess.DRIVE
        if searches:
            listed = listed_max(question.limit, size)
            hits = await self._counted(
                _hits(table, [match_expression(words_of(one.text), one.lead) for one in searches], listed)
            )
            if hits < few:
                return Path(None, rows=hits)
            access = WordAccess.LIST if hits < listed else WordAccess.PROBE
        if any(one not in searches for one in left):
            others = [one for one in conjuncts if one not in searches]
            matches = await self._counted(estimate_statement(table, others, few))
            if matches < few:
                return Path(None, access, rows=matches)
        return Path(index, access)

    async def _counted(self, counted: Sql) -> int:
        """A count that is a few seconds old at most."""
        count = self._estimates.get(counted)
        if count is None:
            count = await self._connections.soon(lambda connection: _number(connection, counted))
            self._estimates.note(counted, count)
        return count


def _forced_path(index: str, strategy: Strategy) -> Path:
    if strategy is Strategy.GATHER:
        return Path(None)
    return Path(index, WordAccess.LIST if strategy is Strategy.ORDER_AND_LIST else WordAccess.PROBE)


def _hits(table: Table, expressions: list[str], limit: int) -> Sql:
    match = " AND ".join(f"({one})" for one in expressions)
    return Sql(
        f"SELECT count(*) FROM (SELECT 1 FROM {table.words} WHERE {table.words} MATCH ? LIMIT {limit})",
        (match,),
    )


def _number(connection: sqlite3.Connection, counted: Sql) -> int:
    ((number,),) = connection.execute(counted.text, counted.params).fetchall()
    return number or 0


def _fetched(connection: sqlite3.Connection, collection: str, ids: Sequence[str]) -> dict[str, Record]:
    if len(ids) == 1:
        rows = connection.execute(f"SELECT doc FROM {collection} WHERE id = ?", (ids[0],)).fetchall()
    elif ids:
        among = f"SELECT doc FROM {collection} WHERE id IN (SELECT value FROM json_each(?))"
        rows = connection.execute(among, (json.dumps(ids),)).fetchall()
    else:
        return {}
    return {record[ID]: record for (data,) in rows if (record := decoded(data))}


def _gathered(
    connection: sqlite3.Connection, wanted: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Record]]:
    connection.execute("BEGIN")
    try:
        return {collection: _fetched(connection, collection, ids) for collection, ids in wanted.items()}
    finally:
        connection.execute("COMMIT")


def _page(connection: sqlite3.Connection, table: Table, question: Question, path: Path) -> list[Record]:
    """Several statements share one snapshot."""
    statements, is_exact = page_statements(table, question, path)
    if len(statements) > 1:
        connection.execute("BEGIN")
    try:
        found: list[Record] = []
        for statement in statements:
            left = question.limit - len(found)
            if left < 1:
                break
            if is_exact:
                rows = connection.execute(statement.text, (*statement.params, left)).fetchall()
                found += [decoded(data) for (data,) in rows]
            else:
                found += _first(_matches(connection, table, question.where, statement), left)
        return found
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


def _first(records: Iterator[Record], limit: int) -> list[Record]:
    return [record for record, _ in zip(records, range(limit), strict=False)]


def _matches(
    connection: sqlite3.Connection, table: Table, where: Criterion, candidates: Sql
) -> Iterator[Record]:
    """The documents among the candidates that MontyDB's matcher accepts."""
    cursor = connection.execute(candidates.text, candidates.params)
    try:
        yield from matching(document_query(where, table.spec.text_fields), cursor)
    finally:
        cursor.close()  # An unfinished cursor would pin its snapshot, and the WAL with it.


def _sorted_page(connection: sqlite3.Connection, table: Table, question: Question) -> list[Record]:
    """For orders by what has no column: MontyDB's own order of values, over everything that matches."""
    where, order = question.where, question.order
    if question.after is not None:
        where = AllOf((where, after_position(order, question.after)))
    narrowed = where_of(table, conjuncts_of(where))
    candidates = Sql(f"SELECT doc FROM {table.name} WHERE {narrowed.text}", narrowed.params)
    pick = heapq.nlargest if order.descending else heapq.nsmallest
    matches: Iterable[Record] = _matches(connection, table, where, candidates)
    return pick(question.limit, matches, key=lambda record: (Weighted(record.get(order.field)), record[ID]))
