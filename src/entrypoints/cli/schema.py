"""`tandem migrate`: the schema of the stores."""

from collections.abc import Mapping, Sequence

import click
import msgspec
from loguru import logger

from application.ports.schema import FlawEffect, OldRecords, SchemaFlaw, SchemaState
from domain.errors import StoreUnavailable
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.running_service import ServiceClient
from entrypoints.cli.session import (
    READ_SECONDS_MAX,
    STORE_WAIT_SECONDS_MAX,
    current_settings,
    opened,
    schema_of,
    service_client,
)
from entrypoints.cli.tree import TandemGroup
from entrypoints.composition.container import build_container
from entrypoints.composition.failures import NothingStored
from entrypoints.composition.schema import expected_of, restored_beside_service
from entrypoints.composition.start import add_roles
from entrypoints.http.operator import SchemaView


@click.group(cls=TandemGroup)
def migrate() -> None:
    """Show, upgrade or step back the schema of every store in use."""


@migrate.command()
async def up(console: Console) -> ExitCode:
    """Upgrade every store to the schema of this program, make anew what somebody removed from it, and rewrite old
    records. Harmless when done already.

    It may run beside the service: old records are rewritten in small batches and keep their versions. Exits with 3 if
    a store cannot be used or takes no writes, as an older copy does, and with 1 if a table or column is missing that
    it cannot make anew, and names the cause.
    """
    client = await service_client()
    if client is not None:
        reported = await _reported_by(client)
        if reported.unreadable:
            # Stopping the service would help nothing: a migration could not use these stores either.
            raise StoreUnavailable(" ".join(reported.unreadable.values()))
        if all(state.is_current or reported.flaws.get(state.store) for state in reported.stores):
            # The service holds the stores, and has nothing left to upgrade but what somebody changed by hand.
            flawed = [name for name, flaws in reported.flaws.items() if flaws]
            if not flawed or await restored_beside_service(current_settings(), flawed):
                if flawed:
                    reported = await _reported_by(client)
                return _shown_report(console, reported)
    settings = current_settings()
    async with schema_of(settings, creates=True) as schema:
        states = await schema.upgrade()
        old = await schema.rewrite()
        flaws = await schema.flaws()
    async with opened(settings, creates=True) as container:
        # Found out only now where the target was compared a first time.
        container.stack().ownership.require_open()
        await add_roles(container, within_seconds=STORE_WAIT_SECONDS_MAX)
    return _shown(console, states, old, flaws)


@migrate.command()
@click.option("--yes", is_flag=True, help="Confirm that the tables and columns of the step are dropped.")
async def down(console: Console, *, yes: bool) -> ExitCode:
    """Undo the last migration of every store. Its tables and columns are dropped with their data."""
    if not yes:
        raise click.UsageError("This drops tables and columns with their data. Add --yes to confirm.")
    async with schema_of(current_settings()) as schema:
        _shown(console, await schema.downgrade(), await schema.waiting(), {})
    return ExitCode.SUCCESS


@migrate.command()
async def status(console: Console) -> ExitCode:
    """Show the schema of every store, what somebody removed from it, and how many old records are left.

    Exits with 1 if a schema is not current, or if something is missing that is more than slow.

    Old records are readable, but some lists and searches miss them until `migrate up` has rewritten them. In large
    collections only the first part is counted, which the output says.
    """
    client = await service_client(timeout_seconds=READ_SECONDS_MAX)
    if client is not None:
        return _shown_report(console, await _reported_by(client))
    logger.remove()  # the command itself says what it found
    stack = build_container(current_settings()).stack()
    try:
        problems = await stack.inspect()
        unknown = [problem for problem in problems.values() if not isinstance(problem, NothingStored)]
        if stack.source.name in problems and unknown:
            raise unknown[0]
        schema = stack.schema(without=problems)
        missing = [
            SchemaState(store=name, revision=None, expected=expected_of(name))
            for name, problem in problems.items()
            if isinstance(problem, NothingStored)
        ]
        states = await schema.states()
        code = _shown(console, [*states, *missing], await schema.waiting(), await schema.flaws())
        return _with_unreadable(console, code, list(map(str, unknown)))
    finally:
        await stack.close()


def _shown_report(console: Console, reported: SchemaView) -> ExitCode:
    code = _shown(console, reported.stores, reported.records, reported.flaws)
    return _with_unreadable(console, code, [*reported.unreadable.values()])


def _with_unreadable(console: Console, code: ExitCode, reasons: Sequence[str]) -> ExitCode:
    """Says why stores could not be read, and the code for that."""
    for reason in reasons:
        console.note(reason)
    return ExitCode.UNREACHABLE if reasons else code


async def _reported_by(client: ServiceClient) -> SchemaView:
    """What the running service says of its stores."""
    return msgspec.json.decode(await client.fetch("GET", "/operator/schema"), type=SchemaView)


def _shown(
    console: Console,
    states: Sequence[SchemaState],
    old: Sequence[OldRecords],
    flaws: Mapping[str, Sequence[SchemaFlaw]],
) -> ExitCode:
    found = [(name, flaw) for name, of_store in flaws.items() for flaw in of_store]
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
    are_whole = all(flaw.effect is FlawEffect.SLOW for _, flaw in found)

    def print_view() -> None:
        console.table(("store", "revision", "expected"), [(s.store, s.revision, s.expected) for s in states])
        _print_records(console, old)
        for name, flaw in found:
            console.line(f"{name}: {flaw.cause} {flaw.remedy}".rstrip())
        if any(one.waiting for one in old) or not all(
            state.is_current or flaws.get(state.store) for state in states
        ):
            console.line("To upgrade, type: tandem migrate up")

    view = {
        "stores": rows,
        "isCurrent": are_current,
        "records": list(map(_row, old)),
        "flaws": [
            {"store": name, "cause": flaw.cause, "remedy": flaw.remedy, "effect": flaw.effect.value}
            for name, flaw in found
        ],
    }
    console.show(view, print_view)
    return ExitCode.SUCCESS if are_current and are_whole else ExitCode.DIFFERENCE


def _row(old: OldRecords) -> dict[str, object]:
    return {
        "store": old.store,
        "collection": old.collection,
        "lookedAt": old.looked_at,
        "waiting": old.waiting,
        "unfit": old.unfit,
        "unfitIds": list(old.unfit_ids),
        "rewritten": old.rewritten,
        "isComplete": old.is_complete,
    }


def _print_records(console: Console, old: Sequence[OldRecords]) -> None:
    listed = [one for one in old if one.waiting or one.unfit or one.rewritten]
    if listed:
        columns = ("store", "collection", "checked", "old", "invalid", "rewritten")
        console.table(
            columns,
            [
                (one.store, one.collection, _looked_at(one), one.waiting, one.unfit, one.rewritten)
                for one in listed
            ],
        )
        for one in listed:
            if one.unfit_ids:
                console.line(f"{one.store}: invalid records of {one.collection}: {', '.join(one.unfit_ids)}")
    elif old:
        looked_at = sum(one.looked_at for one in old)
        scope = "all" if all(one.is_complete for one in old) else "the first"
        console.line(f"No old records found in {scope} {looked_at} records.")


def _looked_at(one: OldRecords) -> str:
    return str(one.looked_at) if one.is_complete else f"the first {one.looked_at}"
