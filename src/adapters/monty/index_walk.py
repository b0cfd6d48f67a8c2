"""Ways through the indexes of a collection that meet every match of a question, and perhaps others."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import merge
from itertools import islice
from typing import Protocol

from adapters.monty.collection_indexes import TOP, OrderedIndex, rank
from adapters.monty.sorted_keys import Key
from adapters.records.criteria import Criterion


class Found(Protocol):
    """Ids that were found by themselves, asked one by one or told all at once. Valid until the next change."""

    @property
    def estimate(self) -> int:
        """About how many there are, known at once."""
        ...

    def __contains__(self, record_id: str) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Stretch:
    """The keys of one index that begin with a prefix, within bounds of what follows it."""

    index: OrderedIndex
    prefix: Key
    low: Key = ()
    high: Key = (TOP,)

    @property
    def size(self) -> int:
        """How many records it holds."""
        return self.index.keys.count((*self.prefix, *self.low), (*self.prefix, *self.high))

    def ids(self) -> Iterator[str]:
        """The records it holds."""
        found = self.index.keys.between((*self.prefix, *self.low), (*self.prefix, *self.high))
        return (key[-1][1] for key in found)

    def tails(self, position: Key | None, *, descending: bool) -> Iterator[Key]:
        """What follows the prefix in each key, beyond a position; its last part holds the id."""
        low, high, width = self.low, self.high, len(self.prefix)
        if position is not None and descending:
            high = min(high, position)
        elif position is not None:
            low = max(low, (*position, TOP))
        found = self.index.keys.between((*self.prefix, *low), (*self.prefix, *high), descending=descending)
        return (key[width:] for key in found)


@dataclass(frozen=True)
class Plan:
    """Stretches that hold every match, perhaps with others, and perhaps some records more than once.

    `rest`: what the stretches and what was found do not decide; where nothing is left, everything in them matches.
    `found`: what a record must be among as well; where `stretches` is None, nothing else narrows the candidates.
    `is_ordered`: each stretch stands in the question's order behind its prefix, so a page costs the page.
    """

    stretches: tuple[Stretch, ...] | None
    rest: tuple[Criterion, ...]
    is_ordered: bool = False
    found: Found | None = None

    @property
    def is_exact(self) -> bool:
        """Whether everything in it matches."""
        return not self.rest

    @cached_property
    def size(self) -> int:
        """How many keys the stretches hold: no fewer than there are candidates. Of what was found it is an estimate.
        Looked up once: ways are compared by it again and again.
        """
        if self.stretches is None:
            return 0 if self.found is None else self.found.estimate
        return sum(stretch.size for stretch in self.stretches)

    @property
    def candidates_max(self) -> int:
        """About how many records it may come to at most."""
        return self.size if self.found is None else min(self.size, self.found.estimate)

    def ids(self) -> list[str]:
        """All candidates once, in no order that means anything."""
        among, stretches = self.found, self.stretches
        if stretches is None:
            return list(among or ())
        found = (one for stretch in stretches for one in stretch.ids())
        distinct = found if self._is_apart else dict.fromkeys(found)
        return list(distinct) if among is None else [one for one in distinct if one in among]

    def count(self) -> int:
        """How many candidates there are."""
        if self.stretches is None:
            return 0 if self.found is None else len(self.found)
        return self.size if self.found is None and self._is_apart else len(self.ids())

    def walk(self, position: Key | None, limit: int, *, descending: bool) -> list[Key]:
        """At most `limit` places after one, in the question's order, whatever was found there."""
        if self.stretches is None:
            return self._walk_found(position, limit, descending=descending)
        walks = [stretch.tails(position, descending=descending) for stretch in self.stretches]
        if len(walks) == 1:
            return list(islice(walks[0], limit))
        return list(islice(_distinct(merge(*walks, reverse=descending)), limit))

    def _walk_found(self, position: Key | None, limit: int, *, descending: bool) -> list[Key]:
        """The same through what was found, in the order of their ids."""
        ids: Iterable[str] = self.found or ()
        if position is not None:
            last = position[-1][1]
            ids = [one for one in ids if (one < last if descending else one > last)]
        return [(rank(one),) for one in sorted(ids, reverse=descending)[:limit]]

    @property
    def _is_apart(self) -> bool:
        """Two stretches of one index have nothing in common; those of several may."""
        return len({id(stretch.index) for stretch in self.stretches or ()}) < 2

    def among(self, keys: Sequence[Key]) -> list[str]:
        """The ids of those places that were found, too."""
        ids = [key[-1][1] for key in keys]
        among = None if self.stretches is None else self.found
        return ids if among is None else [one for one in ids if one in among]


class FoundByIndex:
    """What an exact way comes to, to be looked up while walking in another order."""

    def __init__(self, way: Plan) -> None:
        self.way = way

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(self.way.ids())

    @property
    def estimate(self) -> int:
        return self.way.size

    def __contains__(self, record_id: str) -> bool:
        return record_id in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def _distinct(keys: Iterator[Key]) -> Iterator[Key]:
    """Keys that follow each other in order, each once."""
    last: Key | None = None
    for key in keys:
        if key != last:
            yield key
        last = key
