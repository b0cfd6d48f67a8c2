"""`tandem migrate`: the shape of what the stores hold."""

from collections.abc import Sequence

import click

from application.ports.schema import OldRecords, SchemaState
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.session import STORE_WAIT_SECONDS_MAX, current_settings, opened, schema_of
from entrypoints.cli.tree import TandemGroup
from entrypoints.composition.start import bring_roles


@click.group(cls=TandemGroup)
def migrate() -> None:
    """Create, upgrade, or step back the schema of every store in use."""


@migrate.command()
async def up(console: Console) -> ExitCode:
    """Bring every store to what this program expects, old records included; harmless when done already.

    May run beside the service: old records are stored anew in small batches, under the versions they have.
    """
    settings = current_settings()
    async with schema_of(settings) as schema:
        states = await schema.upgrade()
        old = await schema.rewrite()
    async with opened(settings) as container:
        await bring_roles(container, within_seconds=STORE_WAIT_SECONDS_MAX)
    return _shown(console, states, old)


@migrate.command()
@click.option("--yes", is_flag=True, help="Go back also where the step drops what it added.")
async def down(console: Console, *, yes: bool) -> ExitCode:
    """Take every store one step back. What the step had added goes, with what it holds."""
    if not yes:
        raise click.UsageError("A step back drops the tables and columns it had added. Say --yes to do it.")
    async with schema_of(current_settings()) as schema:
        _shown(console, await schema.downgrade(), await schema.waiting())
    return ExitCode.FINE


@migrate.command()
async def status(console: Console) -> ExitCode:
    """Show where every store stands, and how many old records wait for an upgrade. Exits with 1 where one is behind.

    Records that wait are read in today's form already, but some lists and searches miss them until `migrate up` has
    stored them so. Of large collections the first part is counted, and the answer says so.
    """
    async with schema_of(current_settings()) as schema:
        return _shown(console, await schema.states(), await schema.waiting())


def _shown(
    console: Console,
    states: Sequence[SchemaState],
    old: Sequence[OldRecords],
) -> ExitCode:
    rows = [
        {
            "store": state.store,
            "revision": state.revision,
            "expected": state.expected,
            "isCurrent": state.is_current,
        }
        for state in states
    ]
    are_current = all(state.is_current for state in states)

    def people() -> None:
        console.table(("store", "revision", "expected"), [(s.store, s.revision, s.expected) for s in states])
        _tell_of_records(console, old)
        if any(one.waiting for one in old) or not are_current:
            console.line("Type: tandem migrate up")

    view = {
        "stores": rows,
        "isCurrent": are_current,
        "records": list(map(_row, old)),
    }
    console.show(view, people)
    return ExitCode.FINE if are_current else ExitCode.DIFFERENCE


def _row(old: OldRecords) -> dict[str, object]:
    return {
        "store": old.store,
        "collection": old.collection,
        "lookedAt": old.looked_at,
        "waiting": old.waiting,
        "unfit": old.unfit,
        "rewritten": old.rewritten,
        "isComplete": old.is_complete,
    }


def _tell_of_records(console: Console, old: Sequence[OldRecords]) -> None:
    told = [one for one in old if one.waiting or one.unfit or one.rewritten]
    if told:
        columns = ("store", "collection", "records looked at", "waiting", "unfit", "rewritten")
        console.table(
            columns,
            [
                (one.store, one.collection, _looked_at(one), one.waiting, one.unfit, one.rewritten)
                for one in told
            ],
        )
    elif old:
        looked_at = sum(one.looked_at for one in old)
        more = "" if all(one.is_complete for one in old) else " of more"
        console.line(f"No record waits for an upgrade ({looked_at}{more} looked at).")


def _looked_at(one: OldRecords) -> str:
    return str(one.looked_at) if one.is_complete else f"the first {one.looked_at}"
