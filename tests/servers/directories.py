"""Directories for server data."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Whoever knows the name may pass through, because PostgreSQL runs under another account when the tests run as root;
# pytest's own temporary directories are closed to it.
ENTER_ONLY = 0o711


@contextmanager
def open_directory() -> Iterator[Path]:
    """An empty directory with a short path, removed with all it holds at the end."""
    directory = Path(tempfile.mkdtemp(prefix="tandem-test-"))
    directory.chmod(ENTER_ONLY)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
