"""Counting: exact statements for the counts that the service asks for most, and cheap upper estimates."""

# ruff: noqa: S608 - statements are put together from the specs; values are parameters

from adapters.monty.criteria_sql import (
    Sql,
    params_of,
    scopes_of,
    searches_of,
    stale_rows,
    where_of,
    word_parameters,
)
from adapters.monty.tables import Table, quoted
from adapters.records.criteria import AnyOf, Criterion, Equals, HasWords, OneOf, conjuncts_of
from adapters.records.record import IS_DELETED
from adapters.records.specs import Scope

LIVE = Equals(IS_DELETED, value=False)


def is_all_live(table: Table, conjuncts: list[Criterion]) -> bool:
    """Whether all live records are counted, which a row of `live_counts` answers."""
    return table.has_live_count and conjuncts == [LIVE] and conjuncts[0].value is False  # type: ignore[union-attr]


def count_statement(table: Table, conjuncts: list[Criterion]) -> Sql:
    """The statement whose only value is the count; where it is not exact, the matching documents instead."""
    words, parts = _words_count(table, conjuncts), union_parts(table, conjuncts)
    if words is not None:
        return words
    if parts is not None:
        selects = " UNION ".join(f"SELECT n FROM {table.name} WHERE {part.text}" for part in parts)
        return Sql(f"SELECT count(*) FROM ({selects})", params_of(parts))
    where = where_of(table, conjuncts)
    what = "count(*)" if where.is_exact else "doc"
    return Sql(f"SELECT {what} FROM {table.name} WHERE {where.text}", where.params, where.is_exact)


def _words_count(table: Table, conjuncts: list[Criterion]) -> Sql | None:
    """For a single search among all or among live records: FTS5's hits less the stale rows and those in the trash."""
    searches = searches_of(table, conjuncts)
    others = [one for one in conjuncts if one not in searches]
    if len(searches) != 1 or not (others == [] or is_all_live(table, others)):
        return None
    words, name, column = table.words, table.name, quoted(IS_DELETED)
    hits = f"FROM {words} WHERE {words} MATCH ? AND rowid NOT IN (SELECT n FROM {words}_stale)"
    read = stale_rows(table)
    if others:
        hits += f" AND rowid NOT IN (SELECT n FROM {name} INDEXED BY {name}_not_live WHERE {column} IS NOT 0)"
        read += f" AND t.{column} = 0"
    both = f"SELECT (SELECT count(*) {hits}) + (SELECT count(*) {read})"
    return Sql(both, word_parameters(table, searches[0]))


def estimate_statement(table: Table, conjuncts: list[Criterion], limit: int) -> Sql:
    """Counts the rows that match, up to a limit; a row that matches several branches of an OR counts for each."""
    parts = union_parts(table, conjuncts) or [where_of(table, conjuncts)]
    selects = " UNION ALL ".join(f"SELECT 1 FROM {table.name} WHERE {part.text}" for part in parts)
    return Sql(f"SELECT count(*) FROM (SELECT 1 FROM ({selects}) LIMIT {limit})", params_of(parts))


def union_parts(table: Table, conjuncts: list[Criterion]) -> list[Sql] | None:
    """One condition for each branch of the only OR, where every branch starts from an index of its own.

    SQLite reads each row of an OR to join its branches; a UNION joins numbers that come from the indexes alone.
    """
    alternatives = [one for one in conjuncts if isinstance(one, AnyOf)]
    others: list[Criterion] = [one for one in conjuncts if not isinstance(one, AnyOf)]
    if len(alternatives) != 1 or any(isinstance(one, HasWords) for one in others):
        return None
    scopes, parts = {Scope.ALL, *scopes_of(others)}, []
    leading = {index.fields[0] for index in table.indexes if index.scope in scopes}
    for branch in alternatives[0].criteria:
        within = conjuncts_of(branch)
        if not any(isinstance(one, Equals | OneOf) and one.field in leading for one in within):
            return None
        parts.append(where_of(table, [*others, *within]))
    return parts if parts and all(part.is_exact for part in parts) else None
