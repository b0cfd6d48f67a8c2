"""The reading methods of the port RecordStore."""

# ruff: noqa: S608 - statements are built from the specs; values are parameters

import heapq
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from montydb.engine.weighted import Weighted

from adapters.monty import planning, raw_documents
from adapters.monty.criteria_sql import PREFIX, Sql, WordAccess, match_expression, searches_of, where_of
from adapters.monty.document import decoded
from adapters.monty.read_connections import ReadConnections
from adapters.monty.storage import matching
from adapters.monty.tables import TABLES, Table
from adapters.monty.tuning import Strategy
from adapters.records.criteria import (
    RELEVANCE,
    AllOf,
    Criterion,
    HasWords,
    Question,
    after_position,
    conjuncts_of,
    has_search,
)
from adapters.records.document_filter import filter_of
from adapters.records.raw_reading import Digest, RawPage
from adapters.records.record import ID, Record
from adapters.records.record_store import NotOpen
from adapters.records.relevance import found_by_relevance
from adapters.records.search import condition_of, whole_part_of, whole_words_of

KNOWN_SECONDS, KNOWN_MAX = 5.0, 1_000
"""For how long, and for how many statements, counts of matches are kept."""


class Reader:
    """The reading half of the port RecordStore; open while it has `_connections`."""

    def __init__(self, strategy: Strategy) -> None:
        self._connections: ReadConnections | None = None
        self._strategy = strategy
        self._known: dict[Sql, tuple[float, int]] = {}

    @property
    def _reads(self) -> ReadConnections:
        if self._connections is None:
            raise NotOpen("MontyDB is not open.")
        return self._connections

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        return await self._reads.soon(_fetched, collection, ids, rows=len(ids))

    async def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        rows = sum(map(len, ids_by_collection.values()))
        return await self._reads.soon(_gathered, ids_by_collection, rows=rows)

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        page = Sql(f"SELECT doc FROM {collection} WHERE id > ? ORDER BY id LIMIT ?", (after or "", limit))
        return await self._reads.soon(_records, page, rows=limit)

    async def raw_scan(self, collection: str, *, after: str | None, limit: int) -> RawPage:
        """See RawReader."""
        return await self._reads.in_thread(raw_documents.page_after, collection, after or "", limit)

    async def raw_fetch(self, collection: str, ids: Sequence[str]) -> RawPage:
        """See RawReader."""
        return await self._reads.soon(raw_documents.page_of, collection, ids, rows=len(ids))

    async def raw_digests(self, collection: str, *, after: str | None, bounds: Sequence[str]) -> list[Digest]:
        """See RawReader."""
        return await self._reads.in_thread(raw_documents.digests, collection, after or "", bounds)

    async def raw_count(self, collection: str, *, after: str | None = None, upto: str | None = None) -> int:
        """See RawReader."""
        return await self._reads.in_thread(raw_documents.count, collection, after, upto)

    async def raw(self, collection: str, record_id: str) -> bytes | None:
        """The document of a record as it is stored, also if it cannot be decoded; None if there is none."""
        return await self._reads.soon(_raw, collection, record_id)

    async def count(self, collection: str, where: Criterion) -> int:
        table, conjuncts = TABLES[collection], conjuncts_of(where)
        if planning.is_all_live(table, conjuncts):
            live = Sql("SELECT live FROM live_counts WHERE collection = ?", (collection,))
            return await self._reads.soon(_number, live)
        counted = planning.count_statement(table, conjuncts)
        # Most counts have many rows, and would exceed the time budget of the event loop.
        if counted.is_exact:
            return await self._reads.in_thread(_number, counted)
        return await self._reads.in_thread(_matching_count, table, where, counted)

    async def find(self, question: Question) -> list[Record]:
        if question.order.field == RELEVANCE:
            return await found_by_relevance(self.find, question)
        if question.limit < 1:
            return []
        table = TABLES[question.collection]
        if question.order.field not in table.kinds:
            return await self._reads.in_thread(_sorted_page, table, question)
        path = await self._path(table, question)
        return await self._reads.soon(_page, table, question, path, rows=path.rows)

    async def _path(self, table: Table, question: Question) -> planning.AccessPath:
        index, left = planning.order_index(table, conjuncts_of(question.where), question.order)
        if index is None or self._strategy is Strategy.GATHER:
            return planning.AccessPath(None)
        if not left:
            return planning.AccessPath(index)
        if self._strategy is not Strategy.BY_ESTIMATE:
            return planning.AccessPath(index, _fixed_access(self._strategy, question.where))
        return await self._cheapest_path(table, question, index=index, left=left)

    async def _cheapest_path(
        self, table: Table, question: Question, *, index: str, left: list[Criterion]
    ) -> planning.AccessPath:
        """The path with the lowest estimated cost. `left` are the criteria that the index does not decide."""
        size = await self._counted(Sql(f"SELECT max(n) FROM {table.name}"))
        few, listed = planning.bounds_of(question.limit, size)
        conjuncts, access = conjuncts_of(question.where), WordAccess.DRIVE
        searches = searches_of(table, conjuncts)
        if searches:
            hits = await self._hits(table, searches, few=few, listed=listed)
            if hits < few:
                return planning.AccessPath(None, rows=hits)
            access = await self._listing(table, searches, listed) if hits < listed else WordAccess.PROBE
        if any(one not in searches for one in left):
            others = [one for one in conjuncts if one not in searches]
            matches = await self._counted(planning.estimate_statement(table, others, few))
            if matches < few:
                return planning.AccessPath(None, access, rows=matches)
        return planning.AccessPath(index, access)

    async def _listing(self, table: Table, searches: list[HasWords], listed: int) -> WordAccess:
        """How rows are listed: without the prefix, unless its other words are too frequent or there are none."""
        parts = _whole_parts(searches)
        if not parts:
            return WordAccess.LIST
        frequent = await self._counted(_counted_hits(table, parts, listed)) >= listed
        return WordAccess.LIST if frequent else WordAccess.SIFT

    async def _hits(self, table: Table, searches: list[HasWords], *, few: int, listed: int) -> int:
        """The number of rows with the words, as exactly as the choice of a path needs it.

        The list of a prefix takes time, so it is avoided where other counts decide.
        """
        if all(one.rank is None for one in searches):
            whole = [match_expression(whole_words_of(one.text)) for one in searches]
            if (hits := await self._counted(_counted_hits(table, whole, listed))) >= few:
                return hits
        given = [match_expression(condition_of(one.text, one.rank)) for one in searches]
        if all(PREFIX in match for match in given):
            # The count for one rank is at most that for all, which is known from the rank before.
            any_rank = [match_expression(condition_of(one.text, None)) for one in searches]
            if (hits := await self._counted(_counted_hits(table, any_rank, listed))) < few:
                return hits
        return await self._counted(_counted_hits(table, given, listed))

    async def _counted(self, counted: Sql) -> int:
        """A count that may be a few seconds old: an outdated one costs time, but never changes a result."""
        until, count = self._known.get(counted, (0.0, 0))
        if until < time.monotonic():
            count = await self._reads.soon(_number, counted)
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[counted] = (time.monotonic() + KNOWN_SECONDS, count)
        return count


def _whole_parts(searches: list[HasWords]) -> list[str]:
    """The FTS5 queries for the whole words of searches that also have a prefix; none unless all have both."""
    parts = [match_expression(whole_part_of(one.text)) for one in searches if one.rank is None]
    return parts if len(parts) == len(searches) and all(parts) else []


def _fixed_access(strategy: Strategy, where: Criterion) -> WordAccess:
    searches = [one for one in conjuncts_of(where) if isinstance(one, HasWords)]
    if strategy is Strategy.ORDER_AND_PROBE:
        return WordAccess.PROBE
    is_sifting = strategy is Strategy.ORDER_AND_SIFT and _whole_parts(searches)
    return WordAccess.SIFT if is_sifting else WordAccess.LIST


def _counted_hits(table: Table, matches: list[str], limit: int) -> Sql:
    listed = f"SELECT 1 FROM {table.words} WHERE {table.words} MATCH ? LIMIT {limit}"
    return Sql(f"SELECT count(*) FROM ({listed})", (" AND ".join(matches),))


def _number(connection: sqlite3.Connection, counted: Sql) -> int:
    ((number,),) = connection.execute(counted.text, counted.params).fetchall()
    return number or 0


def _records(connection: sqlite3.Connection, statement: Sql) -> list[Record]:
    return [decoded(data) for (data,) in connection.execute(statement.text, statement.params).fetchall()]


def _raw(connection: sqlite3.Connection, collection: str, record_id: str) -> bytes | None:
    found = connection.execute(TABLES[collection].by_id, (record_id,)).fetchone()
    return None if found is None else bytes(found[0])


def _fetched(connection: sqlite3.Connection, collection: str, ids: Sequence[str]) -> dict[str, Record]:
    if len(ids) == 1:
        rows = connection.execute(TABLES[collection].by_id, ids).fetchall()
    elif ids:
        rows = connection.execute(TABLES[collection].by_ids, (json.dumps(ids),)).fetchall()
    else:
        return {}
    return {record[ID]: record for record in [decoded(data) for (data,) in rows]}


def _gathered(
    connection: sqlite3.Connection, ids_by_collection: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Record]]:
    gathered = {}
    for collection, ids in ids_by_collection.items():
        gathered[collection] = _fetched(connection, collection, ids)
    return gathered


def _page(
    connection: sqlite3.Connection, table: Table, question: Question, path: planning.AccessPath
) -> list[Record]:
    statements, is_exact = planning.page_statements(table, question, path)
    with connection:
        if len(statements) > 1:
            connection.execute("BEGIN")  # All statements as of one commit.
        found: list[Record] = []
        for statement in statements:
            left = question.limit - len(found)
            if left < 1:
                break
            if is_exact:
                found += _records(connection, Sql(statement.text, (*statement.params, left)))
            else:
                found += islice(_matches(connection, table, question.where, statement), left)
        return found


def _matches(
    connection: sqlite3.Connection, table: Table, where: Criterion, candidates: Sql
) -> Iterator[Record]:
    """The documents among the candidates that MontyDB's matcher accepts."""
    cursor = connection.execute(candidates.text, candidates.params)
    try:
        tokens_of = table.spec.tokens if has_search(where) else None
        yield from matching(filter_of(where), cursor, tokens_of)
    finally:
        cursor.close()  # An unfinished cursor would pin its snapshot, and the WAL with it.


def _matching_count(connection: sqlite3.Connection, table: Table, where: Criterion, candidates: Sql) -> int:
    return sum(1 for _ in _matches(connection, table, where, candidates))


def _sorted_page(connection: sqlite3.Connection, table: Table, question: Question) -> list[Record]:
    """A page in an order without a column: sorts all matches by MontyDB's order of values."""
    where, order = question.where, question.order
    if question.after is not None:
        where = AllOf((where, after_position(order, question.after)))
    narrowed = where_of(table, conjuncts_of(where))
    candidates = Sql(f"SELECT doc FROM {table.name} WHERE {narrowed.text}", narrowed.params)
    pick = heapq.nlargest if order.descending else heapq.nsmallest
    matches = _matches(connection, table, where, candidates)
    return pick(question.limit, matches, key=lambda record: (Weighted(record.get(order.field)), record[ID]))


def bytes_in_pages(reader: sqlite3.Connection) -> int:
    """What the pages of a database occupy."""
    (used,) = reader.execute(
        "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    ).fetchone()
    return int(used)
