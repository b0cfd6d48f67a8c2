"""Keyset paging: a page starts after a position, not after a count."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

LIMIT_MAX = 200
LIMIT_DEFAULT = 20

T = TypeVar("T")
U = TypeVar("U")
SortValue = str | int | datetime | None


@dataclass(frozen=True, slots=True)
class Sort:
    """One field to sort by (in camelCase, as in responses); the id breaks ties."""

    field: str
    descending: bool = False


BY_RELEVANCE = Sort("relevance", descending=True)
"""All the words of a search in the title or name first, then some of them, then none; within these the newest first.
Without words the newest first."""


@dataclass(frozen=True, slots=True)
class Position:
    """The end of a page: the sort field's value and the id of its last item."""

    value: SortValue
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """A request for one page; `with_total` asks for an exact count."""

    limit: int = LIMIT_DEFAULT
    sort: Sort = Sort("createdAt", descending=True)
    after: Position | None = None
    with_total: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page; `next` is None at the end. `positions` has the position of each item, so that a response can end at any
    of them; it is empty if they are unknown.
    """

    items: Sequence[T]
    next: Position | None
    total: int | None = None
    positions: Sequence[Position] = ()

    def showing(self, convert: Callable[[T], U | None]) -> "Page[U]":
        """The page with converted items, without those that convert to None."""
        converted = [convert(item) for item in self.items]
        kept = [place for place, each in enumerate(converted) if each is not None]
        return Page(
            items=[each for each in converted if each is not None],
            next=self.next,
            total=self.total,
            positions=[self.positions[place] for place in kept] if self.positions else (),
        )
