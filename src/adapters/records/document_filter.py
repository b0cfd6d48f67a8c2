"""Criteria as filters in MongoDB's query language, which MontyDB's matcher speaks as well.

Text compares by bytes in BSON, which is by code point. Words are looked up among the tokens of a document.
"""

from typing import Any

from adapters.records.criteria import (
    AllOf,
    AnyOf,
    Criterion,
    Equals,
    HasWords,
    Holds,
    IsNull,
    NotNull,
    OneOf,
    Range,
    plain,
)
from adapters.records.record import ID
from adapters.records.search import Condition, Every, Except, Some, Token, condition_of

Filter = dict[str, Any]

DOCUMENT_ID = "_id"
WORDS = "_words"
"""The hidden field with the tokens of a record."""
NOTHING_MATCHES: Filter = {DOCUMENT_ID: {"$in": []}}


def filter_of(criterion: Criterion) -> Filter:
    """The filter of a criterion; {} if everything matches."""
    match criterion:
        case AllOf(criteria):
            return _all([filter_of(inner) for inner in criteria])
        case AnyOf(criteria):
            return _any([filter_of(inner) for inner in criteria])
        case HasWords(text, rank):
            condition = condition_of(text, rank)
            return {} if condition is None else _tokens(condition)
        case _:
            return {DOCUMENT_ID if criterion.field == ID else criterion.field: _condition(criterion)}


def _condition(criterion: Equals | OneOf | IsNull | NotNull | Range | Holds) -> Filter:
    match criterion:
        case Equals(_, value):
            return {"$eq": plain(value)}
        case OneOf(_, values):
            return {"$in": [plain(value) for value in values]}
        case IsNull() | NotNull():
            return {"$eq" if isinstance(criterion, IsNull) else "$ne": None}
        case Holds(_, value):
            # Not $elemMatch: MontyDB treats the characters of a text as elements.
            return {"$type": "array", "$eq": value}
        case Range():
            return _bounds(criterion)


def _bounds(criterion: Range) -> Filter:
    bounds = {
        "$gt": criterion.above,
        "$gte": criterion.at_least,
        "$lt": criterion.below,
        "$lte": criterion.at_most,
    }
    named = {operator: plain(value) for operator, value in bounds.items() if value is not None}
    return named or {"$ne": None}


def _tokens(condition: Condition) -> Filter:
    match condition:
        case Token(text, is_prefix):
            # Tokens are letters, digits and our own marks: no character is special in an expression.
            return {WORDS: {"$regex": f"^{text}"} if is_prefix else {"$eq": text}}
        case Every(parts):
            return _all([_tokens(part) for part in parts])
        case Some(parts):
            return _any([_tokens(part) for part in parts])
        case Except(found, left_out):
            return _all([_tokens(found), {"$nor": [_tokens(left_out)]}])


def _all(filters: list[Filter]) -> Filter:
    narrowing = [one for one in filters if one]
    if len(narrowing) < 2:
        return narrowing[0] if narrowing else {}
    return {"$and": narrowing}


def _any(filters: list[Filter]) -> Filter:
    if not filters:
        return NOTHING_MATCHES
    if len(filters) == 1:
        return filters[0]
    return {} if {} in filters else {"$or": filters}
