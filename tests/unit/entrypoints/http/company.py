"""People whom the service knows, for tests about teams and roles."""

from application.actor import system_actor
from application.teams.commands import GetTeam
from application.teams.roles import SeedRoles
from domain.entity import Stamp
from domain.user import User
from tests.unit.builders import ANNA, BEN, NOON, actor
from tests.unit.entrypoints.http.service import ADMIN, Service
from tests.unit.memory_store import Collections, MemoryRecordStore

CARL, EVE = "c" * 24, "e" * 24
NAMES = {ANNA: "Anna", BEN: "Ben", CARL: "Carl", EVE: "Eve", ADMIN: "Admin"}


_GATHERED: list[Collections] = []


async def gather(service: Service) -> None:
    """Stores everybody and the built-in roles; only the administrator holds a grant."""
    is_empty = type(service.store) is MemoryRecordStore and not any(service.store.snapshot().values())
    if is_empty and _GATHERED:
        service.store.put_back(_GATHERED[0])
        return
    await _store_everybody(service)
    if is_empty:
        _GATHERED.append(service.store.snapshot())


async def _store_everybody(service: Service) -> None:
    await service.build(SeedRoles)(system_actor("start"))
    work = service.build(GetTeam).begin(actor())
    for id, name in NAMES.items():
        grants = ("admin",) if id == ADMIN else ()
        email = f"{name.lower()}@example.org"
        work.users.save(User.create(id, Stamp(NOON, id), email=email, name=name, grants=grants))
    await work.commit()
