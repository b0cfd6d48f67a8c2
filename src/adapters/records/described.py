"""Stores that report product, version, clock and space, for operators."""

from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from typing import Protocol, runtime_checkable

from application.ports.health import StoreFacts


@dataclass(frozen=True, slots=True)
class Space:
    """What a store occupies, and what is left for it, in bytes; `free` is None where the server does not say."""

    used: int
    free: int | None


@runtime_checkable
class Described(Protocol):
    """A store that reports facts about its server; decorators need not implement it."""

    async def facts(self) -> StoreFacts:
        """Product, version, topology, clock. Raises StoreUnavailable."""

    async def space(self) -> Space:
        """What it occupies, and what is left. Raises StoreUnavailable."""


def free_bytes(directory: Path) -> int | None:
    """The space that is left where a directory is; None where the system does not say."""
    try:
        return disk_usage(directory).free
    except OSError:
        return None
