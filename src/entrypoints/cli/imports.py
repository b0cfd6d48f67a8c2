"""`tandem import`: the issues of another tracker, as tasks of one project."""

import asyncio
from dataclasses import asdict
from pathlib import Path

import click

from application.accounts.users import SearchUsers
from application.actor import Actor
from application.interchange.imports import ImportIssues, ImportRequest
from application.interchange.report import Fate, ImportReport
from application.paging import LIMIT_MAX, PageRequest
from application.ports.interchange import CONTENT_BYTES_MAX
from domain.errors import NotFound
from domain.user import normal_email
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.session import current_settings, opened, operator, require_stores_free
from entrypoints.cli.tree import TandemCommand
from entrypoints.composition.container import Container

_WORDS = {
    Fate.CREATED: "tasks created",
    Fate.CREATED_IN_TRASH: "tasks created in the trash, where they were",
    Fate.CHANGED: "tasks changed",
    Fate.TRASHED: "tasks moved to the trash",
    Fate.UNCHANGED: "tasks were as they should be",
    Fate.SKIPPED: "left alone",
}


@click.command("import", cls=TandemCommand)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "format_", required=True, help="The format of the file: beads.")
@click.option(
    "--project", "project_name", help="The project that receives the tasks; made where there is none."
)
@click.option("--owner", metavar="EMAIL", help="Whose project it is. Without it, only administrators see it.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Tell what would happen and change nothing.")
async def import_issues(
    console: Console,
    file: Path,
    format_: str,
    *,
    project_name: str | None,
    owner: str | None,
    is_dry_run: bool,
) -> ExitCode:
    """Import FILE. Again, it brings only the differences; what is in the trash here stays there."""
    settings = current_settings()
    await require_stores_free(settings, purpose="import")
    request = ImportRequest(
        content=await asyncio.to_thread(_content, file),
        format=format_,
        project_name=project_name or format_.capitalize(),
        is_dry_run=is_dry_run,
    )
    async with opened(settings) as container:
        actor = await _importer(container, owner)
        with console.progress("Imported") as progress:
            report = await container.builder().build(ImportIssues)(actor, request, progress=progress)
    console.show(_view(report), lambda: _print(console, report))
    return ExitCode.FINE


def _content(file: Path) -> bytes:
    """The file, or so much of it that the import sees that it is too large."""
    with file.open("rb") as opened_file:
        return opened_file.read(CONTENT_BYTES_MAX + 1)


async def _importer(container: Container, owner: str | None) -> Actor:
    """The owner as actor, or Tandem itself. Raises NotFound for an address nobody has: it may be a slip."""
    actor = operator(container)
    if owner is None:
        return actor
    address = normal_email(owner)
    found = await container.builder().build(SearchUsers)(actor, address, PageRequest(limit=LIMIT_MAX))
    for seen in found.items:
        if seen.user.email == address:
            return Actor(id=seen.id, grants=frozenset(seen.user.grants), request_id=actor.request_id)
    raise NotFound(f"Nobody has the address {address}: whoever it belongs to must sign in once.")


def _view(report: ImportReport) -> dict[str, object]:
    return {
        "format": report.format,
        "dryRun": report.is_dry_run,
        "project": {"id": report.project_id, "name": report.project_name, "isNew": report.is_new_project},
        "newLabels": list(report.new_labels),
        "counts": {fate.value: count for fate, count in report.fates.items()},
        "skipped": [asdict(skip) for skip in report.skipped],
        "lost": [asdict(loss) for loss in report.lost],
    }


def _print(console: Console, report: ImportReport) -> None:
    if report.is_dry_run:
        console.line("Dry run: nothing was changed. An import would end like this:", style="bold")
    made = "new project" if report.is_new_project else "project"
    console.line(f"{made} “{report.project_name}” ({report.project_id})")
    if report.new_labels:
        console.line(f"new labels: {', '.join(report.new_labels)}")
    for fate, count in report.fates.items():
        if count:
            console.line(f"{count:6} {_WORDS[fate]}")
    for skip in report.skipped:
        console.line(f"       {skip.key} {skip.why}")
    if report.lost:
        console.line("What a task cannot hold:", style="bold")
        rows = [(loss.count, loss.field, loss.why, ", ".join(loss.examples)) for loss in report.lost]
        console.table(("times", "field", "why", "for example"), rows)
    if report.changes_nothing:
        console.line("Everything was there already.")
