"""The command `tandem`: the tree of its commands, one event loop, and one place where every run ends."""

import asyncio
import sys
import traceback
from collections.abc import Coroutine, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import click

from entrypoints.cli.administration import admin, demo
from entrypoints.cli.configuration import config
from entrypoints.cli.console import Console
from entrypoints.cli.doctor import doctor
from entrypoints.cli.exits import EXPECTED_ERRORS, ExitCode, failure_of
from entrypoints.cli.imports import import_issues
from entrypoints.cli.mirror import sync
from entrypoints.cli.schema import migrate
from entrypoints.cli.serve import serve
from entrypoints.cli.tree import TandemGroup
from entrypoints.cli.worker import worker

INTERRUPTED = 130
PROGRAM_FAULT = 70
"""No code of ours: what broke is the program, and its traceback says where."""


def _version() -> str:
    """The installed version; a checkout that was never installed has none."""
    try:
        return version("tandem")
    except PackageNotFoundError:
        return "(not installed)"


@click.group(cls=TandemGroup)
@click.version_option(_version(), message="%(prog)s %(version)s")
def tandem() -> None:
    """Projects and tasks on a storage that moves while people work.

    Settings come from the environment and from `.env`. Exit codes: 0 fine, 1 a difference was found or a guard said
    no, 2 wrong use or settings, 3 a store cannot be reached.
    """


for command in (serve, worker, migrate, sync, doctor, config, import_issues, admin, demo):
    tandem.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Runs one command; answers its exit code."""
    console = Console(as_json="--json" in arguments)
    try:
        answer = tandem.main(arguments, prog_name="tandem", standalone_mode=False)
        return int(_run_in_loop(answer) if asyncio.iscoroutine(answer) else answer or ExitCode.FINE)
    except EXPECTED_ERRORS as error:
        failure = failure_of(error)
        console.fail(failure)
        return failure.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception:  # noqa: BLE001 - the last resort, so that a fault of ours never looks like a difference found
        traceback.print_exc()
        return PROGRAM_FAULT


def _run_in_loop(command: Coroutine[object, object, object]) -> ExitCode:
    """Runs the coroutine on the fastest loop this platform has."""
    loop_factory = None
    if find_spec("uvloop") is not None:
        import uvloop  # noqa: PLC0415 - not on every platform

        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        code = runner.run(command)
    return ExitCode(code) if isinstance(code, int) else ExitCode.FINE
