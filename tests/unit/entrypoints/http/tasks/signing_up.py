"""Accounts for tests of profiles."""

from functools import partial

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from domain.entity import Stamp
from domain.user import User
from tests.unit.builders import NOON, actor
from tests.unit.entrypoints.http.service import Service


async def sign_up(service: Service, user_id: str, *, timezone: str | None = None) -> str:
    """Stores an account; returns its address."""
    work = partial(StoredUnitOfWork, service.store, SortableIdentifiers())(actor())
    work.users.save(User.create(user_id, Stamp(NOON, user_id), email="anna@example.org", name="Anna"))
    await work.commit()
    path = f"/v1/users/{user_id}"
    if timezone is not None:
        changed = await service.call("PATCH", path, {"timezone": timezone})
        assert changed.status_code == 200, changed.text
    return path
