"""Stores that can be opened without changing anything, for commands that only diagnose."""

from typing import Protocol, runtime_checkable

from adapters.records.record_store import RecordStore


@runtime_checkable
class Inspectable(Protocol):
    """A store whose `open` changes something: creates files, takes a lock, or starts a server."""

    async def inspect(self) -> None:
        """Opens the store to be read, and changes nothing: no file, no lock, no process.

        Raises NothingStored if there is none, StoreUnavailable if another process holds it, and otherwise StoreRefused
        as `open` does.
        """


async def inspect(store: RecordStore) -> None:
    """Opens a store to be read. Opening any other store only connects."""
    await (store.inspect() if isinstance(store, Inspectable) else store.open())
