"""Criteria as MontyDB filters. `adapters.records.criteria` defines their meaning."""

from enum import Enum
from typing import Any

from adapters.monty.document import DOCUMENT_ID
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
    Range,
    Scalar,
    words_of,
)
from adapters.records.record import ID

DocumentQuery = dict[str, Any]

NOTHING_MATCHES: DocumentQuery = {DOCUMENT_ID: {"$in": []}}

_LETTER_OR_DIGIT = r"[^\W_]"
_OTHER_CAPITALS = {"k": "\u212a", "å": "\u212b", "ω": "\u2126", "ß": "\u1e9e", "θ": "\u03f4"}
"""Further capitals of a lower-case letter, besides the usual one."""
_SIGMAS = "σςΣ"


def document_query(criterion: Criterion, text_fields: tuple[str, ...]) -> DocumentQuery:
    """The filter of a criterion; {} if everything matches."""
    match criterion:
        case AllOf(criteria):
            return _all([document_query(inner, text_fields) for inner in criteria])
        case AnyOf(criteria):
            return _any([document_query(inner, text_fields) for inner in criteria])
        case HasWords(text, lead):
            found = [_has_word(word, text_fields) for word in words_of(text)]
            return _all(found) if lead is None else _all([*found, *_led(text, lead, text_fields[:1])])
        case _:
            return {DOCUMENT_ID if criterion.field == ID else criterion.field: _condition(criterion)}


def _condition(criterion: Equals | OneOf | IsNull | NotNull | Range | Holds) -> DocumentQuery:
    match criterion:
        case Equals(_, value):
            return {"$eq": _plain(value)}
        case OneOf(_, values):
            return {"$in": [_plain(value) for value in values]}
        case IsNull() | NotNull():
            return {"$eq" if isinstance(criterion, IsNull) else "$ne": None}
        case Holds(_, value):
            # Not $elemMatch: MontyDB treats the characters of a text as elements.
            return {"$type": "array", "$eq": value}
        case Range():
            return _bounds(criterion)


def _bounds(criterion: Range) -> DocumentQuery:
    bounds = {
        "$gt": criterion.above,
        "$gte": criterion.at_least,
        "$lt": criterion.below,
        "$lte": criterion.at_most,
    }
    named = {operator: _plain(value) for operator, value in bounds.items() if value is not None}
    return named or {"$ne": None}


def _all(queries: list[DocumentQuery]) -> DocumentQuery:
    narrowing = [query for query in queries if query]
    if len(narrowing) < 2:
        return narrowing[0] if narrowing else {}
    return {"$and": narrowing}


def _any(queries: list[DocumentQuery]) -> DocumentQuery:
    if not queries:
        return NOTHING_MATCHES
    return {} if {} in queries else {"$or": queries}


def _has_word(word: str, text_fields: tuple[str, ...]) -> DocumentQuery:
    pattern = word_pattern(word)
    return _any([{name: {"$regex": pattern}} for name in text_fields])


def _led(text: str, lead: Lead, first_field: tuple[str, ...]) -> list[DocumentQuery]:
    """The conditions for this many of the words in the first field."""
    leading = [_has_word(word, first_field) for word in words_of(text)]
    match lead:
        case Lead.ALL:
            return leading
        case Lead.SOME:
            return [_any(leading), {"$nor": [_all(leading)]}]
        case Lead.NONE:
            return [{"$nor": leading}] if leading else [NOTHING_MATCHES]


def word_pattern(word: str) -> str:
    """A regular expression that finds the word exactly where `words_of` finds it, in any case.

    The flag IGNORECASE would also match a dotless i with an i. A capital sigma has two lower-case letters, and matches
    both.
    """
    # The lower case of a dotted capital I is an i and a mark, and a mark ends a word.
    start = "(?<![^\\W_\u0130])"
    end = f"(?!{_LETTER_OR_DIGIT})"
    letters = "".join(_letter(char) for char in word[:-1])
    last = f"(?:{_letter(word[-1])}{end}|\u0130)" if word[-1] == "i" else _letter(word[-1]) + end
    return start + letters + last


def _letter(char: str) -> str:
    """A character class of the letters that have this one as their lower case."""
    if char in _SIGMAS:
        return f"[{_SIGMAS}]"
    forms = {char, char.upper(), char.title(), *_OTHER_CAPITALS.get(char, "")}
    same = sorted(form for form in forms if len(form) == 1 and form.lower() == char)
    return f"[{''.join(same)}]" if len(same) > 1 else same[0]


def _plain(value: Scalar) -> Scalar:
    # MontyDB looks up types by their exact class, so it would not recognize a member of an enumeration.
    plain: Scalar = value.value if isinstance(value, Enum) else value
    return plain
