"""Searches by word: what can be looked for, and the order of what is found."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, Literal, Protocol

from msgspec import Meta, Struct

from application.paging import BY_RELEVANCE
from domain.errors import Violation

TEXT_LENGTH_MAX = 500

RELEVANCE: Final[Literal["relevance"]] = "relevance"

Text = Annotated[
    str,
    Meta(
        max_length=TEXT_LENGTH_MAX,
        description="Words that must all occur: runs of letters and digits. Empty means everything; "
        "a text without any word is refused.",
    ),
]
Search = Annotated[
    str,
    Meta(
        max_length=TEXT_LENGTH_MAX,
        description="Words of the name, or one whole e-mail address. Empty means everybody; "
        "a text without any word is refused.",
    ),
]


class Searched(Protocol):
    """A query with words, whose items can come in the order of their relevance."""

    usual_order: ClassVar[str]
    """The order where neither words nor an order are given."""

    @property
    def q(self) -> str | None: ...

    @property
    def sort(self) -> str | None: ...


def order_told(usual: str) -> Meta:
    """What a list says about its orders."""
    return Meta(
        description="`relevance` needs `q`: what has all its words in the title or name comes first, then what has "
        "some of them there, then the rest; the newest first among these. Without `sort` the order is "
        f"`relevance` where `q` is given, and `{usual}` otherwise."
    )


def order_of(query: Searched) -> str:
    """The order that is asked for; where none is, a search has the best first."""
    if query.sort is not None:
        return query.sort
    return RELEVANCE if query.q else query.usual_order


def search_violations(query: Struct) -> Iterator[Violation]:
    """What is wrong with the words of a query, and with an order that would need words."""
    for name in ("q", "search"):
        text = getattr(query, name, None)
        if text and not _holds_word(text):
            # Without this it would find everything, which is the opposite of what was looked for.
            yield Violation(f"/{name}", "holds no word to look for: a word is made of letters and digits")
    if getattr(query, "sort", None) == BY_RELEVANCE.field and not getattr(query, "q", None):
        yield Violation("/sort", "can be relevance only where q holds the words to look for")


def _holds_word(text: str) -> bool:
    return any(character.isalnum() for character in text)
