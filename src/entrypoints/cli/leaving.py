"""Ctrl-C while the program loads, and while it ends: the process ends with a code of its own, without a traceback.

This module loads nothing else that takes time, because Python's own response to Ctrl-C holds until then.
"""

import atexit
import os
import signal

INTERRUPTED = 130
"""What a shell reports for a program that SIGINT ended."""

_ERROR = 2
_SHOW_CURSOR = b"\x1b[?25h"
"""A progress bar hides the cursor and would bring it back only in the usual end."""


def leave_on_interrupt(code: int = INTERRUPTED) -> None:
    """From now on, Ctrl-C ends the process at once with this exit code: it has nothing to finish."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda _number, _frame: _leave(code))


def _leave(code: int) -> None:
    if os.isatty(_ERROR):
        os.write(_ERROR, _SHOW_CURSOR)
    os._exit(code)


def end_undisturbed(code: int) -> None:
    """Nothing changes this exit code any more, neither while threads end nor while the interpreter does."""
    leave_on_interrupt(code)
    # The interpreter gives up handlers at the end, but not this one.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
