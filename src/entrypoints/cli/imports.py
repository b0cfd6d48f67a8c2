"""`tandem import`: imports the issues of another tracker as tasks of one project."""

import asyncio
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from application.accounts.users import SearchUsers, no_account
from application.actor import Actor
from application.interchange.imports import ImportIssues, ImportRequest
from application.interchange.report import Fate
from application.paging import LIMIT_MAX, PageRequest
from application.ports.interchange import CONTENT_BYTES_MAX
from domain.display import displayed
from domain.errors import Unavailable
from domain.user import normal_email
from entrypoints.cli.console import Console, document
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.running_service import LONG_SECONDS_MAX, ServiceClient, ServiceGone
from entrypoints.cli.session import current_settings, inspected, opened, operator, service_client
from entrypoints.cli.tree import TandemCommand
from entrypoints.composition.container import Container
from entrypoints.http.files import LINES_TYPE, ImportReportView, report_view

_WORDS = {
    Fate.CREATED: "tasks created",
    Fate.CREATED_IN_TRASH: "tasks created in the trash, as in the file",
    Fate.CHANGED: "tasks changed",
    Fate.TRASHED: "tasks moved to the trash",
    Fate.UNCHANGED: "tasks unchanged",
    Fate.SKIPPED: "issues skipped",
}

_CHANGING = (Fate.CREATED, Fate.CREATED_IN_TRASH, Fate.CHANGED, Fate.TRASHED)
REQUESTS_MAX = 10
"""How many requests one import may take: each continues where the one before ended."""
REQUEST_PAUSE_SECONDS = 1.0


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
    request = ImportRequest(
        content=await asyncio.to_thread(_content, file),
        format=format_,
        project_name=format_.capitalize() if project_name is None else project_name,
        is_dry_run=is_dry_run,
        is_strict=is_strict,
    )
    client = await service_client(timeout_seconds=LONG_SECONDS_MAX)
    if client is not None:
        report = await _imported_by(client, request, owner)
    else:
        settings = current_settings()
        async with inspected(settings) if is_dry_run else opened(settings, creates=True) as container:
            actor = await _importer(container, owner)
            with console.progress("Imported") as progress:
                result = await container.builder().build(ImportIssues)(actor, request, progress=progress)
        report = report_view(result)
    console.show(document(report), lambda: _print(console, report))
    return ExitCode.SUCCESS


async def _imported_by(client: ServiceClient, request: ImportRequest, owner: str | None) -> ImportReportView:
    """The report of the running service. It imports what is missing, so a request that takes too long is repeated."""
    request.require_size()
    importer = client if owner is None else await client.acting_as(str((await client.account(owner))["id"]))
    query = urlencode(
        {
            "format": request.format,
            "project": request.project_name,
            "dryRun": str(request.is_dry_run).lower(),
            "strict": str(request.is_strict).lower(),
        }
    )
    for _ in range(REQUESTS_MAX - 1):
        try:
            return await _import_request(importer, query, request.content)
        except ServiceGone:
            raise
        except Unavailable:
            await asyncio.sleep(REQUEST_PAUSE_SECONDS)
    return await _import_request(importer, query, request.content)


async def _import_request(client: ServiceClient, query: str, content: bytes) -> ImportReportView:
    answer = await client.fetch("POST", f"/v1/imports?{query}", content=content, kind=LINES_TYPE)
    return msgspec.json.decode(answer, type=ImportReportView)


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
    raise no_account(address)


def _print(console: Console, report: ImportReportView) -> None:
    if report.dry_run:
        console.line("Dry run: nothing was changed. The import would have this outcome:", bold=True)
    kind = "new project" if report.project.is_new else "project"
    console.line(f"{kind} “{report.project.name}” ({report.project.id})")
    if report.new_labels:
        console.line(f"new labels: {', '.join(report.new_labels)}")
    for fate, count in report.counts.items():
        if count:
            console.line(f"{count:6} {_WORDS[Fate(fate)]}")
    for skip in report.skipped:
        console.line(f"       {displayed(skip.key)}: {displayed(skip.why)}")
    if report.lost:
        console.line("Not imported, because tasks cannot hold it:", bold=True)
        rows = [
            (loss.count, displayed(loss.field), displayed(loss.why), displayed(", ".join(loss.examples)))
            for loss in report.lost
        ]
        console.table(("count", "field", "reason", "examples"), rows)
    if not (report.project.is_new or report.new_labels or _changes(report)):
        console.line("Nothing changed: everything was imported before.")


def _changes(report: ImportReportView) -> int:
    return sum(report.counts.get(fate, 0) for fate in _CHANGING)
