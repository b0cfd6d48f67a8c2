"""Stores that report product, version and clock, for operators."""

from typing import Protocol, runtime_checkable

from application.ports.health import StoreFacts


@runtime_checkable
class Described(Protocol):
    """A store that reports facts about its server; decorators need not implement it."""

    async def facts(self) -> StoreFacts:
        """Product, version, topology, clock. Raises StoreUnavailable."""
