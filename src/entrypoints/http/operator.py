"""/operator: what commands on the machine of a running service ask of it; no part of the documented interface.

Commands sign in as Tandem itself, with a token that only the owner of the data directory can read. Nobody else can have
such a token, whatever their grants.
"""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from application.accounts.sessions import IssueAccessToken
from application.accounts.users import GrantAdministration
from application.actor import SYSTEM_ID, Actor
from application.demonstration import SeedDemonstration
from application.ports.schema import OldRecords, SchemaReport, SchemaState
from domain.errors import Forbidden, RuleBroken
from domain.user import User
from entrypoints.composition.settings import Settings
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import Body

NO_DEMO_IN_PRODUCTION = "Demo data cannot be added in production (APP_ENV=production)."


class AccountBody(Body):
    """The address of an existing account."""

    email: str


class AccountView(Struct):
    """An account, as commands show it."""

    id: str
    email: str
    name: str
    grants: tuple[str, ...]


class IssuedView(Struct, rename="camel"):
    """An access token and the account that it is for."""

    access_token: str
    token_type: str
    expires_in_seconds: int
    user: AccountView


class DemonstrationView(Struct, rename="camel"):
    """Whose demo data it is, and whether it was added now."""

    email: str
    is_new: bool


class SchemaView(Struct):
    """The schema of the stores that answer, their records in old formats, and why the other stores cannot be read."""

    stores: tuple[SchemaState, ...]
    records: tuple[OldRecords, ...]
    unreadable: dict[str, str]


class OperatorController(Controller, path="/operator", stored=False, also=(403,)):
    """Operations for commands on this machine."""

    issue_token: IssueAccessToken
    grant_administration: GrantAdministration
    seed: SeedDemonstration
    settings: Settings
    schema_report: Callable[[], Awaitable[SchemaReport]]

    @operation("GET", "/schema", view=SchemaView)
    async def read_schema(self, actor: Actor) -> SchemaView:
        _require_operator(actor)
        report = await self.schema_report()
        return SchemaView(tuple(report.states), tuple(report.waiting), dict(report.unreadable))

    @operation("POST", "/token", view=IssuedView)
    async def token(self, actor: Actor, body: AccountBody) -> IssuedView:
        _require_operator(actor)
        user, issued = await self.issue_token(actor, body.email)
        return IssuedView(issued.access_token, "Bearer", issued.expires_in_seconds, account_view(user))

    @operation("POST", "/grant", view=AccountView)
    async def grant(self, actor: Actor, body: AccountBody) -> AccountView:
        _require_operator(actor)
        return account_view(await self.grant_administration(actor, body.email))

    @operation("POST", "/demo", view=DemonstrationView)
    async def demo(self, actor: Actor) -> DemonstrationView:
        _require_operator(actor)
        if self.settings.is_production:
            raise RuleBroken(NO_DEMO_IN_PRODUCTION)
        report = await self.seed(actor)
        return DemonstrationView(report.email, report.is_new)


def account_view(user: User) -> AccountView:
    """The view of an account for operators."""
    return AccountView(user.id, user.email, user.name, tuple(user.grants))


def _require_operator(actor: Actor) -> None:
    if actor.id != SYSTEM_ID:
        raise Forbidden("Only commands on the machine of the service may do this.")


OPERATOR = Resource(controllers=(OperatorController,))
