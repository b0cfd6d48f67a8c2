"""Which records may answer a question, and in which order to look at them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice, product
from math import prod

from adapters.monty.collection_indexes import NOTHING, TOP, OrderedIndex, Rank, rank
from adapters.monty.sorted_keys import Key
from adapters.records.criteria import (
    AllOf,
    Criterion,
    Equals,
    HasWords,
    IsNull,
    OneOf,
    Order,
    Range,
    words_of,
)
from adapters.records.record import ID

PREFIXES_MAX = 1_000
"""The most separate stretches of an index that one question walks."""

_PINNING = Equals | OneOf | IsNull


@dataclass(frozen=True, slots=True)
class Plan:
    """Stretches of one index that hold every match, perhaps with others.

    `rest`: what the stretches do not decide; where nothing is left, everything in them matches.
    `is_ordered`: the index stands in the question's order behind the prefixes, so a page costs the page.
    """

    index: OrderedIndex
    prefixes: tuple[Key, ...]
    rest: tuple[Criterion, ...]
    low: Key = ()
    high: Key = (TOP,)
    is_ordered: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether everything in the stretches matches."""
        return not self.rest

    @property
    def size(self) -> int:
        """How many records the stretches hold."""
        keys = self.index.keys
        return sum(keys.count((*prefix, *self.low), (*prefix, *self.high)) for prefix in self.prefixes)

    def ids(self) -> list[str]:
        """All of them, in no order that means anything."""
        between = self.index.keys.between
        stretches = (between((*prefix, *self.low), (*prefix, *self.high)) for prefix in self.prefixes)
        return [key[-1][1] for stretch in stretches for key in stretch]

    def walk(self, position: Key | None, limit: int, *, descending: bool) -> list[Key]:
        """At most `limit` positions after one, in the question's order; their last part holds the id."""
        low, high = self.low, self.high
        if position is not None and descending:
            high = min(high, position)
        elif position is not None:
            low = max(low, (*position, TOP))
        return list(islice(self._stretches(low, high, descending=descending), limit))

    def _stretches(self, low: Key, high: Key, *, descending: bool) -> Iterator[Key]:
        if not self.prefixes:
            return iter(())
        between, width = self.index.keys.between, len(self.prefixes[0])
        walks = [
            (key[width:] for key in between((*prefix, *low), (*prefix, *high), descending=descending))
            for prefix in self.prefixes
        ]
        return walks[0] if len(walks) == 1 else merge(*walks, reverse=descending)


def plan(orders: Sequence[OrderedIndex], where: Criterion, *, order: Order, limit: int) -> Plan:
    """The cheapest way: along the order where that ends soon, otherwise through the fewest candidates.

    The first index must be the one by id, which holds everything.
    """
    wanted = _conjuncts(where)
    pins, ranges = _pins(wanted), _ranges(wanted)
    orders = [index for index in orders if _serves(index, pins=pins, ranges=ranges)]
    fewest = _fewest(orders, wanted, pins=pins, ranges=ranges)
    in_order = [
        made
        for index in orders
        if (made := _along(index, wanted, pins=pins, ranges=ranges, order=order)) is not None
    ]
    if not in_order:
        return fewest
    along = min(in_order, key=lambda made: (made.size, not made.is_exact))
    # A page needs this many steps along the order, where all candidates match and lie evenly.
    steps = limit if along.is_exact else limit * along.size // max(1, fewest.size)
    return along if min(steps, along.size) <= fewest.size else fewest


def plan_unordered(orders: Sequence[OrderedIndex], where: Criterion) -> Plan:
    """The way through the fewest candidates, in any order."""
    wanted = _conjuncts(where)
    pins, ranges = _pins(wanted), _ranges(wanted)
    orders = [index for index in orders if _serves(index, pins=pins, ranges=ranges)]
    return _fewest(orders, wanted, pins=pins, ranges=ranges)


def position_of(order: Order, record_id: str, value: object) -> Key:
    """Where a record stands in an order: the part of an index key behind the prefix."""
    return (rank(record_id),) if order.field == ID else (rank(value), rank(record_id))


def _conjuncts(where: Criterion) -> list[Criterion]:
    """What must hold all at once."""
    if isinstance(where, AllOf):
        return [inner for criterion in where.criteria for inner in _conjuncts(criterion)]
    if isinstance(where, HasWords) and not words_of(where.text):
        return []
    return [where]


def _pins(wanted: Sequence[Criterion]) -> dict[str, tuple[Rank, ...]]:
    """For each field that can hold a few values only, those. Where a field is pinned twice, once is enough."""
    pins: dict[str, tuple[Rank, ...]] = {}
    for criterion in wanted:
        match criterion:
            case Equals(field, value):
                pins[field] = (rank(value),)
            case IsNull(field):
                pins[field] = (NOTHING,)
            case OneOf(field, values):
                pins.setdefault(field, tuple(dict.fromkeys(rank(value) for value in values)))
    return pins


def _ranges(wanted: Sequence[Criterion]) -> dict[str, tuple[Rank, Rank]]:
    """For each field that lies within bounds, the ranks at both ends, which belong to it."""
    ranges: dict[str, tuple[Rank, Rank]] = {}
    for criterion in wanted:
        if isinstance(criterion, Range):
            lowest = [value for value in (criterion.above, criterion.at_least) if value is not None]
            highest = [value for value in (criterion.below, criterion.at_most) if value is not None]
            low, high = ranges.get(criterion.field, ((1,), TOP))
            low = max([low, *map(rank, lowest)])
            ranges[criterion.field] = (low, min([high, *map(rank, highest)]))
    return ranges


def _serves(
    index: OrderedIndex, *, pins: Mapping[str, tuple[Rank, ...]], ranges: Mapping[str, tuple[Rank, Rank]]
) -> bool:
    """Whether the index holds everything that may match."""
    for name, values in index.form.held:
        asked = pins.get(name)
        if asked is None:
            # A range leaves out nulls.
            if values or name not in ranges:
                return False
        elif not values.issuperset(asked) if values else NOTHING in asked:
            return False
    return True


def _fewest(
    orders: Sequence[OrderedIndex],
    wanted: Sequence[Criterion],
    *,
    pins: Mapping[str, tuple[Rank, ...]],
    ranges: Mapping[str, tuple[Rank, Rank]],
) -> Plan:
    led = [index for index in orders[1:] if index.fields[0] in pins or index.fields[0] in ranges]
    candidates = [_narrowest(index, wanted, pins=pins, ranges=ranges) for index in (orders[0], *led)]
    return min(candidates, key=lambda made: (made.size, not made.is_exact))


def _narrowest(
    index: OrderedIndex,
    wanted: Sequence[Criterion],
    *,
    pins: Mapping[str, tuple[Rank, ...]],
    ranges: Mapping[str, tuple[Rank, Rank]],
) -> Plan:
    """The fewest records of this index that hold every match."""
    width = _pinned_width(index.fields, pins)
    rest = _undecided(index.fields[:width], wanted)
    prefixes = _prefixes(index.fields[:width], pins)
    bounds = ranges.get(index.fields[width]) if width < len(index.fields) else None
    if bounds is None:
        return Plan(index, prefixes, rest)
    return Plan(index, prefixes, rest, low=(bounds[0],), high=(bounds[1], TOP))


def _along(
    index: OrderedIndex,
    wanted: Sequence[Criterion],
    *,
    pins: Mapping[str, tuple[Rank, ...]],
    ranges: Mapping[str, tuple[Rank, Rank]],
    order: Order,
) -> Plan | None:
    """The part of this index that stands in the question's order, or None where it does not."""
    tail = (ID,) if order.field == ID else (order.field, ID)
    lead = index.fields[: -len(tail)]
    if index.fields[-len(tail) :] != tail or _pinned_width(lead, pins) < len(lead):
        return None
    prefixes = _prefixes(lead, pins)
    rest = _undecided(lead, wanted)
    if (values := pins.get(order.field)) is not None:
        bounds: tuple[Rank, Rank] | None = (min(values, default=TOP), max(values, default=TOP))
    else:
        bounds = ranges.get(order.field)
    if bounds is None:
        return Plan(index, prefixes, rest, is_ordered=True)
    return Plan(index, prefixes, rest, low=(bounds[0],), high=(bounds[1], TOP), is_ordered=True)


def _pinned_width(fields: Sequence[str], pins: Mapping[str, tuple[Rank, ...]]) -> int:
    """How many leading fields are pinned without making too many stretches."""
    width = 0
    while width < len(fields) and fields[width] in pins:
        width += 1
    while prod(len(pins[name]) for name in fields[:width]) > PREFIXES_MAX:
        width -= 1
    return width


def _prefixes(fields: Sequence[str], pins: Mapping[str, tuple[Rank, ...]]) -> tuple[Key, ...]:
    return tuple(product(*(pins[name] for name in fields)))


def _undecided(fields: Sequence[str], wanted: Sequence[Criterion]) -> tuple[Criterion, ...]:
    """What is left to check where these fields are pinned; of a field that is asked about twice, everything."""
    asked = Counter(criterion.field for criterion in wanted if isinstance(criterion, _PINNING))
    return tuple(
        criterion
        for criterion in wanted
        if not isinstance(criterion, _PINNING) or criterion.field not in fields or asked[criterion.field] > 1
    )
