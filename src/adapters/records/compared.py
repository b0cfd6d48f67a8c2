"""A store that is only used as long as a comparison with another store allows it."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Compared(Protocol):
    """Comparing costs more than a ping and may write. So only who connects the store and the relay compare; probes read
    what was found.
    """

    async def compare(self) -> None:
        """Compares the stores now, and enters this one where that was not done yet.

        Raises StoreUnavailable, and StoreRefused for a store that must not be used.
        """

    def require_compared(self) -> None:
        """Raises StoreUnavailable if the last comparison spoke against the store, or was too long ago."""
