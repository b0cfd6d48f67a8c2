"""The identity of this process, and whether another one has certainly ended."""

import os
import secrets
import socket
from functools import cache
from pathlib import Path

from adapters.records.lanes import ProcessIdentity

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")


def this_process() -> ProcessIdentity:
    """A new identity for one opening of the stores in this process."""
    return ProcessIdentity(secrets.token_hex(8), socket.gethostname(), _boot(), os.getpid())


def is_gone(by: ProcessIdentity) -> bool:
    """Whether the process has certainly ended: same system start, same process namespace, and no such process.

    A process number that is in use again, even by this process, says nothing about other identities of that number
    elsewhere; here its former process has ended.
    """
    if not by.boot or by.boot != _boot():
        return False
    if by.pid == os.getpid():
        return False
    try:
        os.kill(by.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


@cache
def _boot() -> str:
    """Empty where the system does not report it."""
    try:
        return f"{_BOOT_ID.read_text().strip()} {_PID_NAMESPACE.readlink()}"
    except OSError:
        return ""
