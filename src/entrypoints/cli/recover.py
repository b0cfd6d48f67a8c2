"""`tandem recover`: brings a restored source up to its target, or lets the target own the writes."""

from typing import Any

import click

from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.mirror import url_option
from entrypoints.cli.move import dry_run_option, run_step, wait_option
from entrypoints.cli.move_client import Answer, move_client
from entrypoints.cli.session import current_settings, service_client
from entrypoints.cli.tree import TandemCommand
from entrypoints.composition.recoveries import survive_without_service


@click.command(cls=TandemCommand)
@click.option("--from-target", is_flag=True, help="The source is lost: let the target own the writes.")
@click.option("--force", metavar="REASON", help="Give up what had not reached the target; say why.")
@dry_run_option
@wait_option
@url_option
async def recover(
    console: Console, *, from_target: bool, force: str | None, dry_run: bool, wait: bool, url: str | None
) -> ExitCode:
    """Bring a source that is an older copy of itself up to what its target holds, and open it again.

    Own changes of the copy follow as new versions. Exits with 1 if both stores had changed a record, or if they still
    differ.
    """
    if from_target and dry_run:
        raise click.UsageError("--dry-run is for a source that is brought up to its target.")
    if from_target:
        return await _from_target(console, force, url)
    if force is not None:
        raise click.UsageError("--force belongs to --from-target.")
    async with move_client(url, changes=not dry_run) as client:
        job = await run_step(console, client, "recover", {}, is_dry_run=dry_run, wait=wait)
    result: Any = job["result"]
    if result is None:
        ended = "The source can be recovered." if dry_run else f"Job {job['jobId']} runs: tandem move status"
        console.show(job, lambda: console.line(ended))
        return ExitCode.SUCCESS
    console.show(result, lambda: _print(console, result))
    is_clean = result["verification"]["isClean"] and not result["changedTwiceCount"]
    return ExitCode.SUCCESS if is_clean else ExitCode.DIFFERENCE


async def _from_target(console: Console, force: str | None, url: str | None) -> ExitCode:
    if force is None or not force.strip():
        raise click.UsageError("Writes that had not reached the target are given up. Say why: --force REASON")
    if url is None and await service_client() is None:
        owner = await survive_without_service(current_settings(), reason=force.strip())
        view: Answer = {"owner": owner.owner, "epoch": owner.epoch}
    else:
        body = {"fromTarget": True, "force": force}
        async with move_client(url, changes=True) as client:
            job = await run_step(console, client, "recover", body, is_dry_run=False, wait=True)
        view = job["result"]
    console.show(view, lambda: console.line(f"{view['owner']} owns the writes (epoch {view['epoch']})."))
    return ExitCode.SUCCESS


def _print(console: Console, result: Answer) -> None:
    changes, rebased = result["changes"], result["rebased"]
    console.line(f"{changes} changes came back; {rebased} of the source follow as new versions.", bold=True)
    rows = [(one["collection"], one["id"]) for one in result["changedTwice"]]
    if rows:
        console.line(f"Both stores had changed {result['changedTwiceCount']} records. Look at them:")
        console.table(("collection", "id"), rows[:50])
    verification = result["verification"]
    share, count = verification["coverage"], verification["differenceCount"]
    console.line(f"{share:.1%} of the records were compared; {count} differ.")
    if count:
        console.line("Type: tandem move verify --full, then tandem move repair")
