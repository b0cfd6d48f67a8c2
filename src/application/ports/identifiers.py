"""Identifiers of entities."""

from typing import Protocol


class Identifiers(Protocol):
    """Makes identifiers, before any store sees the entity."""

    def fresh(self) -> str:
        """A new identifier: 24 lower-case hex digits; those of one process sort by the time of their creation."""
