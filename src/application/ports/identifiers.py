"""Identity, from outside."""

from typing import Protocol


class Identifiers(Protocol):
    """Makes identifiers before any store sees the entity."""

    def fresh(self) -> str:
        """A new identifier: 24 lower-case hex digits, never given before; those of one process sort by their making."""
        ...
