"""`tandem admin` and `tandem demo`: accounts, tokens, and something to look at."""

import click

from application.ports.tokens import TokenPair
from domain.user import User
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.running_service import ServiceClient, service_in_the_way
from entrypoints.cli.session import current_settings, opened, operator, require_stores_free
from entrypoints.cli.tree import TandemCommand, TandemGroup


@click.group(cls=TandemGroup)
def admin() -> None:
    """Accounts, from the machine that holds the keys."""


@admin.command()
@click.argument("email")
async def token(console: Console, email: str) -> ExitCode:
    """Print an access token for EMAIL; the account is made where there is none. Asks for no proof."""
    settings = current_settings()
    service = await service_in_the_way(settings)
    if service is not None:
        view = await ServiceClient(service, settings).ask("POST", "/v1/auth/dev/token", {"email": email})
    else:
        async with opened(settings) as container:
            view = _signed_in(*await container.sign_in_by_email()(operator(container), email))
    console.show(view, lambda: console.line(str(view["accessToken"])))
    return ExitCode.FINE


@admin.command()
@click.argument("email")
async def grant(console: Console, email: str) -> ExitCode:
    """Make the user with this address an administrator of the installation."""
    settings = current_settings()
    await require_stores_free(settings, purpose="grant administration")
    async with opened(settings) as container:
        user: User = await container.grant_administration()(operator(container), email)
    view = {"id": user.id, "email": user.email, "grants": list(user.grants)}
    console.show(view, lambda: console.line(f"{user.email} administers this installation now."))
    return ExitCode.FINE


@click.command(cls=TandemCommand)
async def demo(console: Console) -> ExitCode:
    """Add a little demo data; where it was added before, nothing happens."""
    settings = current_settings()
    if settings.is_production:
        raise click.UsageError("Demo data does not belong into production (APP_ENV=production).")
    await require_stores_free(settings, purpose="add the demo data")
    async with opened(settings) as container:
        report = await container.seed_demonstration()(operator(container))
    said = "was added" if report.is_new else "is there already; nothing was added"
    view = {"email": report.email, "isNew": report.is_new}
    console.show(view, lambda: console.line(f"The demo data of {report.email} {said}."))
    return ExitCode.FINE


def _signed_in(user: User, tokens: TokenPair) -> dict[str, object]:
    """The same keys as the service's answer, the user in short."""
    return {
        "accessToken": tokens.access_token,
        "refreshToken": tokens.refresh_token,
        "tokenType": "Bearer",
        "expiresInSeconds": tokens.expires_in_seconds,
        "user": {"id": user.id, "email": user.email, "name": user.name, "grants": list(user.grants)},
    }
