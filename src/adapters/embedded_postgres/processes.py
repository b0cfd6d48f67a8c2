"""Finds and ends the server processes of a data directory, whoever started them.

A process number in a pid file proves nothing, because numbers are reused. The working directory of every PostgreSQL
server process is the data directory, and Linux shows the working directory of a process. Other systems rely on the
guard of the server alone.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from adapters.records.record_store import StoreRefused

POLL_SECONDS = 0.002
END_SECONDS_MAX = 5.0


def server_processes(data: Path) -> list[int]:
    """The numbers of the server's processes."""
    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if _serves(process, data)]


def end_server_processes(data: Path) -> None:
    """Kills the remaining processes of a server, even frozen ones; PostgreSQL recovers every commit at the next start.

    Raises StoreRefused where the processes do not end in time.
    """
    deadline = time.monotonic() + END_SECONDS_MAX
    while processes := server_processes(data):
        if time.monotonic() > deadline:
            raise StoreRefused(
                f"An earlier PostgreSQL server in {data} cannot be killed. End its processes {processes}, or restart "
                "this machine."
            )
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def _serves(process: Path, data: Path) -> bool:
    # A process that cannot be read has ended or belongs to another user.
    with suppress(OSError):
        return (process / "comm").read_text().startswith("postgres") and (process / "cwd").samefile(data)
    return False
