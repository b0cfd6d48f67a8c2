"""Stores whose schema has numbered steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from application.ports.schema import SchemaFlaw


@dataclass(frozen=True, slots=True)
class Revision:
    """The schema's current revision (None before the first step), and the one that this program needs."""

    current: str | None
    expected: str


@runtime_checkable
class Revisioned(Protocol):
    """A store that records the revision of its schema itself. All methods raise StoreUnavailable."""

    async def revision(self) -> Revision:
        """The current and the expected revision; changes nothing."""

    async def step_back(self) -> None:
        """Reverts the last step of the schema, and drops the data that it added."""


@runtime_checkable
class Examined(Protocol):
    """A store whose tables somebody may have changed by hand although their revision is the current one."""

    async def flaws(self) -> Sequence[SchemaFlaw]:
        """What is not as this program has made it, in tables of the current revision. Of tables of another one it says
        nothing but that their revision is unknown, or not recorded any more.

        Raises StoreUnavailable.
        """

    async def restore_parts(self) -> None:
        """Makes anew what is missing beside tables and columns. Harmless where nothing is missing.

        Raises StoreRefused where records are in the way, and StoreUnavailable.
        """


@runtime_checkable
class Accessed(Protocol):
    """A store that can say what its account may not do."""

    async def missing_privileges(self) -> Sequence[str]:
        """What the account may not do that Tandem needs, each with a remedy. Raises StoreUnavailable."""


async def flaws_of(store: object) -> Sequence[SchemaFlaw]:
    """The flaws of a store; none of one that has no tables. Raises StoreUnavailable."""
    return await store.flaws() if isinstance(store, Examined) else ()
