"""How a page is read: along an index in its order, or by gathering all matches and sorting them.

SQLite's planner cannot weigh the two: no statistic says how many of an order's first rows match. So matches are counted
up to the number where the other way is cheaper, and the choice is forced with INDEXED BY and the unary plus.
"""

# ruff: noqa: S608 - statements are put together from the specs; values are parameters

import math
from dataclasses import dataclass

from adapters.monty.criteria_sql import (
    FALSE,
    Sql,
    WordAccess,
    all_of,
    scopes_of,
    searches_of,
    where_of,
    words_condition,
)
from adapters.monty.tables import Table, quoted
from adapters.records.criteria import Criterion, Equals, NotNull, Order, Question, Range, conjuncts_of
from adapters.records.record import ID
from adapters.records.specs import Index, Scope


@dataclass(frozen=True, slots=True)
class AccessPath:
    """`index` is followed in the page's order; without one, all matches are gathered, about `rows` of them."""

    index: str | None
    words: WordAccess = WordAccess.DRIVE
    rows: int = 0


def gathered_max(limit: int, size: int) -> int:
    """Up to how many matches gathering and sorting costs less than following an order until a page is full."""
    return max(200, int(math.sqrt(2 * limit * max(size, 1))))


def listed_max(limit: int, size: int) -> int:
    """Up to how many rows with a word listing them all costs less than asking FTS5 about each candidate."""
    return max(1_000, int(math.sqrt(200 * limit * max(size, 1))))


def order_index(table: Table, conjuncts: list[Criterion], order: Order) -> tuple[str | None, list[Criterion]]:
    """The index that yields the order, and the criteria that it leaves to be checked row by row."""
    scopes = {Scope.ALL, *scopes_of(conjuncts)}
    pinned = {one.field: one for one in conjuncts if isinstance(one, Equals)}
    best: tuple[str | None, list[Criterion]] = (f"{table.name}_id" if order.field == ID else None, conjuncts)
    for index in table.ordered:
        lead = _pinned_fields(index, order)
        if lead is None or not pinned.keys() >= set(lead) or index.scope not in scopes:
            continue
        # An index of the specs leaves out records whose first field is null; those of list orders hold them.
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
    """The fields that must have one value each for the index to yield the order; None where it never does."""
    fields = tuple(name for name in index.fields if name != ID)
    if order.field == ID:
        return fields
    return fields[:-1] if fields and fields[-1] == order.field else None


def page_statements(table: Table, question: Question, path: AccessPath) -> tuple[list[Sql], bool]:
    """The statements that fill a page one after the other, each with a LIMIT to be bound, and whether they are exact.

    Where they are not exact they have no LIMIT, and MontyDB's matcher decides about their documents.
    """
    conjuncts = conjuncts_of(question.where)
    searches = searches_of(table, conjuncts)
    rest = where_of(table, [one for one in conjuncts if one not in searches], has_words=bool(searches))
    where = all_of([rest, *(words_condition(table, one, path.words) for one in searches)])
    parts = [all_of([where, part]) for part in _parts_after(table, question)]
    return [
        Sql(_page_text(table, question.order, path, part.text, is_exact=where.is_exact), part.params)
        for part in parts
        if part.text != FALSE
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
    # Sorting numbers instead of documents spares reading the documents of all matches.
    numbers = f"SELECT n AS k, {quoted(order.field)} AS a, id AS b {found} LIMIT ?"
    return f"SELECT doc FROM ({numbers}) CROSS JOIN {table.name} ON n = k ORDER BY a{down}, b{down}"


def _parts_after(table: Table, question: Question) -> list[Sql]:
    """What follows the position: nulls come first in ascending and last in descending order.

    A row-value comparison uses the index; with an OR for nulls in the same statement it would not.
    """
    if question.after is None:
        return [Sql("1")]
    (value, last_id), order = question.after, question.order
    sign, column = "<" if order.descending else ">", quoted(order.field)
    if order.field == ID:
        return [Sql(f"id {sign} ?", (last_id,))]
    if value is None:
        tie = Sql(f"({column} IS NULL AND id {sign} ?)", (last_id,))
        return [tie] if order.descending else [tie, Sql(f"{column} IS NOT NULL")]
    beyond = Sql(f"({column}, id) {sign} (?, ?)", (table.sql_value(order.field, value), last_id))
    is_followed_by_nulls = order.descending and order.field in table.nullable
    return [beyond, Sql(f"{column} IS NULL")] if is_followed_by_nulls else [beyond]
