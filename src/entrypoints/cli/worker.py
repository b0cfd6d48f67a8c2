"""`tandem worker`: the process beside the service."""

import click

from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.running_service import MONTY
from entrypoints.cli.session import current_settings
from entrypoints.cli.tree import TandemCommand
from entrypoints.composition.logs import start_logging
from entrypoints.worker.main import run_worker


@click.command(cls=TandemCommand)
async def worker(console: Console) -> ExitCode:
    """Mend the mirror and empty old trash until a signal comes. The service does the same; a worker is for when that is
    not enough.
    """
    settings = current_settings()
    if settings.stores.named == (MONTY,):
        raise click.UsageError(
            "MontyDB serves one process at a time, and the service does a worker's jobs by itself."
        )
    start_logging(settings)

    def say_ready(jobs: list[str]) -> None:
        console.show(
            {"jobs": jobs}, lambda: console.line(f"The worker does: {', '.join(jobs)}. Ctrl-C ends it.")
        )

    is_drained = await run_worker(settings, say_ready=say_ready)
    return ExitCode.FINE if is_drained else ExitCode.DIFFERENCE
