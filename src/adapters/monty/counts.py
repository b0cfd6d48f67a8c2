"""Counting: exact statements for the counts that the service asks for most, and cheap upper estimates."""

# ruff: noqa: S608 - statements are put together from the specs; values are parameters

from collections.abc import Sequence

from adapters.monty.criteria_sql import Sql, scopes_of, where_of
from adapters.monty.search import match_expression, searches_of, word_parameter
from adapters.monty.tables import Table, quoted
from adapters.records.criteria import AnyOf, Criterion, Equals, HasWords, OneOf, conjuncts_of, words_of
from adapters.records.record import IS_DELETED
from adapters.records.specs import Scope

LIVE = Equals(IS_DELETED, value=False)


def is_all_live(table: Table, conjuncts: list[Criterion]) -> bool:
    """Whether all live records are counted, which a row of `live_counts` answers."""
    return table.has_live_count and conjuncts == [LIVE] and conjuncts[0].value is False  # type: ignore[union-attr]


def count_statement(table: Table, conjuncts: list[Criterion]) -> Sql:
    """The statement whose only value is the count; where it is not exact, the matching documents instead."""
    words = _words_count(table, conjuncts)
    if words is not None:
        return words
    parts = union_parts(table, conjuncts)
    if parts is not None:
        selects = " UNION ".join(f"SELECT n FROM {table.name} WHERE {part.text}" for part in parts)
        params = tuple(value for part in parts for value in part.params)
        return Sql(f"SELECT count(*) FROM ({selects})", params)
    where = where_of(table, conjuncts)
    return Sql(
        f"SELECT {'count(*)' if where.is_exact else 'doc'} FROM {table.name} WHERE {where.text}",
        where.params,
        where.is_exact,
    )


def _words_count(table: Table, conjuncts: list[Criterion]) -> Sql | None:
    """For a single search among all or among live records: FTS5's hits less the stale rows and those in the trash."""
    searches = searches_of(table, conjuncts)
    others = [one for one in conjuncts if one not in searches]
    if len(searches) != 1 or not (others == [] or is_all_live(table, others)):
        return None
    (search,), words, name = searches, table.words, table.name
    hits = (
        f"SELECT count(*) FROM {words} WHERE {words} MATCH ? AND rowid NOT IN (SELECT n FROM {words}_stale)"
    )
    read = (
        f"SELECT count(*) FROM {words}_stale s CROSS JOIN {name} t ON t.n = s.n WHERE has_words(t.doc, ?, ?)"
    )
    if others:
        column = quoted(IS_DELETED)
        hits += f" AND rowid NOT IN (SELECT n FROM {name} INDEXED BY {name}_not_live WHERE {column} IS NOT 0)"
        read += f" AND t.{column} = 0"
    match = match_expression(words_of(search.text), search.lead)
    return Sql(f"SELECT ({hits}) + ({read})", (match, *word_parameter(table, search)))


def estimate_statement(table: Table, conjuncts: list[Criterion], limit: int) -> Sql:
    """Counts the rows that match, up to a limit; a row that matches several branches of an OR counts for each."""
    parts = union_parts(table, conjuncts) or [where_of(table, conjuncts)]
    selects = " UNION ALL ".join(f"SELECT 1 FROM {table.name} WHERE {part.text}" for part in parts)
    params = tuple(value for part in parts for value in part.params)
    return Sql(f"SELECT count(*) FROM (SELECT 1 FROM ({selects}) LIMIT {limit})", params)


def union_parts(table: Table, conjuncts: list[Criterion]) -> list[Sql] | None:
    """One condition for each branch of the only OR, where every branch starts from an index of its own.

    SQLite reads each row of an OR to join its branches; a UNION joins numbers that come from the indexes alone.
    """
    alternatives = [one for one in conjuncts if isinstance(one, AnyOf)]
    others = [one for one in conjuncts if not isinstance(one, AnyOf)]
    if len(alternatives) != 1 or any(isinstance(one, HasWords) for one in others):
        return None
    parts = []
    for branch in alternatives[0].criteria:
        within = conjuncts_of(branch)
        if not _is_indexed(table, others, within):
            return None
        parts.append(where_of(table, [*others, *within]))
    return parts if parts and all(part.is_exact for part in parts) else None


def _is_indexed(table: Table, others: Sequence[Criterion], branch: Sequence[Criterion]) -> bool:
    pinned = {one.field for one in branch if isinstance(one, Equals | OneOf)}
    scopes = {Scope.ALL, *scopes_of(list(others))}
    return any(index.fields[0] in pinned and index.scope in scopes for index in table.indexes)
