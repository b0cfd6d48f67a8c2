"""Stores whose schema has numbered steps."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Revision:
    """Where a schema stands (None before its first step), and where this program needs it."""

    current: str | None
    expected: str


@runtime_checkable
class Revisioned(Protocol):
    """A store that keeps its own account of its schema. All methods raise StoreUnavailable."""

    async def revision(self) -> Revision:
        """Where the schema stands; changes nothing."""
        ...

    async def step_back(self) -> None:
        """Takes the schema one step back, with what that step had added."""
        ...
