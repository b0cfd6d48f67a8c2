"""What a search for words comes to: asked record by record where many match, written out where few do."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from adapters.records.criteria import Criterion

Numbers = Sequence[int]
"""Numbers of records, ascending, each once."""

WRITTEN_OUT_MAX = 4_096
"""Up to how many records hold the rarest word where it is cheapest to know every match at once."""
SAMPLE = 256
FEW_IN_SAMPLE = 16
"""Below this many the sample says too little about how many match, so that they are counted."""

NONE_AT_ALL: Numbers = array("I")


@dataclass(frozen=True, slots=True, kw_only=True)
class WordTest:
    """The lists in which a number must stand: in each of `every`, and, where these are named, in one of `some`, not in
    each of `not_every`, in none of `none`.
    """

    every: tuple[Numbers, ...]
    some: tuple[Numbers, ...] = ()
    not_every: tuple[Numbers, ...] = ()
    none: tuple[Numbers, ...] = ()

    def holds(self, number: int) -> bool:
        """Whether one number passes."""
        return (
            all(_stands(numbers, number) for numbers in self.every)
            and not (self.some and not any(_stands(numbers, number) for numbers in self.some))
            and not (self.not_every and all(_stands(numbers, number) for numbers in self.not_every))
            and not any(_stands(numbers, number) for numbers in self.none)
        )

    def passing(self) -> set[int]:
        """All numbers that pass."""
        found = _in_each(self.every)
        if self.some:
            found.intersection_update({number for numbers in self.some for number in numbers})
        if self.not_every:
            found -= _in_each(self.not_every)
        for numbers in self.none:
            found.difference_update(numbers)
        return found


@dataclass(frozen=True, kw_only=True)
class FoundByWords:
    """The records that hold what was searched for. Valid until the next change.

    A record holds them where it passes every one of the `tests`. `decided` are the criteria that need not be asked of
    it again, `apart` the numbers that are not alive, with what they are instead, `known` those about which the lists
    do not tell, with the answer.
    """

    ids: Sequence[str]
    numbers: Mapping[str, int]
    tests: tuple[WordTest, ...]
    decided: tuple[Criterion, ...]
    is_deleted: bool | None
    apart: Mapping[int, bool | None]
    known: Mapping[int, bool] = field(default_factory=dict)

    def __contains__(self, record_id: str) -> bool:
        number = self.numbers.get(record_id)
        if number is None or (
            self.is_deleted is not None and self.apart.get(number, False) is not self.is_deleted
        ):
            return False
        if self._has_few:
            return number in self._matches
        answer = self.known.get(number)
        return self._passes(number) if answer is None else answer

    def __iter__(self) -> Iterator[str]:
        return (self.ids[number] for number in self._matches)

    def __len__(self) -> int:
        """How many match, exactly."""
        return len(self._matches)

    @cached_property
    def estimate(self) -> int:
        """About how many match, known at once: exact where they are few."""
        rarest = self._rarest
        if self._has_few:
            return len(self)
        step = max(1, len(rarest) // SAMPLE)
        asked = rarest[::step]
        hits = sum(map(self._passes, asked))
        return len(self) if hits < FEW_IN_SAMPLE else len(rarest) * hits // len(asked)

    def _passes(self, number: int) -> bool:
        return all(test.holds(number) for test in self.tests)

    @cached_property
    def _rarest(self) -> Numbers:
        return min((numbers for test in self.tests for numbers in test.every), key=len)

    @cached_property
    def _has_few(self) -> bool:
        return len(self._rarest) <= WRITTEN_OUT_MAX

    @cached_property
    def _matches(self) -> set[int]:
        found = set.intersection(*(test.passing() for test in self.tests))
        found.difference_update(self.known)
        found.update(number for number, answer in self.known.items() if answer)
        if self.is_deleted is False:
            found.difference_update(self.apart)
        elif self.is_deleted:
            found.intersection_update(number for number, state in self.apart.items() if state)
        return found


def _stands(numbers: Numbers, number: int) -> bool:
    at = bisect_left(numbers, number)
    return at < len(numbers) and numbers[at] == number


def _in_each(lists: Sequence[Numbers]) -> set[int]:
    """What stands in every list, beginning with the shortest."""
    shortest, *others = sorted(lists, key=len)
    found = set(shortest)
    for numbers in others:
        if len(numbers) > len(found) * 64:
            found = {number for number in found if _stands(numbers, number)}
        else:
            found.intersection_update(numbers)
    return found
