"""People whom the service knows, for tests about teams and roles."""

from application.actor import system_actor
from application.teams.commands import GetTeam
from application.teams.roles import SeedRoles
from domain.entity import Stamp
from domain.user import User
from tests.unit.builders import ANNA, BEN, NOON, actor
from tests.unit.entrypoints.http.service import ADMIN, Service

CARL, EVE = "c" * 24, "e" * 24
NAMES = {ANNA: "Anna", BEN: "Ben", CARL: "Carl", EVE: "Eve", ADMIN: "Admin"}


async def gather(service: Service) -> None:
    """Stores everybody and the built-in roles; only the administrator holds a grant."""
    await service.build(SeedRoles)(system_actor("start"))
    work = service.build(GetTeam).begin(actor())
    for id, name in NAMES.items():
        grants = ("admin",) if id == ADMIN else ()
        email = f"{name.lower()}@example.org"
        work.users.save(User.create(id, Stamp(NOON, id), email=email, name=name, grants=grants))
    await work.commit()
