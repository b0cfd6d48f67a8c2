"""`tandem worker`: a process for the background jobs."""

import click

from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.session import current_settings
from entrypoints.cli.streams import drop_output_if_closed
from entrypoints.cli.tree import TandemCommand
from entrypoints.composition.logs import start_logging
from entrypoints.worker.main import run_worker


@click.command(cls=TandemCommand)
async def worker(console: Console) -> ExitCode:
    """Deliver pending entries to the target and remove expired trash, until SIGTERM or Ctrl-C.

    The service runs the same jobs. A worker adds capacity on another machine or process, and loads parts of a backfill.
    """
    settings = current_settings()
    if settings.stores.named == ("monty",):
        raise click.UsageError(
            "MontyDB serves one process at a time, and the service runs these jobs itself. Start: tandem serve"
        )
    drop_output_if_closed()
    start_logging(settings)

    def print_ready(jobs: list[str]) -> None:
        console.show(
            {"jobs": jobs},
            lambda: console.line(f"Running the jobs {', '.join(jobs)}. Press Ctrl-C to stop."),
        )

    is_drained = await run_worker(settings, print_ready=print_ready)
    return ExitCode.SUCCESS if is_drained else ExitCode.DIFFERENCE
