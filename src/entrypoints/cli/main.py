"""The console script `tandem`."""

import sys

from entrypoints.cli.collector import collect_rarely
from entrypoints.cli.leaving import end_undisturbed, leave_on_interrupt
from entrypoints.cli.streams import open_missing_streams


def main() -> None:
    """Runs the command of this process's arguments and exits with its code."""
    leave_on_interrupt()
    open_missing_streams()
    collect_rarely()
    # Loads most of what any command needs, so it follows the lines above.
    from entrypoints.cli.program import run  # noqa: PLC0415

    code = run(sys.argv[1:])
    end_undisturbed(code)
    sys.exit(code)
