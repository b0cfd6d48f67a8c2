"""Stores that tell what they are, for the person who mends an installation."""

from typing import Protocol, runtime_checkable

from application.ports.health import StoreFacts


@runtime_checkable
class Described(Protocol):
    """A store that answers for itself; decorators need not."""

    async def facts(self) -> StoreFacts:
        """Product, version, arrangement, clock. Raises StoreUnavailable."""
        ...
