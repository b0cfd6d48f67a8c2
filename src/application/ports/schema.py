"""The shape of what is stored, and how it moves from version to version."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """Where one store stands: its present revision (None before the first), and the one this program expects."""

    store: str
    revision: str | None
    expected: str

    @property
    def is_current(self) -> bool:
        """Whether the program and the store agree."""
        return self.revision == self.expected


class Schema(Protocol):
    """The schema of every store in use. All methods raise StoreUnavailable where a store does not answer."""

    async def states(self) -> Sequence[SchemaState]:
        """Where each store stands; changes nothing."""
        ...

    async def upgrade(self) -> Sequence[SchemaState]:
        """Brings each store to what this program expects, creating what is missing. Harmless when done already."""
        ...

    async def downgrade(self) -> Sequence[SchemaState]:
        """Takes each store that has steps behind it one step back. Raises Conflict where there is none."""
        ...
