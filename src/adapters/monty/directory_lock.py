"""One process per directory. SQLite drops its own locks when the same process opens the file by other means."""

import fcntl
import os
from pathlib import Path

from adapters.records.record_store import StoreRefused

LOCK_NAME = "tandem.lock"


class DirectoryLock:
    """An exclusive lock on a directory that ends with the process, however that ends."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK_NAME
        self._descriptor: int | None = None

    def take(self) -> None:
        """Takes the lock or raises StoreRefused at once, naming the process that holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise StoreRefused(
                f"The MontyDB directory {self._path.parent} is in use by process {holder or 'unknown'}. MontyDB serves "
                "one process at a time: stop that one, or give this one another directory."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
        self._descriptor = descriptor

    def holder(self) -> str | None:
        """The process that holds the lock, None if it is free. Changes nothing. Raises OSError."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
        finally:
            os.close(descriptor)
        return None

    def release(self) -> None:
        """Releases the lock. Harmless when not taken."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
