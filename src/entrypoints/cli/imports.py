"""`tandem import`: imports the issues of another tracker as tasks of one project."""

import asyncio
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
from entrypoints.cli.console import Console, document
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.session import current_settings, opened, operator, require_stores_free
from entrypoints.cli.tree import TandemCommand
from entrypoints.composition.container import Container
from entrypoints.http.files import report_view

_WORDS = {
    Fate.CREATED: "tasks created",
    Fate.CREATED_IN_TRASH: "tasks created in the trash, as in the file",
    Fate.CHANGED: "tasks changed",
    Fate.TRASHED: "tasks moved to the trash",
    Fate.UNCHANGED: "tasks unchanged",
    Fate.SKIPPED: "issues skipped",
}


@click.command("import", cls=TandemCommand)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "format_", required=True, help="The format of the file: beads.")
@click.option("--project", "project_name", help="The project for the tasks; created if it does not exist.")
@click.option(
    "--owner",
    metavar="EMAIL",
    help="The owner of a new project; without one, only administrators see it.",
)
@click.option("--strict", "is_strict", is_flag=True, help="Reject the file if one issue does not fit.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Show the outcome; change nothing.")
async def import_issues(  # noqa: PLR0913 - one name for each option
    console: Console,
    file: Path,
    format_: str,
    *,
    project_name: str | None,
    owner: str | None,
    is_strict: bool,
    is_dry_run: bool,
) -> ExitCode:
    """Import FILE. Repeating it imports only the differences, and leaves tasks in the trash there.

    An issue that does not fit is skipped and named with the reason.
    """
    settings = current_settings()
    await require_stores_free(settings, purpose="import")
    request = ImportRequest(
        content=await asyncio.to_thread(_content, file),
        format=format_,
        project_name=project_name or format_.capitalize(),
        is_dry_run=is_dry_run,
        is_strict=is_strict,
    )
    async with opened(settings) as container:
        actor = await _importer(container, owner)
        with console.progress("Imported") as progress:
            report = await container.builder().build(ImportIssues)(actor, request, progress=progress)
    console.show(document(report_view(report)), lambda: _print(console, report))
    return ExitCode.SUCCESS


def _content(file: Path) -> bytes:
    """The content of the file, up to one byte more than the limit that the import checks."""
    with file.open("rb") as opened_file:
        return opened_file.read(CONTENT_BYTES_MAX + 1)


async def _importer(container: Container, owner: str | None) -> Actor:
    """The owner as actor, else the system. Raises NotFound for an unknown address, which may be a typing error."""
    actor = operator(container)
    if owner is None:
        return actor
    address = normal_email(owner)
    found = await container.builder().build(SearchUsers)(actor, address, PageRequest(limit=LIMIT_MAX))
    for details in found.items:
        if details.user.email == address:
            return Actor(id=details.id, grants=frozenset(details.user.grants), request_id=actor.request_id)
    raise NotFound(
        f"There is no account with the address {address}. Correct it, or let its owner sign in once."
    )


def _print(console: Console, report: ImportReport) -> None:
    if report.is_dry_run:
        console.line("Dry run: nothing was changed. The import would have this outcome:", bold=True)
    kind = "new project" if report.is_new_project else "project"
    console.line(f"{kind} “{report.project_name}” ({report.project_id})")
    if report.new_labels:
        console.line(f"new labels: {', '.join(report.new_labels)}")
    for fate, count in report.fates.items():
        if count:
            console.line(f"{count:6} {_WORDS[fate]}")
    for skip in report.skipped:
        console.line(f"       {skip.key} {skip.why}")
    if report.lost:
        console.line("Not imported, because tasks cannot hold it:", bold=True)
        rows = [(loss.count, loss.field, loss.why, ", ".join(loss.examples)) for loss in report.lost]
        console.table(("count", "field", "reason", "examples"), rows)
    if report.changes_nothing:
        console.line("Nothing changed: everything was imported before.")
