"""Changes past Tandem: what somebody edits in a store by hand, or another program writes there."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class CountsForeignChanges(Protocol):
    """A store that counts the statements of others that change its records."""

    async def foreign_changes(self) -> int | None:
        """How many there were so far; None where the store does not count them at present. Raises StoreUnavailable."""
        ...


async def foreign_changes_of(store: object) -> int | None:
    """The count of a store; None for one that does not count. Raises StoreUnavailable."""
    return await store.foreign_changes() if isinstance(store, CountsForeignChanges) else None
