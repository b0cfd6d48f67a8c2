"""The whole service in this process, over real stores: what the journeys talk to."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import msgspec

from adapters.records.criteria import OneOf
from adapters.records.specs import AUDIT_LOGS
from domain.audit import SyncStatus
from entrypoints.composition.container import build_container
from entrypoints.composition.settings import read_settings
from entrypoints.composition.start import start
from entrypoints.composition.store_stack import StoreStack
from entrypoints.http.app import create_app
from tests.integration.crash.store_comparison import (
    FINDINGS_SHOWN_MAX,
    Contents,
    Stores,
    differences,
    history_faults,
    read_open_store,
    undelivered,
)
from tests.unit.entrypoints.http.service import Json

MARKED_SECONDS_MAX = 30.0
POLL_SECONDS = 0.02
PAGES_MAX = 1_000
UNDELIVERED = OneOf("syncStatus", (SyncStatus.PENDING, SyncStatus.FAILED, SyncStatus.PARKED))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has signed in."""

    id: str
    email: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class JourneyService:
    """The application, its stores, and a way to ask as different people. `admin` came first and administers it."""

    client: httpx.AsyncClient
    stack: StoreStack
    admin: Person

    async def call(
        self, person: Person | None, method: str, path: str, body: object = None, **more: Any
    ) -> httpx.Response:
        """One request. `raw` sends bytes, `kind` is their media type, `expect` demands a status; the rest: headers."""
        raw, kind, expect = more.pop("raw", None), more.pop("kind", None), more.pop("expect", None)
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        if person is not None:
            headers["Authorization"] = f"Bearer {person.token}"
        content = raw if raw is not None or body is None else msgspec.json.encode(body)
        if content is not None:
            headers["Content-Type"] = kind or "application/json"
        answer = await self.client.request(method, path, content=content, headers=headers)
        assert expect in (None, answer.status_code), f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    async def view(
        self, person: Person | None, method: str, path: str, body: object = None, **more: Any
    ) -> Json:
        """The document that a request which must succeed is answered with."""
        answer = await self.call(person, method, path, body, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        document: Json = answer.json()
        return document

    async def pages(self, person: Person, path: str) -> list[list[Json]]:
        """Every page of a list, found as clients find it: by the link to the next one."""
        found: list[list[Json]] = []
        address: str | None = path
        for _ in range(PAGES_MAX):
            answer = await self.call(person, "GET", address or "", expect=200)
            document = answer.json()
            found.append(document["items"])
            address = answer.links.get("next", {}).get("url")
            assert (address is None) == (document["nextCursor"] is None)
            if address is None:
                return found
        raise AssertionError(f"{path} does not end")

    async def items(self, person: Person, path: str) -> list[Json]:
        """The items of every page."""
        return [item for page in await self.pages(person, path) for item in page]

    async def newcomer(self) -> Person:
        """A new user, signed in."""
        return await sign_in(self.client, f"{secrets.token_hex(8)}@example.org")

    async def stored(self) -> list[Contents]:
        """What each store holds, the source first; where there are two, once everything is mirrored."""
        if self.stack.relay is not None:
            await self._wait_delivered()
        return [await read_open_store(store) for store in self.stack.raw_stores]

    async def require_sound(self) -> None:
        """Every version has its entry in every store, the stores are equal field by field, nothing waits."""
        contents = await self.stored()
        findings = [
            fault
            for store, each in zip(self.stack.raw_stores, contents, strict=True)
            for fault in history_faults(each, store.name)
        ]
        if len(contents) > 1:
            findings += [*undelivered(contents[0]), *differences(Stores(*contents))]
        assert contents[0]["audit_logs"], "nothing was written, so nothing is proven"
        first = "\n".join(findings[:FINDINGS_SHOWN_MAX])
        assert not findings, f"{len(findings)} findings:\n{first}"

    async def _wait_delivered(self) -> None:
        """Asks the source itself: the service's own answer may be a few seconds old."""
        deadline = time.monotonic() + MARKED_SECONDS_MAX
        while waiting := await self.stack.source.count(AUDIT_LOGS.collection, UNDELIVERED):
            assert time.monotonic() < deadline, f"{waiting} entries are not mirrored"
            await asyncio.sleep(POLL_SECONDS)


async def sign_in(client: httpx.AsyncClient, email: str) -> Person:
    """Sign in by email address; the user is created if there is none."""
    answer = await client.post("/v1/auth/dev/token", json={"email": email})
    assert answer.status_code == 200, answer.text
    document = answer.json()
    return Person(document["user"]["id"], email, document["accessToken"])


@asynccontextmanager
async def running(variables: Mapping[str, str]) -> AsyncIterator[JourneyService]:
    """The service of these settings, its stores open and its relay at work, as `tandem serve` runs it."""
    container = build_container(read_settings(variables))
    stack = container.stack()
    app = create_app(container, is_started=lambda: stack.is_open)
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://tandem.test") as client:
        try:
            await start(container, within_seconds=MARKED_SECONDS_MAX)
            stack.start_relay()
            yield JourneyService(client, stack, await sign_in(client, "admin@example.org"))
        finally:
            await stack.close()
