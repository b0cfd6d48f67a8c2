"""Computing that would keep the process from everybody else."""

from collections.abc import Callable
from typing import Protocol, TypeVar

R = TypeVar("R")


class ThreadExecutor(Protocol):
    """A place for what takes seconds and waits for nobody."""

    async def run(self, work: Callable[[], R]) -> R:
        """The result of the work, done while others go on. It must touch nothing that they change; what it raises
        comes out here.
        """
        ...
