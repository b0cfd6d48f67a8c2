"""/operator: what commands on the machine of a running service ask of it; no part of the documented interface.

Commands sign in as Tandem itself, with a token that only the owner of the data directory can read. Nobody else can have
such a token, whatever their grants.
"""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from application.actor import SYSTEM_ID, Actor
from application.demonstration import SeedDemonstration
from application.ports.schema import OldRecords, SchemaFlaw, SchemaReport, SchemaState
from application.ports.tokens import Identity, TokenIssuer
from domain.errors import Forbidden, RuleBroken
from entrypoints.composition.settings import Settings
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import Body, Id

NO_DEMO_IN_PRODUCTION = "Demo data cannot be added in production (APP_ENV=production)."


class UserBody(Body):
    """An existing user."""

    user_id: Id


class AccessTokenView(Struct, rename="camel"):
    """A token with which a command acts as a user for some minutes."""

    access_token: str


class DemonstrationView(Struct, rename="camel"):
    """Whose demo data it is, and whether it was added now."""

    email: str
    is_new: bool


class SchemaView(Struct):
    """The schema of the stores that answer, their records in old formats, why the other stores cannot be read, what
    somebody removed from a schema by hand, and what a comparison of the stores has found.
    """

    stores: tuple[SchemaState, ...]
    records: tuple[OldRecords, ...]
    unreadable: dict[str, str]
    flaws: dict[str, tuple[SchemaFlaw, ...]] = {}
    differences: str | None = None


class OperatorController(Controller, path="/operator", stored=False, also=(403,)):
    """Operations for commands on this machine."""

    tokens: TokenIssuer
    seed: SeedDemonstration
    settings: Settings
    schema_report: Callable[[], Awaitable[SchemaReport]]

    @operation("GET", "/schema", view=SchemaView)
    async def read_schema(self, actor: Actor) -> SchemaView:
        _require_operator(actor)
        report = await self.schema_report()
        flaws = {name: tuple(found) for name, found in report.flaws.items()}
        return SchemaView(
            tuple(report.states), tuple(report.waiting), dict(report.unreadable), flaws, report.differences
        )

    @operation("POST", "/access-token", view=AccessTokenView)
    async def access_token(self, actor: Actor, body: UserBody) -> AccessTokenView:
        _require_operator(actor)
        return AccessTokenView(self.tokens.issue(Identity(body.user_id, frozenset())).access_token)

    @operation("POST", "/demo", view=DemonstrationView)
    async def demo(self, actor: Actor) -> DemonstrationView:
        _require_operator(actor)
        if self.settings.is_production:
            raise RuleBroken(NO_DEMO_IN_PRODUCTION)
        report = await self.seed(actor)
        return DemonstrationView(report.email, report.is_new)


def _require_operator(actor: Actor) -> None:
    if actor.id != SYSTEM_ID:
        raise Forbidden("Only commands on the machine of the service may do this.")


OPERATOR = Resource(controllers=(OperatorController,))
