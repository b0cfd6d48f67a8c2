"""Criteria as MongoDB filters. BSON text compares by bytes, which is by code point."""

from collections.abc import Sequence
from typing import Any

from adapters.mongo.documents import DOCUMENT_ID, WORDS, WORDS_SEPARATOR
from adapters.records.criteria import (
    AllOf,
    AnyOf,
    Criterion,
    Equals,
    HasWords,
    Holds,
    IsNull,
    Lead,
    NotNull,
    OneOf,
    Order,
    Question,
    Range,
    after_position,
    conjuncts_of,
    words_of,
)
from adapters.records.record import ID, IS_ERASED

Filter = dict[str, Any]

_NOTHING: Filter = {DOCUMENT_ID: {"$in": []}}
_NO_TOMBSTONE = IsNull(IS_ERASED)


def filter_of(where: Criterion, *, has_text_index: bool) -> Filter:
    """The filter for the records that match and are no tombstones.

    A text index is queried for the longest word; the exact expressions then choose from that superset. MongoDB allows
    one such query, and none below an `$or`.
    """
    query = _compiled(AllOf((where, _NO_TOMBSTONE)))
    searches = [criterion.text for criterion in conjuncts_of(where) if isinstance(criterion, HasWords)]
    words = words_of(" ".join(searches))
    if has_text_index and words:
        return {"$text": {"$search": max(words, key=len)}, **query}
    return query


def question_filter(question: Question, *, has_text_index: bool) -> Filter:
    """The filter of a question, from its keyset position on."""
    where = question.where
    if question.after is not None:
        where = AllOf((where, after_position(question.order, question.after)))
    return filter_of(where, has_text_index=has_text_index)


def sort_of(order: Order) -> list[tuple[str, int]]:
    """The sort keys; MongoDB puts null and missing fields first ascending and last descending, as the algebra does."""
    direction = -1 if order.descending else 1
    if order.field == ID:
        return [(DOCUMENT_ID, direction)]
    return [(order.field, direction), (DOCUMENT_ID, direction)]


def _compiled(where: Criterion) -> Filter:
    match where:
        case AllOf(criteria):
            return _joined("$and", criteria, otherwise={})
        case AnyOf(criteria):
            return _joined("$or", criteria, otherwise=_NOTHING)
        case HasWords(text, lead):
            return _all_words(words_of(text), lead)
        case _:
            return {_path(where.field): _condition(where)}


def _condition(where: Equals | OneOf | IsNull | NotNull | Range | Holds) -> Filter:
    match where:
        case Equals(_, value):
            return {"$eq": value}
        case OneOf(_, values):
            return {"$in": list(values)}
        case IsNull():
            return {"$eq": None}
        case NotNull():
            return {"$ne": None}
        case Holds(_, value):
            return {"$elemMatch": {"$eq": value}}
        case Range():
            bounds = {"$gt": where.above, "$gte": where.at_least, "$lt": where.below, "$lte": where.at_most}
            return {operator: bound for operator, bound in bounds.items() if bound is not None} or {
                "$ne": None
            }


def _joined(operator: str, criteria: tuple[Criterion, ...], *, otherwise: Filter) -> Filter:
    if not criteria:
        return otherwise
    return _compiled(criteria[0]) if len(criteria) == 1 else {operator: [_compiled(one) for one in criteria]}


def _all_words(words: Sequence[str], lead: Lead | None) -> Filter:
    # Words are letters and digits only, so none of their characters is special in an expression.
    found: list[Filter] = [{WORDS: {"$regex": f"(?:^| ){word}(?: |$)"}} for word in words]
    leading: list[Filter] = [
        {WORDS: {"$regex": f"(?:^| ){word} [^{WORDS_SEPARATOR}]*[{WORDS_SEPARATOR}]"}} for word in words
    ]
    match lead:
        case Lead.ALL:
            found = leading
        case Lead.SOME:
            found += [{"$or": leading}, {"$nor": [{"$and": leading}]}] if words else [_NOTHING]
        case Lead.NONE:
            found += [{"$nor": leading}] if words else [_NOTHING]
    if not found:
        return {}
    return found[0] if len(found) == 1 else {"$and": found}


def _path(name: str) -> str:
    return DOCUMENT_ID if name == ID else name
