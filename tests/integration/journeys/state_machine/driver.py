"""Drives a service synchronously, as the state machine needs it."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode

import httpx
import msgspec

from application.actor import system_actor
from application.teams.roles import SeedRoles
from tests.integration.crash.store_comparison import FINDINGS_SHOWN_MAX, history_faults, read_open_store
from tests.integration.journeys.model.state import View
from tests.integration.journeys.service import Person, sign_in
from tests.unit.entrypoints.http.service import Service

PAGES_MAX = 200


class Served(Protocol):
    """A service, its administrator, and a check that its stores are sound."""

    @property
    def client(self) -> httpx.AsyncClient: ...
    @property
    def admin(self) -> Person: ...
    async def newcomer(self) -> Person: ...
    async def require_sound(self) -> None: ...


@dataclass(frozen=True, slots=True)
class InProcess:
    """The application over a store in memory."""

    service: Service
    admin: Person

    @property
    def client(self) -> httpx.AsyncClient:
        return self.service.client

    async def newcomer(self) -> Person:
        number = len(await self.service.store.scan("users", after=None, limit=5_000))
        return await sign_in(self.client, f"person-{number}@example.org")

    async def require_sound(self) -> None:
        findings = list(history_faults(await read_open_store(self.service.store), "memory"))
        assert not findings, "\n".join(findings[:FINDINGS_SHOWN_MAX])


async def in_process() -> InProcess:
    """The application with nobody in it but an administrator."""
    service = Service()
    await service.build(SeedRoles)(system_actor("start"))
    return InProcess(service, await sign_in(service.client, "admin@example.org"))


@dataclass(frozen=True, slots=True)
class Request:
    """One request; the key makes it repeatable, `expected` is the version it insists on."""

    method: str
    path: str
    body: View | None = None
    expected: int | None = None
    key: str | None = None


@dataclass
class World:
    """The service under test, and a count of its answers by request and status."""

    mode: str
    runner: asyncio.Runner
    served: Served
    outcomes: Counter[tuple[str, int]] = field(default_factory=Counter)
    admin: Person = field(init=False)

    def __post_init__(self) -> None:
        self.admin = self.served.admin

    def sign_admin_in(self) -> None:
        """Journeys may take longer than an access token lasts; those of one seed do not."""
        self.admin = self.runner.run(sign_in(self.served.client, self.admin.email))

    def newcomers(self, count: int) -> list[Person]:
        async def sign_all_in() -> list[Person]:
            return [await self.served.newcomer() for _ in range(count)]

        return self.runner.run(sign_all_in())

    def ask(self, person: Person, request: Request) -> httpx.Response:
        """The answer to one request."""
        return self.runner.run(self._answer(person, request))

    def attempt(self, person: Person, request: Request) -> httpx.Response:
        """The answer to an action; it is counted in `outcomes`."""
        answer = self.ask(person, request)
        operation = f"{request.method} {re.sub('[0-9a-f]{24}', '*', request.path)}"
        self.outcomes[operation, answer.status_code] += 1
        return answer

    def ask_all(self, people: Iterable[Person], paths: Iterable[str]) -> list[httpx.Response]:
        """What each of these people reads at each of these addresses."""
        requests = [(person, Request("GET", path)) for path in paths for person in people]

        async def answers() -> list[httpx.Response]:
            return await asyncio.gather(*(self._answer(person, request) for person, request in requests))

        return self.runner.run(answers())

    def read(self, person: Person, path: str) -> View:
        """What a read that must succeed shows."""
        answer = self.ask(person, Request("GET", path))
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
        view: View = answer.json()
        return view

    def listed(self, person: Person, path: str, *, limit: int = 200, **query: str) -> tuple[list[View], int]:
        """All items of a list, page by page, and how many it says there are."""
        pages = self._pages(person, path, {"limit": str(limit), "count": "exact", **query})
        assert all(len(page["items"]) == limit for page in pages[:-1]), f"{path} has pages that are not full"
        return [item for page in pages for item in page["items"]], pages[0]["total"]

    def versions(self, person: Person, path: str) -> list[int]:
        """The numbers of the versions that a history lists."""
        pages = self._pages(person, f"{path}/versions", {})
        return [item["version"] for page in pages for item in page["items"]]

    def _pages(self, person: Person, path: str, query: dict[str, str]) -> list[View]:
        pages: list[View] = []
        asked = query
        for _ in range(PAGES_MAX):
            pages.append(self.read(person, f"{path}?{urlencode(asked)}"))
            if pages[-1]["nextCursor"] is None:
                return pages
            asked = {**query, "cursor": pages[-1]["nextCursor"]}
        raise AssertionError(f"{path} does not end")

    def require_sound(self) -> None:
        """Every version has its entry, nothing waits, and both stores, where there are two, hold the same."""
        self.runner.run(self.served.require_sound())

    def statuses(self) -> Counter[int]:
        """How often each status was answered to what somebody tried to do."""
        found: Counter[int] = Counter()
        for (_, status), count in self.outcomes.items():
            found[status] += count
        return found

    def granted(self) -> set[str]:
        """What was carried out at least once."""
        return {operation for operation, status in self.outcomes if status < 300}

    async def _answer(self, person: Person, request: Request) -> httpx.Response:
        headers = {"Authorization": f"Bearer {person.token}"}
        if request.expected is not None:
            headers["If-Match"] = f'"{request.expected}"'
        if request.key is not None:
            headers["Idempotency-Key"] = request.key
        content = None if request.body is None else msgspec.json.encode(request.body)
        if content is not None:
            headers["Content-Type"] = "application/json"
        return await self.served.client.request(
            request.method, request.path, content=content, headers=headers
        )
