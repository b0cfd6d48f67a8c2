"""Keyset paging: a page starts after a position, never after a count."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

LIMIT_MAX = 200
LIMIT_DEFAULT = 20

T = TypeVar("T")
SortValue = str | int | datetime | None


@dataclass(frozen=True, slots=True)
class Sort:
    """One field to order by (camelCase, as shown); the id always breaks ties."""

    field: str
    descending: bool = False


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
    """One page; `next` is None at the end."""

    items: Sequence[T]
    next: Position | None
    total: int | None = None
