"""Keyset paging: a page starts after a position, never after a count."""

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
    """One field to order by (camelCase, as shown); the id always breaks ties."""

    field: str
    descending: bool = False


BY_RELEVANCE = Sort("relevance", descending=True)
"""Best first: what has all the words of a search in its title or name, then some of them, then none; the newest first
among these. Without words the newest first."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended: the sort field's value and the id of its last item."""

    value: SortValue
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """How much, in which order, after which position; `with_total` asks for an exact count."""

    limit: int = LIMIT_DEFAULT
    sort: Sort = Sort("createdAt", descending=True)
    after: Position | None = None
    with_total: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page; `next` is None at the end. `positions`: where each item stands, so that fewer of them can be shown;
    empty where that is not known.
    """

    items: Sequence[T]
    next: Position | None
    total: int | None = None
    positions: Sequence[Position] = ()

    def showing(self, form: Callable[[T], U | None]) -> "Page[U]":
        """The page with each item in another form, without those that have none."""
        forms = [form(item) for item in self.items]
        kept = [place for place, each in enumerate(forms) if each is not None]
        return Page(
            items=[each for each in forms if each is not None],
            next=self.next,
            total=self.total,
            positions=[self.positions[place] for place in kept] if self.positions else (),
        )
