"""The closed algebra of questions: every store compiles every operator here, and the contract suite covers each.

Null and missing are the same thing in a question. Text compares by code point, instants by time. Nulls come first in
ascending and last in descending order. Fields are record names.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from adapters.records.search import Rank

Scalar = str | int | bool | datetime


@dataclass(frozen=True, slots=True)
class Equals:
    """The field holds exactly this value; null never equals."""

    field: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field holds one of these values; with no values nothing matches."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class IsNull:
    """The field is null or missing."""

    field: str


@dataclass(frozen=True, slots=True)
class NotNull:
    """The field is present and not null."""

    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The field lies within the bounds that are set; null never does."""

    field: str
    above: Scalar | None = None
    at_least: Scalar | None = None
    below: Scalar | None = None
    at_most: Scalar | None = None


@dataclass(frozen=True, slots=True)
class Holds:
    """The field is a list that contains this text."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class HasWords:
    """Each word of the text occurs in one of the spec's text fields; see `search`. A text without words matches
    everything. `rank` leaves only the records of that rank.
    """

    text: str
    rank: Rank | None = None


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every criterion holds; without any, everything matches."""

    criteria: tuple["Criterion", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one criterion holds; without any, nothing matches."""

    criteria: tuple["Criterion", ...]


Criterion = Equals | OneOf | IsNull | NotNull | Range | Holds | HasWords | AllOf | AnyOf

EVERYTHING = AllOf(())


def conjuncts_of(where: Criterion) -> list[Criterion]:
    """The criteria that must all hold; none where everything matches."""
    if isinstance(where, AllOf):
        return [inner for criterion in where.criteria for inner in conjuncts_of(criterion)]
    return [where]


def has_search(where: Criterion) -> bool:
    """Whether words decide, at any place."""
    if isinstance(where, AllOf | AnyOf):
        return any(map(has_search, where.criteria))
    return isinstance(where, HasWords)


def plain(value: Scalar) -> Scalar:
    """The value as drivers take it: they know no members of enumerations."""
    bare: Scalar = value.value if isinstance(value, Enum) else value
    return bare


RELEVANCE = "$relevance"
"""The order of a search instead of a field: see `relevance`. Records found in this order carry their rank under this
name, which no field can have."""


@dataclass(frozen=True, slots=True)
class Order:
    """The field to sort by, or RELEVANCE; the id, in the same direction, always breaks ties."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """At most `limit` records of a collection, in order, after a keyset position (sort value, id)."""

    collection: str
    where: Criterion = EVERYTHING
    order: Order = Order("id")
    after: tuple[Scalar | None, str] | None = None
    limit: int


def after_position(order: Order, after: tuple[Scalar | None, str]) -> Criterion:
    """The criterion for records after a position in this order. No other code decides where nulls sort."""
    value, last_id = after
    beyond_id = Range(field="id", below=last_id) if order.descending else Range(field="id", above=last_id)
    if order.field == "id":
        return beyond_id
    if value is None:
        tie = AllOf((IsNull(order.field), beyond_id))
        return tie if order.descending else AnyOf((tie, NotNull(order.field)))
    tie = AllOf((Equals(order.field, value), beyond_id))
    if order.descending:
        return AnyOf((Range(field=order.field, below=value), IsNull(order.field), tie))
    return AnyOf((Range(field=order.field, above=value), tie))
