"""`tandem sync`: the state of the mirror, its failures, retries, and the history of one record."""

from collections.abc import Mapping
from typing import Any

import click

from domain.errors import Unavailable
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.mirror_client import mirror_client
from entrypoints.cli.tree import TandemGroup
from entrypoints.composition.variables import is_web_address

FAILURES_DEFAULT = 50
FAILURES_MAX = 200


def _address(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
    if url is not None and not is_web_address(url):
        raise click.BadParameter("It must be an address such as http://127.0.0.1:8000")
    return url


url_option = click.option(
    "--url", metavar="URL", callback=_address, help="Send the request to the service at this address."
)


@click.group(cls=TandemGroup)
def sync() -> None:
    """Show and repair the mirror from the source to the target."""


@sync.command()
@click.argument("collection", required=False)
@click.argument("id", required=False)
@url_option
async def status(console: Console, collection: str | None, id: str | None, url: str | None) -> ExitCode:
    """Show the state of the mirror, or of one record in both stores.

    Exits with 1 if entries failed or are parked, or if the record is not mirrored, and with 3 if a store cannot be
    reached or must not be used.
    """
    if (collection is None) != (id is None):
        raise click.UsageError("Give both COLLECTION and ID, or neither.")
    async with mirror_client(url) as client:
        if collection is not None and id is not None:
            record: Mapping[str, Any] = await client.status(collection, id)
            console.show(record, lambda: _print_record(console, record))
            return _record_code(record)
        trouble = await client.source_trouble()
        try:
            metrics: Mapping[str, Any] = await client.metrics()
        except Unavailable as error:
            raise (
                error if trouble is None else Unavailable(f"The source cannot be used. {trouble}")
            ) from error
    view = {**metrics, "sourceTrouble": trouble}
    console.show(view, lambda: _print_metrics(console, view))
    return ExitCode.UNREACHABLE if trouble is not None else _mirror_code(metrics)


@sync.command()
@click.option("--limit", type=click.IntRange(1, FAILURES_MAX), default=FAILURES_DEFAULT, show_default=True)
@url_option
async def failures(console: Console, limit: int, url: str | None) -> ExitCode:
    """List entries that could not be mirrored, oldest first. Exits with 1 if there are any."""
    async with mirror_client(url) as client:
        view: Mapping[str, Any] = await client.failures(limit=limit)
    console.show(view, lambda: _print_failures(console, view))
    return ExitCode.DIFFERENCE if view["items"] else ExitCode.SUCCESS


@sync.command()
@click.argument("collection", required=False)
@click.argument("id", required=False)
@click.option("--all", "everything", is_flag=True, help="Queue all entries that failed or are parked.")
@url_option
async def retry(
    console: Console, collection: str | None, id: str | None, *, everything: bool, url: str | None
) -> ExitCode:
    """Mirror one record now, or queue all failures again. Exits with 1 where there is no mirror."""
    if everything == (collection is not None) or (collection is None) != (id is None):
        raise click.UsageError("Give COLLECTION and ID of one record, or --all.")
    async with mirror_client(url, changes=True) as client:
        if collection is not None and id is not None:
            record: Mapping[str, Any] = await client.retry(collection, id)
            console.show(record, lambda: _print_retried(console, record))
            return _record_code(record)
        view: Mapping[str, Any] = await client.retry_all()
    console.show(view, lambda: console.line(f"{view['requeued']} entries are queued again."))
    return ExitCode.SUCCESS


@sync.command()
@click.argument("collection")
@click.argument("id")
@click.option("--reason", required=True, help="Why the version is given up; the history keeps it.")
@url_option
async def discard(console: Console, collection: str, id: str, *, reason: str, url: str | None) -> ExitCode:
    """Give up a version that the target rejects.

    The source takes back the content that the target holds, as a new version. A record that the target has never held
    keeps its content and stays absent there until its next version: a known difference, with which this exits with 1.
    """
    async with mirror_client(url) as client:
        record: Mapping[str, Any] = await client.discard(collection, id, reason)
    console.show(record, lambda: _print_record(console, record))
    return _record_code(record)


@sync.command()
@click.argument("collection")
@click.argument("id")
@url_option
async def history(console: Console, collection: str, id: str, url: str | None) -> ExitCode:
    """List the versions of a record, their authors, and which stores hold them.

    Exits with 3 if the target cannot be reached.
    """
    async with mirror_client(url) as client:
        view: Mapping[str, Any] = await client.history(collection, id)
    console.show(view, lambda: _print_history(console, view))
    return ExitCode.SUCCESS if view["targetTrouble"] is None else ExitCode.UNREACHABLE


def _mirror_code(metrics: Mapping[str, Any]) -> ExitCode:
    if metrics["target"] is not None and not metrics["targetReachable"]:
        return ExitCode.UNREACHABLE
    totals = metrics["totals"]
    return ExitCode.DIFFERENCE if totals["failed"] + totals["parked"] else ExitCode.SUCCESS


def _record_code(record: Mapping[str, Any]) -> ExitCode:
    if not record["isTargetRead"]:
        return ExitCode.UNREACHABLE
    return ExitCode.SUCCESS if record["status"] == "SYNCED" else ExitCode.DIFFERENCE


def _print_metrics(console: Console, metrics: Mapping[str, Any]) -> None:
    if metrics["sourceTrouble"] is not None:
        console.line(f"The source CANNOT BE USED: {metrics['sourceTrouble']}")
    if metrics["target"] is None:
        console.line(f"There is no mirror: {metrics['source']} is the only store.")
        return
    state = "is reachable" if metrics["targetReachable"] else "CANNOT BE USED"
    paused = ", paused by DUAL_WRITE_ENABLED=false" if metrics["paused"] else ""
    console.line(
        f"{metrics['source']} → {metrics['target']} ({metrics['mode']}{paused}); the target {state}."
    )
    if metrics["breaker"]["reason"] is not None:
        console.line(
            f"The target is not called since {metrics['breaker']['since']}: {metrics['breaker']['reason']}"
        )
    for blocked in metrics["blockedTables"]:
        console.line(f"{blocked['table']} is blocked, {blocked['waiting']} entries wait: {blocked['cause']}")
    if metrics["etaSeconds"] is not None:
        console.line(
            f"The backlog takes about {metrics['etaSeconds']} s at {metrics['ratePerSecond']} entries a second."
        )
    names = (
        "collection",
        "synced",
        "pending",
        "failed",
        "parked",
        "oldestPendingAgeMs",
        "mirrorLatencyP99Ms",
    )
    headings = (
        "collection",
        "synced",
        "pending",
        "failed",
        "parked",
        "oldest pending (ms)",
        "mirror p99 (ms)",
    )
    rows = [[row[name] for name in names] for row in metrics["collections"]]
    console.table(headings, rows)


def _print_retried(console: Console, record: Mapping[str, Any]) -> None:
    words = {
        "DELIVERED": "The target holds the current state.",
        "BLOCKED": "It is blocked, and the mirror tries again by itself.",
        "REJECTED": "The target rejected it again.",
        "NOTHING_TO_DO": "There was nothing to deliver.",
    }
    detail = "" if record["detail"] is None else f" {record['detail']}"
    console.line(f"{words[record['outcome']]}{detail}")
    _print_record(console, record)


def _print_record(console: Console, record: Mapping[str, Any]) -> None:
    console.line(
        f"{record['collection']} {record['id']}: {record['status']}, "
        f"version {_shown(record['sourceVersion'])} in the source, "
        f"{_shown(record['targetVersion']) if record['isTargetRead'] else 'not known which'} in the target."
    )
    if record["lastError"] is not None:
        counted = f"Last error, after {record['attempts']} attempts" if record["attempts"] else "The reason"
        console.line(f"{counted}: {record['lastError']}")
    if record["nextAttemptAt"] is not None:
        console.line(f"Next attempt at {record['nextAttemptAt']}.")


def _print_failures(console: Console, view: Mapping[str, Any]) -> None:
    if not view["items"]:
        console.line("There are no failures.")
        return
    names = ("collection", "id", "version", "status", "attempts", "at", "lastError")
    console.table(names, [[row[name] for name in names] for row in view["items"]])
    console.line("To try again, type: tandem sync retry COLLECTION ID, or: tandem sync retry --all")
    console.line('To give a version up, type: tandem sync discard COLLECTION ID --reason "…"')


def _print_history(console: Console, view: Mapping[str, Any]) -> None:
    headings = ("version", "action", "at", "by", "mirrored", "source", "target", "reason")
    rows = [
        (
            row["version"],
            row["action"],
            row["at"],
            row["actorId"],
            row["mirroredAt"] or row["status"],
            "yes" if row["inSource"] else "no",
            {True: "yes", False: "no", None: "not known"}[row["inTarget"]],
            row["lastError"],
        )
        for row in view["items"]
    ]
    console.table(headings, rows)
    if view["targetTrouble"] is not None:
        console.line(f"The target could not be read: {view['targetTrouble']}")


def _shown(version: object) -> str:
    return "none" if version is None else str(version)
