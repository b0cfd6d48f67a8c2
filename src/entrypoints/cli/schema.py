"""`tandem migrate`: the shape of what the stores hold."""

from collections.abc import Sequence

import click

from application.ports.schema import SchemaState
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.session import current_settings, schema_of
from entrypoints.cli.tree import TandemGroup


@click.group(cls=TandemGroup)
def migrate() -> None:
    """Create, upgrade, or step back the schema of every store in use."""


@migrate.command()
async def up(console: Console) -> ExitCode:
    """Bring every store to what this program expects; harmless when done already."""
    async with schema_of(current_settings()) as schema:
        return _shown(console, await schema.upgrade())


@migrate.command()
@click.option("--yes", is_flag=True, help="Go back also where the step drops what it added.")
async def down(console: Console, *, yes: bool) -> ExitCode:
    """Take every store one step back. What the step had added goes, with what it holds."""
    if not yes:
        raise click.UsageError("A step back drops the tables and columns it had added. Say --yes to do it.")
    async with schema_of(current_settings()) as schema:
        _shown(console, await schema.downgrade())
    return ExitCode.FINE


@migrate.command()
async def status(console: Console) -> ExitCode:
    """Show where every store stands. Exits with 1 where one is behind."""
    async with schema_of(current_settings()) as schema:
        return _shown(console, await schema.states())


def _shown(console: Console, states: Sequence[SchemaState]) -> ExitCode:
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
        if not are_current:
            console.line("Type: tandem migrate up")

    console.show({"stores": rows, "isCurrent": are_current}, people)
    return ExitCode.FINE if are_current else ExitCode.DIFFERENCE
