"""Rights that rest on a global role: what happens after the role was revoked, while the old access token is valid."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import pytest

from adapters.records.change_set import ChangeSet
from adapters.records.record import Record
from adapters.records.wrapped_store import WrappedStore
from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.actor import system_actor
from domain.entity import Stamp
from tests.unit.builders import NOON
from tests.unit.entrypoints.http.permission_world import IDS, USERS, make_world
from tests.unit.entrypoints.http.service import Service
from tests.unit.memory_store import Collections, MemoryRecordStore

GRANTS = {"admin": ("admin",), "moderator": ("moderator",)}


@dataclass(frozen=True)
class Request:
    """A request that only a grant permits. `by` is the caller, `refused` the status without the grant."""

    method: str
    path: str
    body: Any = None
    by: str = "admin"
    refused: int = 404


READS = (
    Request("GET", "/v1/tasks/{own task}", by="moderator"),
    Request("GET", "/v1/projects/{project}", by="moderator"),
    Request("GET", "/v1/teams/{team}"),
    Request("GET", "/v1/sync/metrics", refused=403),
    Request("GET", "/v1/sync/failures", refused=403),
    Request("GET", "/v1/admin/trash", refused=403),
    Request("GET", "/v1/admin/retention", refused=403),
    Request("GET", "/v1/audit?actorId={creator}", refused=403),
    Request("GET", "/v1/exports?format=beads&projectId={project}", by="moderator"),
)
WRITES = (
    Request("PATCH", "/v1/projects/{project}", {"ownerId": "{admin}"}),
    Request("DELETE", "/v1/projects/{project}", by="moderator"),
    Request("PATCH", "/v1/tasks/{own task}", {"title": "Mine"}, by="moderator"),
    Request("DELETE", "/v1/tasks/{own task}", by="moderator"),
    Request("POST", "/v1/tasks", {"title": "New", "projectId": "{project}"}, by="moderator", refused=422),
    Request("POST", "/v1/tasks/{own task}/assign", {"assigneeId": "{admin}", "assigneeType": "USER"}),
    Request(
        "POST",
        "/v1/tasks/bulk",
        {"operations": [{"op": "delete", "id": "{own task}"}], "atomic": True},
        by="moderator",
    ),
    Request("PUT", "/v1/projects/{project}/timeline", {"items": [{"id": "a", "duration": 1}]}),
    Request("PATCH", "/v1/teams/{team}", {"ownerId": "{member}"}),
    Request("PUT", "/v1/teams/{team}/members/{member}/roles/{team admin role}"),
    Request("PATCH", "/v1/labels/{label}", {"color": "#00ff00"}, by="moderator", refused=403),
    Request("PATCH", "/v1/users/{creator}", {"name": "Cleo"}, refused=403),
    Request("POST", "/v1/users", {"email": "new@example.org"}, refused=403),
    Request("POST", "/v1/roles", {"name": "x", "scope": "TEAM", "permissions": []}, refused=403),
    Request("PUT", "/v1/users/{creator}/roles/{moderator role}", refused=403),
    Request("POST", "/v1/admin/retention", refused=403),
)


class RevokingStore(WrappedStore):
    """A store in memory that revokes the grants of a caller right before a commit, and notes what it reads by id."""

    def __init__(self) -> None:
        self.memory = MemoryRecordStore()
        super().__init__(self.memory)
        self.revoke: Callable[[], Awaitable[None]] | None = None
        self.fetched: list[str] = []

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        self.fetched.append(collection)
        return await super().fetch(collection, ids)

    async def commit(self, change_set: ChangeSet) -> None:
        if self.revoke is not None:
            revoke, self.revoke = self.revoke, None
            await revoke()
        await super().commit(change_set)


@cache
def shared_service() -> Service:
    return Service(RevokingStore())


_WORLD: list[Collections] = []


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    running = shared_service()
    running.renew()
    if not _WORLD:
        await make_world(running.store.memory)
        _WORLD.append(running.store.memory.snapshot())
    running.store.memory.put_back(_WORLD[0])
    yield running
    running.client.cookies.clear()


def filled(text: Any) -> Any:
    """The text with the ids of the names in braces."""
    if isinstance(text, dict):
        return {key: filled(value) for key, value in text.items()}
    if isinstance(text, list):
        return [filled(value) for value in text]
    for name, id_ in IDS.items() if isinstance(text, str) else ():
        text = text.replace("{" + name + "}", id_)
    return text


async def answered(service: Service, request: Request) -> int:
    """The status for a caller whose access token claims the grant."""
    headers = service.headers(USERS[request.by], *GRANTS[request.by])
    answer = await service.client.request(
        request.method, filled(request.path), json=filled(request.body), headers=headers
    )
    return answer.status_code


async def revoked(service: Service, name: str) -> None:
    """Takes all grants from an account, past the service."""
    work = partial(StoredUnitOfWork, service.store.memory, SortableIdentifiers())(system_actor("test"))
    user = await work.users.get(USERS[name])
    work.users.save(user.holding(Stamp(NOON, user.id), ()))
    await work.commit()


def named(request: Request) -> str:
    return f"{request.method} {request.path}"


@pytest.mark.parametrize("request_", [*READS, *WRITES], ids=named)
async def test_a_revoked_role_counts_no_more_in_an_access_token_that_is_still_valid(
    service: Service, request_: Request
) -> None:
    await revoked(service, request_.by)
    before = await service.store.memory.scan("audit_logs", after=None, limit=5_000)

    assert await answered(service, request_) == request_.refused
    assert await service.store.memory.scan("audit_logs", after=None, limit=5_000) == before


@pytest.mark.parametrize("request_", WRITES, ids=named)
async def test_a_role_that_is_revoked_before_the_commit_makes_it_fail(
    service: Service, request_: Request
) -> None:
    if request_.path == "/v1/admin/retention":
        work = StoredUnitOfWork(service.store.memory, SortableIdentifiers(), system_actor("test"))
        old = await work.labels.get(IDS["label"])
        work.labels.save(old.delete(Stamp(NOON.replace(year=2020), old.created_by)))
        await work.commit()
    service.store.revoke = partial(revoked, service, request_.by)
    before = await counted(service)

    status = await answered(service, request_)

    assert status in (403, 404, 409, 422), status
    assert service.store.revoke is None
    assert await counted(service) == before + 1, "only the revocation itself was stored"


@pytest.mark.parametrize("request_", WRITES[:3], ids=named)
async def test_the_same_request_succeeds_while_the_role_is_held(service: Service, request_: Request) -> None:
    assert await answered(service, request_) in (200, 201, 204)


async def test_people_without_a_global_role_cost_no_read_of_their_account(service: Service) -> None:
    headers = service.headers(USERS["creator"])
    answer = await service.client.get(f"/v1/tasks/{IDS['own task']}", headers=headers)

    assert answer.status_code == 200
    assert "users" not in service.store.fetched


async def counted(service: Service) -> int:
    """How many versions of anything were ever stored."""
    return len(await service.store.memory.scan("audit_logs", after=None, limit=5_000))
