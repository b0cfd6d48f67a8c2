"""A search as a condition on the tokens of a record, which every store looks up in its own index of tokens."""

import re
from collections.abc import Set
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache

from adapters.records.words import EXACT, LEAD, NUMBER, ONLY_FOLDED, Word, words_of

WORDS_MAX = 32
"""The words of a search that count; the rest is ignored."""

_NUMBER = re.compile(r"(?<!\S)#0*([0-9]{1,18})(?!\S)")


class Rank(IntEnum):
    """The place of a found record: higher is better. "Exact" means that every word is written as it is searched:
    whole, and with the same accents.
    """

    ELSEWHERE = 0
    """No word is in the first text field, the title or the name."""
    ELSEWHERE_EXACT = 1
    PARTLY = 2
    """Some words are in the title, but not all."""
    PARTLY_EXACT = 3
    TITLE = 4
    """All words are in the title."""
    TITLE_EXACT = 5
    NUMBER = 6
    """It has the display number that is searched."""


@dataclass(frozen=True, slots=True)
class Token:
    """The record has this token, or one that begins with it."""

    text: str
    is_prefix: bool = False


@dataclass(frozen=True, slots=True)
class Every:
    """All parts hold."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Except:
    """`found` holds, and `left_out` does not."""

    found: "Condition"
    left_out: "Condition"


Condition = Token | Every | Some | Except
NOTHING = Some(())
"""The condition that no record fulfils; it is never a part of another one."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a search. `number`: it was written as a display number, #17."""

    word: Word
    is_prefix: bool = False
    number: str | None = None

    @property
    def found(self) -> Condition:
        """The record has the word."""
        token = Token(self.word.folded, self.is_prefix)
        return token if self.number is None else Some((token, Token(NUMBER + self.number)))

    @property
    def leads(self) -> Condition:
        """The word is in the first text field."""
        return Token(LEAD + self.word.folded, self.is_prefix)


@lru_cache(1_024)
def terms_of(text: str) -> tuple[Term, ...]:
    """The distinct words of a search. The last one may be the beginning of a word, unless it is a display number.

    A letter of a script without spaces always counts as a beginning, because it is followed by another one.
    """
    terms: list[Term] = []
    end = 0
    for number in _NUMBER.finditer(text):
        terms += _plain_terms(text[end : number.start()])
        terms += (Term(word, number=number[1]) for word in words_of(number[1]))
        end = number.end()
    terms += _plain_terms(text[end:])
    if terms and terms[-1].number is None and terms[-1].word.letters is None:
        terms[-1] = replace(terms[-1], is_prefix=True)
    return tuple(dict.fromkeys(terms))[:WORDS_MAX]


def _plain_terms(text: str) -> list[Term]:
    return [Term(word, is_prefix=word.letters == 1) for word in words_of(text)]


def ranks_of(text: str) -> tuple[Rank, ...]:
    """The ranks that found records can have, the worst first."""
    terms = terms_of(text)
    if not terms:
        return (Rank.TITLE_EXACT,)
    partly = (Rank.PARTLY, Rank.PARTLY_EXACT) if len(terms) > 1 else ()
    ranks = (Rank.ELSEWHERE, Rank.ELSEWHERE_EXACT, *partly, Rank.TITLE, Rank.TITLE_EXACT)
    return (*ranks, Rank.NUMBER) if any(term.number for term in terms) else ranks


@lru_cache(4_096)
def condition_of(text: str, rank: Rank | None) -> Condition | None:
    """The condition of a search, or of its records with this rank; None where every record matches."""
    terms = terms_of(text)
    if not terms:
        return None if rank in (None, Rank.TITLE_EXACT) else NOTHING
    found = Every(tuple(term.found for term in terms))
    numbers = tuple(Token(NUMBER + term.number) for term in terms if term.number)
    if rank is None:
        return found
    if rank is Rank.NUMBER:
        return Every((found, Some(numbers))) if numbers else NOTHING
    ranked = _ranked(found, terms, rank)
    return Except(ranked, Some(numbers)) if numbers else ranked


def whole_words_of(text: str) -> Condition | None:
    """A condition for some of the records that a search finds: those with all words whole. It needs no prefix."""
    tokens = tuple(Token(term.word.folded, term.word.letters == 1) for term in terms_of(text))
    return Every(tokens) if tokens else None


def whole_part_of(text: str) -> Condition | None:
    """A condition for more records than a search finds, with its whole words only; None where it says nothing less, or
    nothing at all.
    """
    terms = terms_of(text)
    whole = tuple(Token(term.word.folded) for term in terms if not (term.is_prefix or term.number))
    return Every(whole) if 0 < len(whole) < len(terms) else None


def _ranked(found: Condition, terms: tuple[Term, ...], rank: Rank) -> Condition:
    leads = tuple(term.leads for term in terms)
    match rank:
        case Rank.TITLE_EXACT:
            return _exact(terms, in_title=True)
        case Rank.TITLE:
            return Except(Every((found, *leads)), _exact(terms, in_title=True))
        case Rank.PARTLY | Rank.PARTLY_EXACT:
            placed = Except(Every((found, Some(leads))), Every(leads))
        case _:
            placed = Except(found, Some(leads))
    exact = _exact(terms)
    is_exact = rank in (Rank.PARTLY_EXACT, Rank.ELSEWHERE_EXACT)
    return Every((placed, exact)) if is_exact else Except(placed, exact)


def _exact(terms: tuple[Term, ...], *, in_title: bool = False) -> Condition:
    """Every word is written as it is searched, and stands whole in the title where that is asked."""
    needed: list[Condition] = []
    others: list[Condition] = []
    for word in (term.word for term in terms):
        needed.append(Token((LEAD if in_title else "") + word.folded, word.letters == 1))
        if word.letters == 1:
            continue
        if word.exact != word.folded:
            needed.append(Token(EXACT + word.exact))
        else:
            others.append(Token(ONLY_FOLDED + word.folded))
    return Except(Every(tuple(needed)), Some(tuple(others))) if others else Every(tuple(needed))


def holds(condition: Condition | None, tokens: Set[str]) -> bool:
    """Whether a record with these tokens fulfils the condition."""
    match condition:
        case None:
            return True
        case Token(text, is_prefix):
            return text in tokens or (is_prefix and any(token.startswith(text) for token in tokens))
        case Every(parts):
            return all(holds(part, tokens) for part in parts)
        case Some(parts):
            return any(holds(part, tokens) for part in parts)
        case Except(found, left_out):
            return holds(found, tokens) and not holds(left_out, tokens)
