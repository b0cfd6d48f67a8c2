"""Repeating a use case whose commit was crossed by a change that its caller did not ask about."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from domain.errors import VersionConflict

REPEATS_MAX = 3

R = TypeVar("R")


async def repeated(attempt: Callable[[], Awaitable[R]], *, where: Callable[[VersionConflict], bool]) -> R:
    """The result of the first attempt that meets no such conflict; the last attempt's conflict after REPEATS_MAX more.

    Each attempt begins a unit of work of its own and reads everything again, so that a refusal is about the present.
    """
    for _ in range(REPEATS_MAX):
        try:
            return await attempt()
        except VersionConflict as conflict:
            if not where(conflict):
                raise
    return await attempt()


def is_of_project(conflict: VersionConflict) -> bool:
    """Whether the project changed that a task or timeline relies on: a new name must not make saving these fail."""
    return conflict.collection == "projects"
