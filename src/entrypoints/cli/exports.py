"""`tandem export`: writes tasks to a file that another tracker, or an import, can read."""

import asyncio
import errno
import os
import sys
from pathlib import Path
from urllib.parse import urlencode

import click

from application.interchange.exports import ExportTasks
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.running_service import LONG_SECONDS_MAX
from entrypoints.cli.session import current_settings, inspected, operator, service_client
from entrypoints.cli.streams import OUTPUT
from entrypoints.cli.tree import TandemCommand
from entrypoints.composition.files import replace_file

STANDARD_OUTPUT = Path("-")
_PLACE_ERRORS = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EBUSY,
    errno.ENAMETOOLONG,
}
"""Errors of the place that the argument names; with others, repeating the command may help."""


@click.command("export", cls=TandemCommand)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), required=False)
@click.option("--format", "format_", required=True, help="The format of the file: beads.")
@click.option("--project", "project_id", metavar="ID", help="Only the tasks of this project.")
async def export_tasks(
    console: Console, file: Path | None, format_: str, *, project_id: str | None
) -> ExitCode:
    """Export tasks, deleted ones included, to FILE, or to standard output without one (or with `-`)."""
    file = None if file is None or _is_standard_output(file) else file
    content = await _content(format_, project_id)
    if file is None and not console.as_json:
        sys.stdout.buffer.write(content)
        return ExitCode.SUCCESS
    if file is None:
        raise click.UsageError("Name a FILE: with --json, standard output is for the report.")
    try:
        await asyncio.to_thread(replace_file, file, content)
    except OSError as error:
        if error.errno in _PLACE_ERRORS:
            raise click.UsageError(
                f"{file} cannot be written ({error.strerror}). Name another FILE."
            ) from error
        raise
    count = content.count(b"\n")
    view = {"file": str(file), "tasks": count}
    console.show(view, lambda: console.line(f"{count} tasks are in {file}."))
    return ExitCode.SUCCESS


def _is_standard_output(file: Path) -> bool:
    """Whether the file is `-`, or another name of standard output, such as /dev/stdout."""
    try:
        return file == STANDARD_OUTPUT or os.path.samestat(file.stat(), os.fstat(OUTPUT))
    except OSError:  # there is none, or it cannot be read, which writing it will tell
        return False


async def _content(format_: str, project_id: str | None) -> bytes:
    client = await service_client(timeout_seconds=LONG_SECONDS_MAX)
    if client is not None:
        query = {"format": format_} | ({} if project_id is None else {"projectId": project_id})
        return await client.fetch("GET", f"/v1/exports?{urlencode(query)}")
    async with inspected(current_settings()) as container:
        return await container.builder().build(ExportTasks)(
            operator(container), format_, project_id=project_id
        )
