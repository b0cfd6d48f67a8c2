"""Long computations in a thread."""

from collections.abc import Callable
from typing import Protocol, TypeVar

R = TypeVar("R")


class ThreadExecutor(Protocol):
    """Runs computations that take seconds, so that the event loop stays free."""

    async def run(self, work: Callable[[], R]) -> R:
        """The result of the work, or its exception. The work must not touch data that other code changes meanwhile."""
