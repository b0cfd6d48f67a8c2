"""The program `tandem`: its commands, one event loop, and one place where every run ends."""

import asyncio
import sys
import traceback
from collections.abc import Coroutine
from contextlib import suppress
from importlib.util import find_spec

import click

from entrypoints.cli.console import Console, program_name
from entrypoints.cli.exits import EXPECTED_ERRORS, ExitCode, Failure, failure_of, failure_of_system
from entrypoints.cli.interruption import handler_kept, interruptible
from entrypoints.cli.leaving import INTERRUPTED
from entrypoints.cli.streams import drop_output
from entrypoints.cli.tree import ProgramGroup

PIPE_CLOSED = 141
"""What a shell reports for a program that SIGPIPE ended, such as the first one of `tandem sync status | head -1`."""
COMMANDS = {
    "adopt": "entrypoints.cli.adopt:adopt",
    "admin": "entrypoints.cli.administration:admin",
    "config": "entrypoints.cli.configuration:config",
    "demo": "entrypoints.cli.administration:demo",
    "export": "entrypoints.cli.exports:export_tasks",
    "doctor": "entrypoints.cli.doctor:doctor",
    "import": "entrypoints.cli.imports:import_issues",
    "keys": "entrypoints.cli.keys:keys",
    "migrate": "entrypoints.cli.schema:migrate",
    "move": "entrypoints.cli.move:move",
    "recover": "entrypoints.cli.recover:recover",
    "serve": "entrypoints.cli.serve:serve",
    "sync": "entrypoints.cli.mirror:sync",
    "worker": "entrypoints.cli.worker:worker",
}


def _show_version(context: click.Context, _option: click.Parameter, is_asked: bool) -> None:  # noqa: FBT001 - click's
    if is_asked:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to load, rarely needed

        try:
            click.echo(f"tandem {version('tandem')}")
        except PackageNotFoundError:
            click.echo("tandem (not installed)")
        context.exit()


@click.group(cls=ProgramGroup, locations=COMMANDS)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def tandem() -> None:
    """A project and task service whose storage can be moved while people use it.

    Settings come from the environment and from `.env`. Exit codes: 0 success, 1 a difference was found or a rule
    forbids the change, 2 wrong arguments or settings, 3 a store cannot be reached.
    """


def run(arguments: list[str]) -> int:
    """Runs one command and returns its exit code."""
    console = Console(as_json="--json" in arguments)
    try:
        result = tandem.main(arguments, prog_name=program_name(), standalone_mode=False)
        code = int(_run_in_loop(result) if asyncio.iscoroutine(result) else result or ExitCode.SUCCESS)
        sys.stdout.flush()
    except EXPECTED_ERRORS as error:
        return _ended_with(failure_of(error), console)
    except BrokenPipeError:
        _close_output()
        return PIPE_CLOSED
    except OSError as error:
        return _ended_with(failure_of_system(error), console)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception:  # noqa: BLE001 - a bug must not end like a difference, whose exit code is also Python's for errors
        console.crash(traceback.format_exc())
        return ExitCode.INTERNAL_ERROR
    return code


def _ended_with(failure: Failure, console: Console) -> ExitCode:
    """The exit code of a failure, after printing it: on standard error where standard output takes nothing."""
    try:
        console.fail(failure)
    except OSError:
        with suppress(OSError):
            Console(as_json=False).fail(failure)
    try:
        sys.stdout.flush()
    except OSError:
        _close_output()
    return failure.exit_code


def _close_output() -> None:
    """Nobody reads what is still to be printed, and the interpreter would complain about it at the end."""
    with suppress(OSError, ValueError):
        drop_output()
        sys.stdout.flush()


def _run_in_loop(command: Coroutine[object, object, object]) -> ExitCode:
    """Runs the coroutine on the fastest loop that this platform has."""
    loop_factory = None
    if find_spec("uvloop") is not None:
        import uvloop  # noqa: PLC0415 - not on every platform

        loop_factory = uvloop.new_event_loop
    with handler_kept(), asyncio.Runner(loop_factory=loop_factory) as runner:
        code = runner.run(interruptible(command))
    return ExitCode(code) if isinstance(code, int) else ExitCode.SUCCESS
