"""`tandem admin` and `tandem demo`: accounts, tokens, expired trash and demo data."""

from collections.abc import Mapping
from typing import cast

import click

from application.accounts.sessions import IssueAccessToken
from application.accounts.users import GrantAdministration
from application.demonstration import SeedDemonstration
from application.history.retention import PurgeExpired
from application.ports.tokens import AccessToken, Identity
from entrypoints.cli.console import Console, View, document
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.running_service import ServiceClient, service_holding_stores, token_issuer
from entrypoints.cli.session import current_settings, opened, operator, require_stores_free
from entrypoints.cli.tree import TandemCommand, TandemGroup
from entrypoints.http.admin import run_view


@click.group(cls=TandemGroup)
def admin() -> None:
    """Manage accounts and trash, on the machine that holds the keys."""


@admin.command()
@click.argument("email")
async def token(console: Console, email: str) -> ExitCode:
    """Print a short-lived access token for the existing account with this address, without any proof of identity."""
    settings = current_settings()
    service = await service_holding_stores(settings)
    if service is not None:
        user = await ServiceClient(service, settings).account(email)
        issued = token_issuer(settings).issue(Identity(str(user["id"]), frozenset(_grants(user))))
        view = _view(user, issued)
    else:
        async with opened(settings) as container:
            found, issued = await container.builder().build(IssueAccessToken)(operator(container), email)
        view = _view(
            {"id": found.id, "email": found.email, "name": found.name, "grants": list(found.grants)}, issued
        )
    console.show(view, lambda: console.line(issued.access_token))
    return ExitCode.SUCCESS


@admin.command()
@click.argument("email")
async def grant(console: Console, email: str) -> ExitCode:
    """Make the user with this address an administrator of the installation."""
    settings = current_settings()
    await require_stores_free(settings, purpose="grant administration")
    async with opened(settings) as container:
        user = await container.builder().build(GrantAdministration)(operator(container), email)
    view = {"id": user.id, "email": user.email, "grants": list(user.grants)}
    console.show(view, lambda: console.line(f"{user.email} is now an administrator of this installation."))
    return ExitCode.SUCCESS


@admin.command()
@click.option("--dry-run", is_flag=True, help="Count the records to be removed; change nothing.")
async def purge(console: Console, *, dry_run: bool) -> ExitCode:
    """Permanently remove records that were in the trash for more than RETENTION_DAYS.

    The service does so every hour.
    """
    settings = current_settings()
    service = await service_holding_stores(settings)
    view: View
    if service is not None:
        path = f"/v1/admin/retention?dryRun={str(dry_run).lower()}"
        view = await ServiceClient(service, settings).ask("POST", path)
    else:
        async with opened(settings) as container:
            run = await container.builder().build(PurgeExpired)(operator(container), is_dry_run=dry_run)
        view = document(run_view(run))
    console.show(view, lambda: _print_run(console, view))
    return ExitCode.SUCCESS


@click.command(cls=TandemCommand)
async def demo(console: Console) -> ExitCode:
    """Add demo data, unless it was added before."""
    settings = current_settings()
    if settings.is_production:
        raise click.UsageError("Demo data cannot be added in production (APP_ENV=production).")
    await require_stores_free(settings, purpose="add the demo data")
    async with opened(settings) as container:
        report = await container.builder().build(SeedDemonstration)(operator(container))
    outcome = "was added" if report.is_new else "exists already; nothing was added"
    view = {"email": report.email, "isNew": report.is_new}
    console.show(view, lambda: console.line(f"The demo data of {report.email} {outcome}."))
    return ExitCode.SUCCESS


def _grants(user: Mapping[str, object]) -> list[str]:
    grants = user.get("grants")
    return [str(grant) for grant in grants] if isinstance(grants, list) else []


def _view(user: Mapping[str, object], issued: AccessToken) -> dict[str, object]:
    """The same keys as the response to a sign-in, without a refresh token, and the main fields of the user."""
    return {
        "accessToken": issued.access_token,
        "tokenType": "Bearer",
        "expiresInSeconds": issued.expires_in_seconds,
        "user": {name: user[name] for name in ("id", "email", "name", "grants")},
    }


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
