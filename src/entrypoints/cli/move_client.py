"""The move for commands: through the running service, or by the same interface in this process where none runs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

import httpx

from application.actor import SYSTEM_ID
from application.ports.tokens import Identity
from domain.errors import Conflict, NotFound, RuleBroken, TandemError, Unavailable
from domain.permissions import Grant
from entrypoints.cli.running_service import decoded, error_of, trouble_in
from entrypoints.cli.session import client_at, current_settings, inspected, opened, service_client
from entrypoints.composition.container import sign_for_itself

Answer = Mapping[str, Any]
PREFIX = "/v1/move"
TIMEOUT_SECONDS = 100.0
"""A cut-over waits for the mirror to catch up before it holds any write."""
HERE = "http://127.0.0.1"


class MoveClient(Protocol):
    """Asks `/v1/move`. Raises the domain errors of its answers, and StoreUnavailable."""

    is_lasting: bool
    """Whether what it started goes on after the command."""

    async def ask(self, method: str, path: str, body: object = None) -> Answer: ...

    async def source_trouble(self) -> str | None: ...


@asynccontextmanager
async def move_client(
    url: str | None, *, changes: bool = False, takes_new_target: bool = False
) -> AsyncIterator[MoveClient]:
    """A client of the service at this address, of the running service, or of this process.

    If the command `changes` something, this process delivers the mirror itself; otherwise the stores are opened only to
    be read. Only if it `takes_new_target` may a lost target be created.
    """
    client = (
        client_at(url, timeout_seconds=TIMEOUT_SECONDS)
        if url
        else await service_client(timeout_seconds=TIMEOUT_SECONDS)
    )
    if client is not None:
        yield client
        return
    # Without access lines, which would stand before the JSON document.
    settings = replace(current_settings(), log_level="WARNING")
    opening = opened(settings, takes_new_target=takes_new_target) if changes else inspected(settings)
    async with opening as container:
        from entrypoints.http.app import create_app  # noqa: PLC0415 - slow to load, and seldom needed

        sign_for_itself(container)
        if changes:
            container.stack().start_relay()
        issued = container.tokens().issue(Identity(SYSTEM_ID, frozenset({str(Grant.ADMIN)})))
        transport = httpx.ASGITransport(create_app(container))  # type: ignore[arg-type]
        headers = {"Authorization": f"Bearer {issued.access_token}"}
        try:
            async with httpx.AsyncClient(
                transport=transport, base_url=HERE, headers=headers, timeout=TIMEOUT_SECONDS
            ) as requests:
                yield _InProcess(requests)
        finally:
            await container.move_jobs().close()


def failure_of_job(job: Answer) -> TandemError:
    """The error with which a long step ended."""
    kinds: dict[str, type[TandemError]] = {kind.code: kind for kind in (Conflict, NotFound, RuleBroken)}
    return kinds.get(str(job["code"]), Unavailable)(str(job["error"]))


class _InProcess:
    """Sends requests to the application in this process."""

    is_lasting = False

    def __init__(self, requests: httpx.AsyncClient) -> None:
        self._requests = requests

    async def ask(self, method: str, path: str, body: object = None) -> Answer:
        answer = await self._requests.request(method, path, json=body)
        if answer.is_error:
            raise error_of(answer.status_code, answer.content)
        return decoded(answer.content)

    async def source_trouble(self) -> str | None:
        """Why the source cannot be used; None if it can."""
        return trouble_in(decoded((await self._requests.get("/v1/health")).content))
