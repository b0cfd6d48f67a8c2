"""Disks without room and directories without write permission, as a service may find them."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DISK_MIB = 16
RESERVE_MIB = 8
MOUNT_SECONDS_MAX = 10
NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A data directory that can hold little. `launcher` is put before the command that shall be limited by it."""

    directory: Path
    launcher: Sequence[str]

    @property
    def _reserve(self) -> Path:
        return self.directory.parent / "reserve"

    def reserve(self) -> None:
        """Occupy some of the room."""
        self._reserve.write_bytes(bytes(RESERVE_MIB << 20))

    def make_room(self, *, process_id: int | None = None) -> "SmallDisk":
        """The same directory with room again, also for this process, which still runs."""
        self._reserve.unlink(missing_ok=True)
        if self.launcher and process_id is not None:
            resource.prlimit(process_id, resource.RLIMIT_FSIZE, NO_LIMIT)
        return SmallDisk(self.directory, ())


@contextmanager
def small_disk(directory: Path) -> Iterator[SmallDisk]:
    """A file system of a few mebibytes; where it cannot be mounted, a limit of the size that files may have."""
    if not _is_mounted(directory):
        # In units of 512 bytes; a shell sets it, so that only the service is limited.
        limit = f'ulimit -S -f {(DISK_MIB - RESERVE_MIB) * 2048 // 4}; exec "$0" "$@"'
        yield SmallDisk(directory / "data", ("/bin/sh", "-c", limit))
        return
    try:
        disk = SmallDisk(directory / "data", ())
        disk.reserve()
        yield disk
    finally:
        subprocess.run(["umount", directory], check=True, timeout=MOUNT_SECONDS_MAX)


def _is_mounted(directory: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0711", "tandem-test", str(directory)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    return (
        subprocess.run(command, capture_output=True, timeout=MOUNT_SECONDS_MAX, check=False).returncode == 0
    )


@contextmanager
def read_only(directory: Path) -> Iterator[Sequence[str]]:
    """Take the permission to write from a directory and all below it; yields the launcher for a command that obeys.

    The superuser may write everywhere, so a command of theirs has to give this capability up.
    """
    paths = [directory, *directory.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        is_root = os.geteuid() == 0
        yield ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override") if is_root else ()
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
