"""Keys in order, in blocks, so that adding one in the middle moves a block and not the collection."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Any

Key = tuple[Any, ...]

BLOCK_KEYS_MAX = 1_024


class SortedKeys:
    """Distinct, mutually comparable tuples. Ranges are [low, high)."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        ordered = sorted(keys)
        half = BLOCK_KEYS_MAX // 2
        self._blocks = [ordered[start : start + half] for start in range(0, len(ordered), half)]
        self._lasts = [block[-1] for block in self._blocks]
        self._size = len(ordered)

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: Key) -> bool:
        at, offset = self._place(key)
        return at < len(self._blocks) and self._blocks[at][offset] == key

    def add(self, key: Key) -> None:
        """Adds a key that is not there yet."""
        self._size += 1
        if not self._blocks:
            self._blocks.append([key])
            self._lasts.append(key)
            return
        # Ids and times grow, so most keys come last.
        is_last = key > self._lasts[-1]
        at = len(self._blocks) - 1 if is_last else bisect_left(self._lasts, key)
        block = self._blocks[at]
        if is_last:
            block.append(key)
        else:
            insort(block, key)
        if len(block) > BLOCK_KEYS_MAX:
            self._split(at)
        self._lasts[at] = self._blocks[at][-1]

    def remove(self, key: Key) -> None:
        """Removes a key. Raises KeyError where it is not there."""
        at, offset = self._place(key)
        if at == len(self._blocks) or self._blocks[at][offset] != key:
            raise KeyError(key)
        block = self._blocks[at]
        del block[offset]
        self._size -= 1
        if block:
            self._lasts[at] = block[-1]
        else:
            del self._blocks[at], self._lasts[at]

    def count(self, low: Key, high: Key) -> int:
        """How many keys a range holds."""
        (first, start), (last, end) = self._place(low), self._place(high)
        if (first, start) >= (last, end):
            return 0
        return sum(map(len, self._blocks[first:last])) - start + end

    def between(self, low: Key, high: Key, *, descending: bool = False) -> Iterator[Key]:
        """The keys of a range in order; to be used up before the next change."""
        (first, start), (last, end) = self._place(low), self._place(high)
        steps = range(last, first - 1, -1) if descending else range(first, last + 1)
        for at in steps:
            if at == len(self._blocks):
                continue
            block = self._blocks[at]
            part = block[start if at == first else 0 : end if at == last else len(block)]
            yield from reversed(part) if descending else part

    def _place(self, bound: Key) -> tuple[int, int]:
        """Block and offset of the first key that is not below the bound."""
        at = bisect_left(self._lasts, bound)
        return at, bisect_left(self._blocks[at], bound) if at < len(self._blocks) else 0

    def _split(self, at: int) -> None:
        block = self._blocks[at]
        half = len(block) // 2
        self._blocks[at : at + 1] = [block[:half], block[half:]]
        self._lasts[at : at + 1] = [block[half - 1], block[-1]]
