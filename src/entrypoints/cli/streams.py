"""Standard streams that were closed before this process began, as `tandem doctor >&-` closes one.

The next files and sockets that the process opens would take their numbers: what is printed would end up in them, and
libuv aborts a process that closes one of these numbers.
"""

import fcntl
import os
import sys

INPUT, OUTPUT, ERROR = 0, 1, 2


def open_missing_streams() -> None:
    """Opens /dev/null where a standard stream is closed. Call it before anything else is opened.

    Output that somebody wants must not vanish unnoticed: writing to a closed standard output still fails, with EBADF.
    """
    # In the order of their numbers, because the system gives out the lowest free one.
    for number, flags in ((INPUT, os.O_RDONLY), (OUTPUT, os.O_RDONLY), (ERROR, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # noqa: FBT003 - the signature of os
    if sys.stdin is None:
        sys.stdin = open(INPUT, closefd=False)  # noqa: SIM115 - open until the process ends
    if sys.stdout is None:
        sys.stdout = open(OUTPUT, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(ERROR, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115


def drop_output_if_closed() -> None:
    """For a service, which does not run for what it prints: drops it where standard output was closed at the start."""
    if fcntl.fcntl(OUTPUT, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        drop_output()


def drop_output() -> None:
    """Sends what is still to be printed to /dev/null."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
