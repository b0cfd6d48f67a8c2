"""The stores of one service with its HTTP interface, and an administrator who moves them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import httpx

from adapters.ownership.control import Ownership
from application.actor import SYSTEM_ID
from application.ports.tokens import Identity
from domain.migration import Phase
from domain.permissions import Grant
from entrypoints.composition.container import Container
from entrypoints.http.app import create_app
from tests.integration.ownership_world import serving


@dataclass(frozen=True, slots=True)
class Served:
    """The stores of one service, and an administrator who asks it."""

    container: Container
    client: httpx.AsyncClient

    async def owner(self) -> Ownership:
        """The control record."""
        return (await self.container.stack().ownership.required()).ownership

    async def put_in(self, phase: Phase) -> None:
        """As if the steps up to this phase had been taken."""
        await self.container.stack().ownership.change(lambda now: replace(now, phase=phase))

    async def post(self, path: str, body: object = None) -> httpx.Response:
        """A step that is asked for."""
        return await self.client.post(f"/v1/move/{path}", json=body)

    async def ended(self, path: str, body: object = None) -> dict[str, Any]:
        """A long step, once it has ended."""
        job = (await self.post(path, body)).json()["jobId"]
        await self.container.move_jobs().wait(job)
        view: dict[str, Any] = (await self.client.get(f"/v1/move/jobs/{job}")).json()
        return view


@asynccontextmanager
async def served(directory: Path, **variables: str) -> AsyncIterator[Served]:
    """A service on this data directory, asked within this process."""
    settings = {"APP_ENV": "test", "MONTY_STORAGE": "sqlite", **variables, "DATA_DIR": str(directory)}
    async with serving(settings) as container:
        issued = container.tokens().issue(Identity(SYSTEM_ID, frozenset({str(Grant.ADMIN)})))
        transport = httpx.ASGITransport(cast("Any", create_app(container)))
        headers = {"Authorization": f"Bearer {issued.access_token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
            yield Served(container, client)
        await container.move_jobs().close()
