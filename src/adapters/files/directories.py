"""Directories for the owner of the data alone."""

import os
from pathlib import Path

_OWNER_ONLY, _PASSABLE = 0o700, 0o755


def make_private_directory(directory: Path, *, levels: int = 1) -> None:
    """Creates a directory and the `levels` - 1 above it for their owner only, whatever the umask. Raises OSError.

    What is missing above them is created so that others can pass, as another account may have to, and not write. What
    exists stays as it is.
    """
    missing = []
    for path in (directory, *directory.parents):
        if path.exists():
            break
        missing.append(path)
    private = {directory, *list(directory.parents)[: levels - 1]}
    for path in reversed(missing):
        path.mkdir(mode=_OWNER_ONLY if path in private else _PASSABLE, exist_ok=True)
        sync(path.parent)


def sync(path: Path) -> None:
    """Makes a file, or the names in a directory, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
