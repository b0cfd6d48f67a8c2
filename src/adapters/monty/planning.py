"""The statements of pages and counts.

A page is read in the order of an index, or all matches are gathered and sorted. SQLite cannot choose between the two,
because it has no statistics about how many of the first rows in an order match. So matches are counted, up to the
number from which gathering costs more, and the choice is forced with INDEXED BY and the unary plus.
"""

# ruff: noqa: S608 - statements are built from the specs; values are parameters

import math
from dataclasses import dataclass

from adapters.monty import criteria_sql as sql
from adapters.monty.tables import Table, quoted
from adapters.records.criteria import (
    AnyOf,
    Criterion,
    Equals,
    HasWords,
    IsNull,
    NotNull,
    OneOf,
    Order,
    Question,
    Range,
    conjuncts_of,
)
from adapters.records.indexes import Index, Scope
from adapters.records.record import ID, IS_DELETED

LIVE = Equals(IS_DELETED, value=False)


@dataclass(frozen=True, slots=True)
class AccessPath:
    """A page is read in the order of `index`; without one, all matches (about `rows`) are gathered and sorted."""

    index: str | None
    words: sql.WordAccess = sql.WordAccess.DRIVE
    rows: int = 0


def bounds_of(limit: int, size: int) -> tuple[int, int]:
    """Two bounds. Up to this many matches, gathering costs less than reading in order until the page is full. Up to
    this many rows with a word, listing them costs less than reading each candidate.
    """
    return max(200, math.isqrt(2 * limit * size)), max(1_000, math.isqrt(200 * limit * size))


def order_index(table: Table, conjuncts: list[Criterion], order: Order) -> tuple[str | None, list[Criterion]]:
    """The index that yields the order, and the remaining criteria, which are checked for each row."""
    scopes = {Scope.ALL, *sql.scopes_of(conjuncts)}
    values = {one.field: one for one in conjuncts if isinstance(one, Equals)}
    nulls = {one.field: one for one in conjuncts if isinstance(one, IsNull)}
    best: tuple[str | None, list[Criterion]] = (f"{table.name}_id" if order.field == ID else None, conjuncts)
    for index in table.ordered:
        lead = _pinned_fields(index, order)
        # An index that holds nulls names them in its scope.
        held_nulls = {name: one for name, one in nulls.items() if None in index.scope.held.get(name, ())}
        pinned: dict[str, Criterion] = {**values, **held_nulls}
        if lead is None or not pinned.keys() >= set(lead) or index.scope not in scopes:
            continue
        # Indexes of the specs leave out records whose first field is null; indexes of list orders contain them.
        lacks_nulls = not lead and index not in table.orders and order.field in table.spec.present_in(index)
        if lacks_nulls and not any(
            isinstance(one, Range | NotNull) and one.field == order.field for one in conjuncts
        ):
            continue
        decided = [pinned[name] for name in (*lead, *index.scope.held) if name in pinned]
        left = [one for one in conjuncts if one not in decided]
        if best[0] is None or len(left) < len(best[1]):
            best = (index.name, left)
    return best


def _pinned_fields(index: Index, order: Order) -> tuple[str, ...] | None:
    """The fields that must have a single value for the index to yield the order; None if it never does."""
    fields = tuple(name for name in index.fields if name != ID)
    if order.field == ID:
        return fields
    return fields[:-1] if fields and fields[-1] == order.field else None


def page_statements(table: Table, question: Question, path: AccessPath) -> tuple[list[sql.Sql], bool]:
    """The statements that fill a page one after the other, each with a LIMIT parameter, and whether they are exact.

    If they are not exact, they have no LIMIT, and MontyDB's matcher filters their documents.
    """
    conjuncts = conjuncts_of(question.where)
    searches = sql.searches_of(table, conjuncts)
    rest = sql.where_of(table, [one for one in conjuncts if one not in searches], has_words=bool(searches))
    where = sql.all_of([rest, *(sql.words_condition(table, one, path.words) for one in searches)])
    parts = [sql.all_of([where, part]) for part in _parts_after(table, question)]
    return [
        sql.Sql(_page_text(table, question.order, path, part.text, is_exact=where.is_exact), part.params)
        for part in parts
        if part.text != sql.FALSE
    ], where.is_exact


def _page_text(table: Table, order: Order, path: AccessPath, where: str, *, is_exact: bool) -> str:
    down = " DESC" if order.descending else ""
    plus = "" if path.index else "+"
    source = f"{table.name} INDEXED BY {path.index}" if path.index else table.name
    keys = ", ".join(f"{plus}{quoted(name)}{down}" for name in dict.fromkeys((order.field, ID)))
    found = f"FROM {source} WHERE {where} ORDER BY {keys}"
    if not is_exact:
        return f"SELECT doc {found}"
    if path.index:
        return f"SELECT doc {found} LIMIT ?"
    # Row numbers are sorted first, so that only the documents of the page are read.
    numbers = f"SELECT n AS k, {quoted(order.field)} AS a, id AS b {found} LIMIT ?"
    return f"SELECT doc FROM ({numbers}) CROSS JOIN {table.name} ON n = k ORDER BY a{down}, b{down}"


def _parts_after(table: Table, question: Question) -> list[sql.Sql]:
    """The conditions of the rows after the position. Nulls come first in ascending and last in descending order.

    They are separate, because a row-value comparison together with an OR for nulls would not use the index.
    """
    if question.after is None:
        return [sql.Sql("1")]
    (value, last_id), order = question.after, question.order
    sign, column = "<" if order.descending else ">", quoted(order.field)
    if order.field == ID:
        return [sql.Sql(f"id {sign} ?", (last_id,))]
    if value is None:
        tie = sql.Sql(f"({column} IS NULL AND id {sign} ?)", (last_id,))
        return [tie] if order.descending else [tie, sql.Sql(f"{column} IS NOT NULL")]
    beyond = sql.Sql(f"({column}, id) {sign} (?, ?)", (table.sql_value(order.field, value), last_id))
    is_followed_by_nulls = order.descending and order.field in table.nullable
    return [beyond, sql.Sql(f"{column} IS NULL")] if is_followed_by_nulls else [beyond]


def is_all_live(table: Table, conjuncts: list[Criterion]) -> bool:
    """Whether the question is the number of all live records, which `live_counts` contains."""
    return table.has_live_count and conjuncts == [LIVE] and conjuncts[0].value is False  # type: ignore[union-attr]


def count_statement(table: Table, conjuncts: list[Criterion]) -> sql.Sql:
    """The statement for the count; if it is not exact, for the documents that may match."""
    words, parts = _words_count(table, conjuncts), union_parts(table, conjuncts)
    if words is not None:
        return words
    if parts is not None:
        selects = " UNION ".join(f"SELECT n FROM {table.name} WHERE {part.text}" for part in parts)
        return sql.Sql(f"SELECT count(*) FROM ({selects})", sql.params_of(parts))
    where = sql.where_of(table, conjuncts)
    what = "count(*)" if where.is_exact else "doc"
    return sql.Sql(f"SELECT {what} FROM {table.name} WHERE {where.text}", where.params, where.is_exact)


def _words_count(table: Table, conjuncts: list[Criterion]) -> sql.Sql | None:
    """The count of a single search among all or live records: FTS5's hits, corrected for stale and deleted rows."""
    searches = sql.searches_of(table, conjuncts)
    others = [one for one in conjuncts if one not in searches]
    if len(searches) != 1 or not (others == [] or is_all_live(table, others)):
        return None
    words, name, column = table.words, table.name, quoted(IS_DELETED)
    hits = f"FROM {words} WHERE {words} MATCH ? AND rowid NOT IN (SELECT n FROM {words}_stale)"
    read = sql.stale_rows(table)
    if others:
        hits += f" AND rowid NOT IN (SELECT n FROM {name} INDEXED BY {name}_not_live WHERE {column} IS NOT 0)"
        read += f" AND t.{column} = 0"
    both = f"SELECT (SELECT count(*) {hits}) + (SELECT count(*) {read})"
    return sql.Sql(both, sql.word_parameters(table, searches[0]))


def estimate_statement(table: Table, conjuncts: list[Criterion], limit: int) -> sql.Sql:
    """Counts matching rows up to a limit. A row that matches several branches of an OR counts several times."""
    parts = union_parts(table, conjuncts) or [sql.where_of(table, conjuncts)]
    selects = " UNION ALL ".join(f"SELECT 1 FROM {table.name} WHERE {part.text}" for part in parts)
    return sql.Sql(f"SELECT count(*) FROM (SELECT 1 FROM ({selects}) LIMIT {limit})", sql.params_of(parts))


def union_parts(table: Table, conjuncts: list[Criterion]) -> list[sql.Sql] | None:
    """One condition for each branch of the only OR, if every branch can use an index.

    For an OR, SQLite reads each row to join the branches; a UNION only joins row numbers from the indexes.
    """
    alternatives = [one for one in conjuncts if isinstance(one, AnyOf)]
    others: list[Criterion] = [one for one in conjuncts if not isinstance(one, AnyOf)]
    if len(alternatives) != 1 or any(isinstance(one, HasWords) for one in others):
        return None
    scopes, parts = {Scope.ALL, *sql.scopes_of(others)}, []
    leading = {index.fields[0] for index in table.indexes if index.scope in scopes}
    for branch in alternatives[0].criteria:
        within = conjuncts_of(branch)
        if not any(isinstance(one, Equals | OneOf) and one.field in leading for one in within):
            return None
        parts.append(sql.where_of(table, [*others, *within]))
    return parts if parts and all(part.is_exact for part in parts) else None
