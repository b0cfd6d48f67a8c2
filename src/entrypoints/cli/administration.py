"""`tandem admin` and `tandem demo`: accounts, tokens, expired trash and demo data."""

from collections.abc import Mapping
from typing import cast

import click

from application.accounts.sessions import IssueAccessToken
from application.accounts.users import GrantAdministration
from application.demonstration import SeedDemonstration
from application.history.retention import PurgeExpired
from application.ports.tokens import AccessToken
from domain.user import User
from entrypoints.cli.console import Console, View, document
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.running_service import LONG_SECONDS_MAX
from entrypoints.cli.session import current_settings, opened, operator, service_client
from entrypoints.cli.tree import TandemCommand, TandemGroup
from entrypoints.http.admin import run_view
from entrypoints.http.operator import NO_DEMO_IN_PRODUCTION, IssuedView, account_view


@click.group(cls=TandemGroup)
def admin() -> None:
    """Manage accounts and trash, on the machine that holds the keys."""


@admin.command()
@click.argument("email")
async def token(console: Console, email: str) -> ExitCode:
    """Print a short-lived access token for the existing account with this address, without any proof of identity."""
    client = await service_client()
    view: View
    if client is not None:
        view = await client.ask("POST", "/operator/token", {"email": email})
    else:
        async with opened(current_settings()) as container:
            user, issued = await container.builder().build(IssueAccessToken)(operator(container), email)
        view = _view(user, issued)
    console.show(view, lambda: console.line(str(view["accessToken"])))
    return ExitCode.SUCCESS


@admin.command()
@click.argument("email")
async def grant(console: Console, email: str) -> ExitCode:
    """Make the user with this address an administrator of the installation."""
    client = await service_client()
    account: View
    if client is not None:
        account = await client.ask("POST", "/operator/grant", {"email": email})
    else:
        async with opened(current_settings()) as container:
            user = await container.builder().build(GrantAdministration)(operator(container), email)
        account = document(account_view(user))
    view = {name: account[name] for name in ("id", "email", "grants")}
    console.show(view, lambda: console.line(f"{view['email']} is now an administrator of this installation."))
    return ExitCode.SUCCESS


@admin.command()
@click.option("--dry-run", is_flag=True, help="Count the records to be removed; change nothing.")
async def purge(console: Console, *, dry_run: bool) -> ExitCode:
    """Permanently remove records that were in the trash for more than RETENTION_DAYS.

    The service does so every hour.
    """
    client = await service_client()
    view: View
    if client is not None:
        path = f"/v1/admin/retention?dryRun={str(dry_run).lower()}"
        view = await client.ask("POST", path, timeout_seconds=LONG_SECONDS_MAX)
    else:
        async with opened(current_settings()) as container:
            run = await container.builder().build(PurgeExpired)(operator(container), is_dry_run=dry_run)
        view = document(run_view(run))
    console.show(view, lambda: _print_run(console, view))
    return ExitCode.SUCCESS


@click.command(cls=TandemCommand)
async def demo(console: Console) -> ExitCode:
    """Add demo data, unless it was added before."""
    client = await service_client()
    view: View
    if client is not None:
        view = await client.ask("POST", "/operator/demo", timeout_seconds=LONG_SECONDS_MAX)
    else:
        settings = current_settings()
        if settings.is_production:
            raise click.UsageError(NO_DEMO_IN_PRODUCTION)
        async with opened(settings) as container:
            report = await container.builder().build(SeedDemonstration)(operator(container))
        view = {"email": report.email, "isNew": report.is_new}
    outcome = "was added" if view["isNew"] else "exists already; nothing was added"
    console.show(view, lambda: console.line(f"The demo data of {view['email']} {outcome}."))
    return ExitCode.SUCCESS


def _view(user: User, issued: AccessToken) -> View:
    """The same keys as the response to a sign-in, without a refresh token, and the main fields of the user."""
    return document(IssuedView(issued.access_token, "Bearer", issued.expires_in_seconds, account_view(user)))


def _print_run(console: Console, view: View) -> None:
    removed = cast("Mapping[str, int]", view["removed"])
    counted = ", ".join(f"{count} {collection}" for collection, count in sorted(removed.items()) if count)
    outcome = "To be removed" if view["isDryRun"] else "Permanently removed"
    console.line(f"{outcome} (in the trash since before {view['cutoff']}): {counted or 'nothing'}.")
    if view["kept"]:
        console.line(
            f"{view['kept']} records are still in use or were being changed, and are kept until the next run."
        )
    if not view["isComplete"]:
        console.line("More records are due; the next run removes them.")
