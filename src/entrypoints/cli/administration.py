"""`tandem admin` and `tandem demo`: accounts, tokens, expired trash and demo data."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

import click

from application.accounts.api_tokens import IssueApiToken
from application.accounts.users import IS_ADMINISTRATOR, CreateAccount, GrantAdministration
from application.demonstration import SeedDemonstration
from application.history.retention import PurgeExpired
from domain.api_token import Scope
from domain.errors import Conflict
from domain.permissions import Grant
from domain.role import RoleScope, built_in_id
from entrypoints.cli.console import Console, View, document
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.running_service import LONG_SECONDS_MAX
from entrypoints.cli.session import current_settings, inspected, opened, operator, service_client
from entrypoints.cli.tree import TandemCommand, TandemGroup
from entrypoints.http.admin import RetentionRunView
from entrypoints.http.api_tokens import DAYS_DEFAULT, issued_view
from entrypoints.http.operator import NO_DEMO_IN_PRODUCTION
from entrypoints.http.protocol.answers import made_view
from entrypoints.http.users import whole_user_view

ADMINISTRATOR_ROLE_ID = built_in_id(RoleScope.GLOBAL, "admin")
_TOKEN_KEYS = ("token", "id", "name", "scopes", "expiresAt")


@click.group(cls=TandemGroup)
def admin() -> None:
    """Manage accounts and trash, on the machine that holds the keys."""


@admin.command()
@click.argument("email")
@click.option("--name", help="The name of the person; otherwise the part of the address before the @.")
async def create(console: Console, email: str, name: str | None) -> ExitCode:
    """Create an account with this address that administers the installation."""
    client = await service_client()
    if client is not None:
        body = {"email": email, "isAdministrator": True, **({"name": name} if name else {})}
        user = _account_view(await client.ask("POST", "/v1/users", body))
    else:
        async with opened(current_settings(), creates=True) as container:
            create_account = container.builder().build(CreateAccount)
            made = await create_account(operator(container), email, name, is_administrator=True)
        user = _account_view(document(whole_user_view(made.user)))
    console.show(user, lambda: console.line(f"{user['email']} is an administrator of this installation."))
    console.note(f"For a token with which they can begin, type: tandem admin token {user['email']}")
    return ExitCode.SUCCESS


@admin.command()
@click.argument("email")
@click.option("--name", default="tandem admin token", show_default=True, help="The name of the token.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([str(scope) for scope in Scope]),
    multiple=True,
    help="What the token may be used for; several are possible. Without it: everything that the person may do.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 36_500),
    default=DAYS_DEFAULT,
    show_default=True,
    help="How long it is valid.",
)
async def token(console: Console, email: str, *, name: str, scopes: tuple[str, ...], days: int) -> ExitCode:
    """Print a new API token for the existing account with this address, without any proof of identity.

    Only its hash is stored, so it cannot be printed again.
    """
    requested = [Scope(scope) for scope in scopes] or list(Scope)
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    client = await service_client()
    user: View
    issued: View
    if client is not None:
        user = await client.account(email)
        owner = await client.acting_as(str(user["id"]))
        body = {"name": name, "scopes": requested, "expiresAt": expires_at.isoformat()}
        issued = await owner.ask("POST", "/v1/users/me/tokens", body)
    else:
        async with opened(current_settings()) as container:
            account, made = await container.builder().build(IssueApiToken)(
                operator(container), email, name, requested, expires_at=expires_at
            )
        user, issued = document(whole_user_view(account)), document(issued_view(made))
    view = {**{key: issued[key] for key in _TOKEN_KEYS}, "user": _account_view(user)}
    console.show(view, lambda: console.line(str(issued["token"])))
    console.note(f"It is valid until {issued['expiresAt']}. Send it as `Authorization: Bearer <token>`.")
    return ExitCode.SUCCESS


@admin.command()
@click.argument("email")
async def grant(console: Console, email: str) -> ExitCode:
    """Make the user with this address an administrator of the installation, from their next sign-in or refresh on."""
    client = await service_client()
    user: View
    if client is not None:
        user = await client.account(email)
        if Grant.ADMIN in _grants(user):
            raise Conflict(IS_ADMINISTRATOR)
        await client.ask("PUT", f"/v1/users/{user['id']}/roles/{ADMINISTRATOR_ROLE_ID}")
        user = await client.account(email)
    else:
        async with opened(current_settings()) as container:
            granted = await container.builder().build(GrantAdministration)(operator(container), email)
        user = document(whole_user_view(granted))
    view = {key: user[key] for key in ("id", "email", "grants")}
    console.show(view, lambda: console.line(f"{user['email']} is now an administrator of this installation."))
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
        opening = inspected if dry_run else opened
        async with opening(current_settings()) as container:
            run = await container.builder().build(PurgeExpired)(operator(container), is_dry_run=dry_run)
        view = document(made_view(run, RetentionRunView))
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
        async with opened(settings, creates=True) as container:
            report = await container.builder().build(SeedDemonstration)(operator(container))
        view = {"email": report.email, "isNew": report.is_new}
    outcome = "was added" if view["isNew"] else "exists already; nothing was added"
    console.show(view, lambda: console.line(f"The demo data of {view['email']} {outcome}."))
    return ExitCode.SUCCESS


def _grants(user: Mapping[str, object]) -> list[str]:
    grants = user.get("grants")
    return [str(grant) for grant in grants] if isinstance(grants, list) else []


def _account_view(user: Mapping[str, object]) -> View:
    return {name: user[name] for name in ("id", "email", "name", "grants")}


def _print_run(console: Console, view: View) -> None:
    removed = cast("Mapping[str, int]", view["removed"])
    counted = ", ".join(f"{count} {collection}" for collection, count in sorted(removed.items()) if count)
    outcome = "To be removed" if view["isDryRun"] else "Permanently removed"
    console.line(f"{outcome} (in the trash since before {view['cutoff']}): {counted or 'nothing'}.")
    if view["kept"]:
        console.line(
            f"{view['kept']} records are still in use or were being changed, and are kept until the next run."
        )
    if view["isDryRun"]:
        console.line("What they take along, such as assignments, is not counted before.")
    if not view["isComplete"]:
        console.line("More records are due; the next run removes them.")
