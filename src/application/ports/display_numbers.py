"""The short numbers by which people call tasks."""

from collections.abc import Sequence
from typing import Protocol


class DisplayNumbers(Protocol):
    """Gives numbers from 1 on, each once in the life of an installation, whatever process asks, and whichever dies.

    Numbers may be left out: one that was given is not given again because nobody used it. Both raise StoreUnavailable
    where the store does not answer.
    """

    async def next(self) -> int:
        """A number that nobody had."""
        ...

    async def several(self, count: int) -> Sequence[int]:
        """That many numbers that nobody had, ascending."""
        ...

    def start_over(self) -> None:
        """Tells that a number was taken although it was given here just now: records came from somewhere else. What is
        reserved is let go, and the next number is above every number that a task has.
        """
        ...
