"""What the operating system knows about a PostgreSQL server: its pid file, its processes, and who holds which lock.

Process numbers are used again, so a pid file alone proves nothing. The server inherits an open, locked file from
whoever starts it: the lock is held exactly as long as one of its processes lives, whatever died in between.
"""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

POLL_SECONDS = 0.005
PID_FILE_LINES = 8


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What `postmaster.pid` in a data directory says; true only while the process it names is alive."""

    process_id: int
    socket_directory: Path
    is_ready: bool

    @classmethod
    def read(cls, data: Path) -> Self | None:
        """The postmaster the pid file names; None when there is no file, or the server is still writing it."""
        try:
            lines = (data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        if len(lines) < PID_FILE_LINES - 1:
            return None
        status = lines[PID_FILE_LINES - 1].strip() if len(lines) >= PID_FILE_LINES else ""
        return cls(process_id=int(lines[0]), socket_directory=Path(lines[4]), is_ready=status == "ready")

    def is_alive(self, data: Path) -> bool:
        """Whether the process exists and is a server of this data directory (it works inside it)."""
        if Path("/proc/self/cwd").exists():
            return _works_in(self.process_id, data)
        try:
            os.kill(self.process_id, 0)
        except ProcessLookupError:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a process that is already gone is no error."""
        with suppress(ProcessLookupError):
            os.kill(self.process_id, number)


def kill_processes_in(data: Path) -> None:
    """End the processes a dead postmaster left behind (frozen ones never notice its death). Linux only."""
    for entry in Path("/proc").glob("[0-9]*"):
        if _is_server_in(int(entry.name), data):
            with suppress(ProcessLookupError):
                os.kill(int(entry.name), signal.SIGKILL)


def _works_in(process_id: int, data: Path) -> bool:
    try:
        return Path(f"/proc/{process_id}/cwd").samefile(data)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        # Gone, ended but not yet collected by its parent, or another user's: in no case a server of ours.
        return False


def _is_server_in(process_id: int, data: Path) -> bool:
    try:
        name = Path(f"/proc/{process_id}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return name.startswith("postgres") and _works_in(process_id, data)


class FileLock:
    """An advisory lock on a file; the kernel drops it when the last process that inherited it ends."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Give up this process's share of the lock."""
        os.close(self.descriptor)

    def share(self) -> None:
        """Hold the lock together with others; waits while one holds it alone."""
        fcntl.flock(self.descriptor, fcntl.LOCK_SH)

    def is_mine_alone(self) -> bool:
        """Take the lock alone, and say whether that was possible."""
        return self._try(fcntl.LOCK_EX)

    def is_held_alone_elsewhere(self) -> bool:
        """Whether another holder has the lock alone; takes and returns a share to find out."""
        if not self._try(fcntl.LOCK_SH):
            return True
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        return False

    def wait_until_mine_alone(self, seconds_max: float) -> bool:
        """Take the lock alone within the given time, and say whether that was possible."""
        deadline = time.monotonic() + seconds_max
        while not self.is_mine_alone():
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self.descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def opened_lock(path: Path) -> Iterator[FileLock]:
    """A lock file opened for the length of a block."""
    lock = FileLock(path)
    try:
        yield lock
    finally:
        lock.close()
