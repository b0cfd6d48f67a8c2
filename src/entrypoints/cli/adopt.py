"""`tandem adopt`: takes over the MongoDB database of another service."""

import shlex

import click
from loguru import logger

from application.ports.adoption import AdoptionReport, SoFar
from domain.errors import Conflict
from entrypoints.cli.console import Console, View
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.session import current_settings, opened, running_service
from entrypoints.cli.tree import TandemCommand
from entrypoints.composition.adoption import adopt as adopt_originals
from entrypoints.composition.adoption import (
    census,
    for_adoption,
    make_room,
    originals_in,
    require_adoptable,
)

SHOWN_MAX = 50
NO_ADMINISTRATOR = "Nobody administers the installation. Once it is adopted, type: tandem admin grant EMAIL"
NEXT = {
    SoFar.NOT_BEGUN: "To take it over, type: {command}",
    SoFar.INTERRUPTED: "An adoption was interrupted. To complete it, type: {command}",
    SoFar.COMPLETE: "The adoption is complete, and what people have changed since stays. To take over documents of the"
    " quarantine that were corrected, type: {command}",
    SoFar.UNKNOWN: "The store cannot be read now, so it is not known whether the database was adopted before. If so,"
    " only corrected documents of the quarantine are taken over with: {command}",
}
"""What a dry run says last, where an adoption is possible."""


@click.command(cls=TandemCommand)
@click.option("--from", "database", metavar="DATABASE", help="The database to adopt; otherwise DB_NAME.")
@click.option("--dry-run", is_flag=True, help="Only show what would be taken over, and how; change nothing.")
@click.option("--wait", is_flag=True, help="Follow the adoption until it ends (what it does in any case).")
async def adopt(console: Console, *, database: str | None, dry_run: bool, wait: bool) -> ExitCode:
    """Take over a MongoDB database of the usual public shape: users, tasks, teams, labels, roles and so on.

    Its collections stay as they are. The command can be repeated after a crash, and exits with 1 if documents are in
    quarantine. Stop the other service first: what it writes meanwhile is missed.
    """
    del wait
    settings = current_settings()
    if settings.stores.mongodb_uri is None:
        raise click.UsageError("Set MONGODB_URI to the server of the database that is to be adopted.")
    async with originals_in(settings, database or settings.stores.database) as originals:
        if not dry_run:
            await _require_no_service()
        logger.remove()  # the command itself says what it found
        with console.progress("Reading") as progress:
            report = await census(settings, originals, progress)
        if not dry_run:
            require_adoptable(report)
            await make_room(settings, originals)
            async with opened(for_adoption(settings), creates=True) as container:
                with console.progress("Adopting") as progress:
                    report = await adopt_originals(container, originals, progress)
    command = "tandem adopt" if database is None else f"tandem adopt --from {shlex.quote(database)}"
    console.show(_view(report), lambda: _print(console, report, command))
    return ExitCode.SUCCESS if report.is_clear else ExitCode.DIFFERENCE


async def _require_no_service() -> None:
    """Raises Conflict while the service runs: people would see a part of the records."""
    service = await running_service()
    if service is not None:
        raise Conflict(
            f"Tandem runs at {service.url} (process {service.pid}). Stop it first: kill {service.pid}. Then adopt, and"
            " start it again: tandem serve"
        )


def _view(report: AdoptionReport) -> View:
    return {
        "database": report.database,
        "isDryRun": report.written is None,
        "isClear": report.is_clear,
        "soFar": report.so_far.value,
        "written": report.written,
        "hasAdministrator": report.has_administrator,
        "documents": {
            name: {"found": one.documents, "adopted": one.adopted, "quarantined": one.quarantined}
            for name, one in report.documents.items()
        },
        "records": dict(report.records),
        "findings": [
            {
                "code": one.code,
                "collection": one.collection,
                "count": one.count,
                "samples": list(one.samples),
                "consequence": one.consequence,
                "remedy": one.remedy,
                "blocks": one.blocks,
            }
            for one in report.findings
        ],
        "quarantine": [
            {"collection": one.collection, "id": one.id, "reason": one.reason} for one in report.set_aside
        ],
    }


def _print(console: Console, report: AdoptionReport, command: str) -> None:
    rows = [(name, one.documents, one.adopted, one.quarantined) for name, one in report.documents.items()]
    console.table(("collection", "documents", "taken over", "quarantine"), rows)
    for finding in report.findings:
        samples = ", ".join(one for one in finding.samples if one)
        console.line(
            f"{finding.collection}: {finding.count} {finding.code}{f' ({samples})' if samples else ''}"
        )
        console.line(f"  {finding.consequence} {finding.remedy}")
    for one in report.set_aside[:SHOWN_MAX]:
        console.line(f"In quarantine: {one.collection} {one.id}: {one.reason}")
    if not report.has_administrator and report.so_far is not SoFar.COMPLETE:
        console.note(NO_ADMINISTRATOR)
    if report.written is None:
        console.line(f"Nothing was changed. {_next(report, command)}")
    else:
        console.line(
            f"{report.written} records were written; all can be read. Start Tandem: tandem serve", bold=True
        )


def _next(report: AdoptionReport, command: str) -> str:
    """What to do after a dry run."""
    try:
        require_adoptable(report)
    except Conflict as conflict:
        return conflict.message
    return NEXT[report.so_far].format(command=command)
