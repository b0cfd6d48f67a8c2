"""The short numbers of tasks."""

from collections.abc import Sequence
from typing import Protocol


class DisplayNumbers(Protocol):
    """Numbers from 1 on, each given once in an installation, across processes and crashes. Some are never used.

    `next` and `several` raise StoreUnavailable if the store does not answer.
    """

    async def next(self) -> int:
        """A new number."""

    async def several(self, count: int) -> Sequence[int]:
        """That many new numbers, ascending."""

    def start_over(self) -> None:
        """Drops reserved numbers after one of them was found in use (by records from elsewhere). The next number is
        above those of all tasks.
        """
