"""The last lines of a test run: figures, the servers used, processes left running, and the speed of the machine."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import psutil

ADDITIONS_SECONDS = 0.2
"""How long three million additions take on the machine to which bounds in seconds refer."""
SLOWER_MAX = 5.0
"""How much slower than that machine another one may be at most, because of its load."""
ADDITIONS = "total = 0\nfor number in range(3_000_000):\n    total += number\n"
LEFT_SECONDS_MAX = 5.0
SERVERS_USED: dict[str, str] = {}
FIGURES: list[str] = []
"""What tests measured, and the seeds that repeat them."""


def note(role: str, description: str) -> None:
    """Remember that a server of this role was used; the last description counts."""
    SERVERS_USED[role] = description


def note_figures(test: str, **figures: object) -> None:
    """Show a line with these figures at the end of the run."""
    FIGURES.append(f"{test}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))


def end_left_running(directories: Sequence[Path]) -> list[str]:
    """End every process that still works below these directories, by its id; a description of each.

    The processes of the tests all have their working directory there, whoever started them.
    """
    left = [process for process in psutil.process_iter() if _works_below(process, directories)]
    descriptions = [_description(process) for process in left]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=LEFT_SECONDS_MAX)
    return descriptions


def summary_lines(left_running: Sequence[str]) -> Iterator[str]:
    """The lines for the end of the run."""
    yield from FIGURES
    used = ", ".join(SERVERS_USED[role] for role in sorted(SERVERS_USED))
    yield f"servers started and stopped: {used or 'none'}"
    yield from (f"left running by a test and ended now: {description}" for description in left_running)
    yield f"three million additions: {additions_seconds():.2f} s"


def additions_seconds() -> float:
    """How long this machine takes for three million additions of global variables."""
    code = compile(ADDITIONS, "additions", "exec")
    began = perf_counter()
    exec(code, {})
    return perf_counter() - began


def times_slower() -> float:
    """How many times slower this machine is now, with its load, than the one to which bounds refer; at least 1."""
    return min(SLOWER_MAX, max(1.0, additions_seconds() / ADDITIONS_SECONDS))


def _works_below(process: psutil.Process, directories: Sequence[Path]) -> bool:
    try:
        working_directory = Path(process.cwd())
        is_ended = process.status() == psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False
    return not is_ended and any(working_directory.is_relative_to(directory) for directory in directories)


def _description(process: psutil.Process) -> str:
    try:
        return f"process {process.pid}: {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return f"process {process.pid}"
