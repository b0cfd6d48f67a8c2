"""Stores whose files lie on this machine, where somebody may remove them while they are in use."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class OnDisk(Protocol):
    """A store that keeps files."""

    def require_files(self) -> None:
        """Raises StoreRefused where the files of the opened store are no longer in their place."""
