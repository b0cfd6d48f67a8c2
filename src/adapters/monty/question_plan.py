"""Which records may answer a question, and in which order to look at them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from adapters.monty.collection_indexes import NOTHING, TOP, OrderedIndex, Rank, rank
from adapters.monty.index_walk import FoundByIndex, Plan, Stretch
from adapters.monty.sorted_keys import Key
from adapters.monty.word_search import FoundByWords
from adapters.records.criteria import (
    AnyOf,
    Criterion,
    Equals,
    HasWords,
    IsNull,
    Lead,
    OneOf,
    Order,
    Range,
    conjuncts_of,
    words_of,
)
from adapters.records.record import ID

STRETCHES_MAX = 1_000
"""The most separate stretches of indexes that one question walks."""
KEYS_PER_DOCUMENT = 20
"""How many keys of an index are passed in the time in which one document is read."""
KEYS_PER_MATCH = 60
"""How many in the time in which one is read and matched."""

_PINNING = (Equals, OneOf, IsNull)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Criteria that must hold all at once, and what they say of single fields."""

    criteria: tuple[Criterion, ...]
    pins: Mapping[str, tuple[Rank, ...]]
    ranges: Mapping[str, tuple[Rank, Rank]]


def plan(
    orders: Sequence[OrderedIndex],
    where: Criterion,
    *,
    order: Order,
    limit: int,
    words: FoundByWords | None = None,
) -> Plan:
    """The cheapest way: along the order where that ends soon, otherwise through the fewest candidates.

    The first index must be the one by id, which holds everything. `words` is what the searches come to.
    """
    wanted = _conjuncts(where, words)
    along = _best_along(orders, wanted, order)
    if along is not None and along.is_exact and words is None:
        return along
    fewest = _fewest_by_any(orders, wanted, words)
    ways = [(_reading_cost(fewest), fewest)]
    if along is not None and words is None and fewest.is_exact:
        along = replace(along, rest=(), found=FoundByIndex(fewest))
        ways.append((fewest.size + _walking_cost(along, fewest, limit), along))
    elif along is not None:
        along = replace(along, found=words)
        ways.append((_walking_cost(along, fewest, limit), along))
    if words is not None and order.field == ID:
        by_words = replace(_by_words(wanted, words), is_ordered=True)
        ways.append((_walking_cost(by_words, fewest, limit) + words.estimate, by_words))
    return min(reversed(ways), key=lambda priced: priced[0])[1]


def plan_unordered(
    orders: Sequence[OrderedIndex], where: Criterion, *, words: FoundByWords | None = None
) -> Plan:
    """The way through the fewest candidates, in any order."""
    return _fewest_by_any(orders, _conjuncts(where, words), words)


def has_order(orders: Sequence[OrderedIndex], where: Criterion, order: Order) -> bool:
    """Whether the matches can be walked in this order."""
    return _best_along(orders, _conjuncts(where), order) is not None


def searches_in(where: Criterion) -> list[HasWords]:
    """The searches for words that every match fulfils."""
    return [one for one in conjuncts_of(where) if isinstance(one, HasWords) and words_of(one.text)]


def position_of(order: Order, record_id: str, value: object) -> Key:
    """Where a record stands in an order: the part of an index key behind the prefix."""
    return (rank(record_id),) if order.field == ID else (rank(value), rank(record_id))


def _walking_cost(along: Plan, fewest: Plan, limit: int) -> int:
    """What a page along the order costs, in keys, where the matches are as many as may be and lie evenly."""
    matches = max(1, min(fewest.candidates_max, along.candidates_max))
    keys = along.size if matches < limit else min(along.size, limit * along.size // matches)
    if along.is_exact:
        return keys + min(limit, matches) * KEYS_PER_DOCUMENT
    held = keys if along.found is None else keys * along.candidates_max // max(1, along.size)
    return keys + held * KEYS_PER_MATCH


def _reading_cost(way: Plan) -> int:
    """What it costs to read every candidate, in keys."""
    return way.size + way.candidates_max * (KEYS_PER_DOCUMENT if way.is_exact else KEYS_PER_MATCH)


def _fewest_by_any(
    orders: Sequence[OrderedIndex], wanted: Sequence[Criterion], words: FoundByWords | None
) -> Plan:
    """The fewest candidates of the indexes and the words together."""
    by_index = _smallest(_unions(wanted, lambda criteria: _fewest(orders, _told(criteria))))
    if by_index is None:
        raise LookupError("the index by id serves every question")
    if words is None:
        return by_index
    return min(replace(by_index, found=words), _by_words(wanted, words), key=_reading_cost)


def _by_words(wanted: Sequence[Criterion], words: FoundByWords) -> Plan:
    """What holds the words, whatever the indexes say."""
    rest = tuple(criterion for criterion in wanted if criterion not in words.decided)
    return Plan(None, rest, found=words)


def _best_along(orders: Sequence[OrderedIndex], wanted: Sequence[Criterion], order: Order) -> Plan | None:
    """A way in the question's order that leaves nothing to check, however much it holds: a page of it costs the page.
    Where there is none, the smallest.
    """
    tail = (ID,) if order.field == ID else (order.field, ID)
    standing = [index for index in orders if index.fields[-len(tail) :] == tail]
    return _exact_or_smallest(_unions(wanted, lambda criteria: _along(standing, _told(criteria), order)))


def _exact_or_smallest(ways: Sequence[Plan]) -> Plan | None:
    return _smallest([way for way in ways if way.is_exact] or ways)


def _smallest(ways: Sequence[Plan]) -> Plan | None:
    # Sizes have to be looked up: a way without a rival is not asked for its own.
    if len(ways) < 2:
        return ways[0] if ways else None
    return min(ways, key=lambda way: (way.size, len(way.rest)))


def _unions(wanted: Sequence[Criterion], way_of: Callable[[Sequence[Criterion]], Plan | None]) -> list[Plan]:
    """The plain way, and the ways that go through the branches of one "any of" after another."""
    ways = [way_of(wanted)]
    for at, criterion in enumerate(wanted):
        if isinstance(criterion, AnyOf) and criterion.criteria:
            others = [*wanted[:at], *wanted[at + 1 :]]
            branches = [way_of([*others, *_conjuncts(branch)]) for branch in criterion.criteria]
            ways.append(_union(criterion, others, branches))
    return [way for way in ways if way is not None]


def _union(any_of: AnyOf, others: Sequence[Criterion], branches: Sequence[Plan | None]) -> Plan | None:
    """All branches together, or None where one of them has no such way."""
    stretches: dict[tuple[int, Key, Key, Key], Stretch] = {}
    undecided: list[Criterion] = []
    for branch in branches:
        if branch is None or branch.stretches is None:
            return None
        undecided += branch.rest
        for one in branch.stretches:
            stretches[id(one.index), one.prefix, one.low, one.high] = one
    if len(stretches) > STRETCHES_MAX:
        return None
    rest = [criterion for criterion in others if criterion in undecided]
    if any(criterion not in others for criterion in undecided):
        rest.append(any_of)
    is_ordered = all(branch is not None and branch.is_ordered for branch in branches)
    return Plan(tuple(stretches.values()), tuple(rest), is_ordered=is_ordered)


def _conjuncts(where: Criterion, words: FoundByWords | None = None) -> list[Criterion]:
    """What must hold all at once, less the searches that are done."""
    done = [] if words is None else searches_in(where)
    return [one for one in conjuncts_of(where) if one not in done and not _is_no_search(one)]


def _is_no_search(criterion: Criterion) -> bool:
    if not isinstance(criterion, HasWords) or criterion.lead not in (None, Lead.ALL):
        return False
    return not words_of(criterion.text)


def _told(criteria: Sequence[Criterion]) -> _Wanted:
    return _Wanted(tuple(criteria), _pins(criteria), _ranges(criteria))


def _pins(wanted: Iterable[Criterion]) -> dict[str, tuple[Rank, ...]]:
    """For each field that can hold a few values only, those. Where a field is pinned twice, once is enough."""
    pins: dict[str, tuple[Rank, ...]] = {}
    for criterion in wanted:
        if isinstance(criterion, Equals):
            pins[criterion.field] = (rank(criterion.value),)
        elif isinstance(criterion, IsNull):
            pins[criterion.field] = (NOTHING,)
        elif isinstance(criterion, OneOf):
            pins.setdefault(criterion.field, tuple(dict.fromkeys(map(rank, criterion.values))))
    return pins


def _ranges(wanted: Iterable[Criterion]) -> dict[str, tuple[Rank, Rank]]:
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


def _serves(index: OrderedIndex, wanted: _Wanted) -> bool:
    """Whether the index holds everything that may match."""
    for name, values in index.form.held:
        asked = wanted.pins.get(name)
        if asked is None:
            # A range leaves out nulls.
            if values or name not in wanted.ranges:
                return False
        elif not values.issuperset(asked) if values else NOTHING in asked:
            return False
    return True


def _fewest(orders: Sequence[OrderedIndex], wanted: _Wanted) -> Plan:
    led = [
        index
        for index in orders[1:]
        if (index.fields[0] in wanted.pins or index.fields[0] in wanted.ranges) and _serves(index, wanted)
    ]
    candidates = [_narrowest(index, wanted) for index in (orders[0], *led)]
    return min(candidates, key=lambda made: (made.size, not made.is_exact))


def _narrowest(index: OrderedIndex, wanted: _Wanted) -> Plan:
    """The fewest records of this index that hold every match."""
    width = _pinned_width(index.fields, wanted.pins)
    bounds = wanted.ranges.get(index.fields[width]) if width < len(index.fields) else None
    return _bounded(index, index.fields[:width], wanted, bounds)


def _along(standing: Sequence[OrderedIndex], wanted: _Wanted, order: Order) -> Plan | None:
    """The best of the indexes that end in the question's order, or None where none of them serves."""
    pins, bounds = wanted.pins, wanted.ranges.get(order.field)
    if (values := pins.get(order.field)) is not None:
        bounds = (min(values, default=TOP), max(values, default=TOP))
    behind = -1 if order.field == ID else -2
    ways = []
    for index in standing:
        lead = index.fields[:behind]
        # Most are passed over here, and at once: every page of every list comes by.
        if lead and (lead[0] not in pins or lead[-1] not in pins):
            continue
        if _pinned_width(lead, pins) == len(lead) and _serves(index, wanted):
            ways.append(_bounded(index, lead, wanted, bounds, is_ordered=True))
    return _exact_or_smallest(ways)


def _bounded(
    index: OrderedIndex,
    lead: Sequence[str],
    wanted: _Wanted,
    bounds: tuple[Rank, Rank] | None,
    *,
    is_ordered: bool = False,
) -> Plan:
    """The stretches of an index where its leading fields are pinned and the next lies within bounds."""
    low, high = ((), (TOP,)) if bounds is None else ((bounds[0],), (bounds[1], TOP))
    prefixes = product(*[wanted.pins[name] for name in lead])
    stretches = tuple([Stretch(index, prefix, low, high) for prefix in prefixes])
    return Plan(stretches, _undecided(lead, wanted.criteria), is_ordered=is_ordered)


def _pinned_width(fields: Sequence[str], pins: Mapping[str, tuple[Rank, ...]]) -> int:
    """How many leading fields are pinned without making too many stretches."""
    width, stretches = 0, 1
    for name in fields:
        if name not in pins:
            break
        stretches *= len(pins[name])
        if stretches > STRETCHES_MAX:
            break
        width += 1
    return width


def _undecided(fields: Sequence[str], wanted: Sequence[Criterion]) -> tuple[Criterion, ...]:
    """What is left to check where these fields are pinned; of a field that is asked about twice, everything."""
    pinned = [one.field for one in wanted if isinstance(one, _PINNING) and one.field in fields]
    return tuple([one for one in wanted if not isinstance(one, _PINNING) or pinned.count(one.field) != 1])
