"""`tandem move`: moves the data to the other store while people work, and back."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click

from domain.errors import NotFound, Unavailable
from domain.migration import PERCENT_MAX
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.mirror import url_option
from entrypoints.cli.move_client import PREFIX, Answer, MoveClient, failure_of_job, move_client
from entrypoints.cli.move_report import (
    print_job,
    print_preflight,
    print_status,
    print_switch,
    print_verification,
)
from entrypoints.cli.tree import TandemGroup

POLL_SECONDS = 0.2

dry_run_option = click.option("--dry-run", is_flag=True, help="Only show what the step would find.")
wait_option = click.option("--wait", is_flag=True, help="Follow the step until it ends.")
force_option = click.option("--force", metavar="REASON", help="Move although guards are red; say why.")
percent = click.IntRange(0, PERCENT_MAX)


@click.group(cls=TandemGroup)
def move() -> None:
    """Move the data to the other store while people work, and back.

    The usual order: preflight, backfill, verify, rehearse, cutover, and later finish, or rollback.
    """


@move.command()
@url_option
async def status(console: Console, url: str | None) -> ExitCode:
    """Show where the move stands, and the command to type next.

    Exits with 1 if a guard is red, and with 3 if the source cannot be used.
    """
    async with move_client(url) as client:
        trouble = await client.source_trouble()
        found = await client.ask("GET", PREFIX)
    view: Answer = {**found, "sourceTrouble": trouble}
    console.show(view, lambda: print_status(console, view))
    return _guard_code(view["guards"]) if trouble is None else ExitCode.UNREACHABLE


@move.command()
@url_option
async def preflight(console: Console, url: str | None) -> ExitCode:
    """Read the whole source and report what the target cannot hold. Changes nothing."""
    async with move_client(url) as client:
        job = await run_step(console, client, "preflight", None, is_dry_run=False, wait=True)
    result: Answer = job["result"]
    console.show(result, lambda: print_preflight(console, result))
    return ExitCode.SUCCESS if result["isClear"] else ExitCode.DIFFERENCE


@move.command()
@click.option("--rate", type=click.IntRange(min=1), help="At most so many records per second.")
@click.option("--new-target", is_flag=True, help="Take an empty database in place of a lost target first.")
@dry_run_option
@wait_option
@url_option
async def backfill(
    console: Console, *, rate: int | None, new_target: bool, dry_run: bool, wait: bool, url: str | None
) -> ExitCode:
    """Give the target everything that the source holds. Continues where an earlier attempt ended."""
    body: dict[str, object] = {} if rate is None else {"rate": rate}
    if new_target:
        body["newTarget"] = True
    async with move_client(url, changes=not dry_run, takes_new_target=new_target) as client:
        job = await run_step(console, client, "backfill", body, is_dry_run=dry_run, wait=wait)
    console.show(job, lambda: print_job(console, job, f"{job['result']} records were read."))
    return ExitCode.SUCCESS


@move.command()
@click.option(
    "--incremental/--full", help="Compare only what has changed since it was equal, or every record."
)
@click.option("--self-test", is_flag=True, help="Corrupt records of a scratch copy, which must all be found.")
@dry_run_option
@wait_option
@url_option
async def verify(
    console: Console, *, incremental: bool, self_test: bool, dry_run: bool, wait: bool, url: str | None
) -> ExitCode:
    """Compare the stores in both directions, and keep the result as evidence.

    Exits with 1 if a record differs or was not compared.
    """
    body = {"selfTest": self_test, "mode": "INCREMENTAL" if incremental else "FULL"}
    async with move_client(url, changes=not dry_run) as client:
        job = await run_step(console, client, "verify", body, is_dry_run=dry_run, wait=wait or self_test)
    return _show_verification(console, job)


@move.command()
@dry_run_option
@wait_option
@url_option
async def repair(console: Console, *, dry_run: bool, wait: bool, url: str | None) -> ExitCode:
    """Repair what the last verification found, then verify again."""
    async with move_client(url, changes=not dry_run) as client:
        job = await run_step(console, client, "repair", None, is_dry_run=dry_run, wait=wait)
    return _show_verification(console, job)


@move.command()
@click.argument("collection")
@click.option("--shadow", type=percent, help="Percent of the callers whose reads are compared; left out, 0.")
@click.option("--target", type=percent, help="Percent of the callers that the target answers; left out, 0.")
@dry_run_option
@url_option
async def route(
    console: Console,
    collection: str,
    *,
    shadow: int | None,
    target: int | None,
    dry_run: bool,
    url: str | None,
) -> ExitCode:
    """Set which store answers the reads of COLLECTION, or of `all`."""
    if shadow is None and target is None:
        raise click.UsageError("Give --shadow, --target, or both.")
    body = {"collection": collection, "shadowPercent": shadow or 0, "targetPercent": target or 0}
    async with move_client(url, changes=not dry_run) as client:
        view: Answer = await client.ask("POST", f"{PREFIX}/routes{_query(is_dry_run=dry_run)}", body)
    console.show(view, lambda: print_status(console, view))
    return ExitCode.SUCCESS


@move.command()
@dry_run_option
@wait_option
@url_option
async def rehearse(console: Console, *, dry_run: bool, wait: bool, url: str | None) -> ExitCode:
    """Go through a cut-over up to the decision and take it back, to measure how long writes pause.

    It ends with the result in any case, with or without --wait.
    """
    del wait
    return await _switch(console, "rehearse", url=url, is_dry_run=dry_run)


@move.command()
@dry_run_option
@force_option
@url_option
async def cutover(console: Console, *, dry_run: bool, force: str | None, url: str | None) -> ExitCode:
    """Make the target the owner of the writes. The former owner receives the mirror from then on."""
    return await _switch(console, "cutover", url=url, is_dry_run=dry_run, force=force)


@move.command()
@dry_run_option
@force_option
@url_option
async def rollback(console: Console, *, dry_run: bool, force: str | None, url: str | None) -> ExitCode:
    """Make the former owner the owner of the writes again."""
    return await _switch(console, "rollback", url=url, is_dry_run=dry_run, force=force)


@move.command()
@dry_run_option
@url_option
async def finish(console: Console, *, dry_run: bool, url: str | None) -> ExitCode:
    """Stop the reverse mirror and write the evidence. There is no way back afterwards."""
    async with move_client(url, changes=not dry_run) as client:
        view: Answer = await client.ask("POST", f"{PREFIX}/finish{_query(is_dry_run=dry_run)}")
    path = view["evidenceFile"]
    outcome = (
        "The step is possible now." if path is None else f"The move is finished; the evidence is in {path}"
    )
    console.show(view, lambda: console.line(outcome))
    return ExitCode.SUCCESS


@move.command()
@dry_run_option
@url_option
async def retire(console: Console, *, dry_run: bool, url: str | None) -> ExitCode:
    """Release the former owner, which was kept as a backup."""
    return await _changed(console, "retire", url, is_dry_run=dry_run)


@move.command()
@url_option
async def pause(console: Console, url: str | None) -> ExitCode:
    """Pause the backfill; `tandem move resume` continues it."""
    return await _changed(console, "pause", url)


@move.command()
@url_option
async def resume(console: Console, url: str | None) -> ExitCode:
    """Continue a paused backfill."""
    return await _changed(console, "resume", url)


@move.group()
def quarantine() -> None:
    """Decide about records that the target rejects."""


@quarantine.command("list")
@url_option
async def list_quarantine(console: Console, url: str | None) -> ExitCode:
    """List the records in quarantine. Exits with 1 if one waits for a decision."""
    async with move_client(url) as client:
        view: Answer = await client.ask("GET", f"{PREFIX}/quarantine")
    items: list[Answer] = view["items"]
    console.show(view, lambda: _print_quarantine(console, items))
    return ExitCode.DIFFERENCE if any(one["decision"] is None for one in items) else ExitCode.SUCCESS


@quarantine.command("fix")
@click.argument("id")
@click.option("--reason", default="corrected", show_default=True)
@url_option
async def fix_quarantined(console: Console, id: str, *, reason: str, url: str | None) -> ExitCode:
    """Try a rejected record again, after it was corrected."""
    return await _decide(console, f"{quote(id, safe='')}/fix", reason, url)


@quarantine.command("skip")
@click.argument("id")
@click.option("--reason", required=True, help="Why the record stays behind.")
@url_option
async def skip_quarantined(console: Console, id: str, *, reason: str, url: str | None) -> ExitCode:
    """Leave a rejected record behind."""
    return await _decide(console, f"{quote(id, safe='')}/skip", reason, url)


def _print_quarantine(console: Console, items: list[Answer]) -> None:
    if not items:
        console.line("No record is in quarantine.")
        return
    rows = [(one["id"], one["reason"], one["decision"]) for one in items]
    console.table(("id", "reason", "decision"), rows)


async def _decide(console: Console, path: str, reason: str, url: str | None) -> ExitCode:
    async with move_client(url, changes=True) as client:
        view: Answer = await client.ask("POST", f"{PREFIX}/quarantine/{path}", {"reason": reason})
    console.show(view, lambda: console.line(f"{view['id']}: {view['decision']}"))
    return ExitCode.SUCCESS


async def _changed(console: Console, step: str, url: str | None, *, is_dry_run: bool = False) -> ExitCode:
    async with move_client(url, changes=not is_dry_run) as client:
        view: Answer = await client.ask("POST", f"{PREFIX}/{step}{_query(is_dry_run=is_dry_run)}")
    console.show(view, lambda: print_status(console, view))
    return ExitCode.SUCCESS


async def _switch(
    console: Console, step: str, *, url: str | None, is_dry_run: bool, force: str | None = None
) -> ExitCode:
    body = {"force": force} if step != "rehearse" else None
    async with move_client(url, changes=not is_dry_run) as client:
        view: Answer = await client.ask("POST", f"{PREFIX}/{step}{_query(is_dry_run=is_dry_run)}", body)
    console.show(view, lambda: print_switch(console, view))
    if not is_dry_run:
        return ExitCode.SUCCESS
    can_be_used = all(guard["green"] for guard in view["guards"] if guard["code"] == "target")
    return _guard_code(view["guards"]) if can_be_used else ExitCode.UNREACHABLE


async def run_step(
    console: Console, client: MoveClient, step: str, body: object, *, is_dry_run: bool, wait: bool
) -> Answer:
    """Starts a long step and follows it, if that was asked for or the step would end with this process.

    Raises the error with which it ended.
    """
    job: Answer = await client.ask("POST", f"{PREFIX}/{step}{_query(is_dry_run=is_dry_run)}", body)
    waits_for = None
    with console.progress(step) as show:
        while (wait or not client.is_lasting) and job["state"] == "RUNNING":
            await asyncio.sleep(POLL_SECONDS)
            job = await _followed(client, job)
            if (progress := job["progress"]) is not None:
                show(progress["done"], progress["total"] or progress["done"])
                if progress["waitsFor"] not in (None, waits_for):
                    console.note(f"{step} waits. {progress['waitsFor']}")
                waits_for = progress["waitsFor"]
    if job["state"] == "FAILED":
        raise failure_of_job(job)
    return job


async def _followed(client: MoveClient, job: Answer) -> Answer:
    """The same job, a little later. Raises Unavailable if the service was started again meanwhile."""
    try:
        return await client.ask("GET", f"{PREFIX}/jobs/{job['jobId']}")
    except NotFound as unknown:
        raise Unavailable(
            f"Tandem was started again while the {job['step']} was under way. Type the command again: it continues with"
            " what was stored."
        ) from unknown


def _query(*, is_dry_run: bool) -> str:
    return "?dryRun=true" if is_dry_run else ""


def _guard_code(guards: list[Answer]) -> ExitCode:
    return ExitCode.SUCCESS if all(guard["green"] for guard in guards) else ExitCode.DIFFERENCE


def _show_verification(console: Console, job: Answer) -> ExitCode:
    result: Any = job["result"]
    if result is None:
        console.show(job, lambda: print_job(console, job, ""))
        return ExitCode.SUCCESS
    if not isinstance(result, Mapping):
        console.show(job, lambda: print_job(console, job, f"{result} corrupted records were found."))
        return ExitCode.SUCCESS
    console.show(result, lambda: print_verification(console, result))
    return ExitCode.SUCCESS if result["isClean"] else ExitCode.DIFFERENCE
