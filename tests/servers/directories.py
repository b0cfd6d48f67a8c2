"""Directories for server data, all below one directory of the test run."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Whoever knows the name may pass through, because PostgreSQL runs under another account when the tests run as root;
# pytest's own temporary directories are closed to it.
ENTER_ONLY = 0o711


class RunDirectory:
    """The directory of a test run, made when it is first needed."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    @property
    def path(self) -> Path:
        """The directory; its name is short, because the paths of sockets below it are bounded."""
        if self._path is None:
            self._path = _new_directory(prefix="tandem-test-")
        return self._path

    def remove(self) -> None:
        """Remove the directory and everything below it. Harmless where it was never made."""
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)
            self._path = None


RUN = RunDirectory()


@contextmanager
def open_directory() -> Iterator[Path]:
    """An empty directory with a short path, removed with all it holds at the end."""
    directory = _new_directory(parent=RUN.path)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _new_directory(*, parent: Path | None = None, prefix: str = "") -> Path:
    directory = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
    directory.chmod(ENTER_ONLY)
    return directory
