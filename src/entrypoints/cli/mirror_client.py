"""The mirror for commands: in this process where it can open the stores, else through the running service.

Both return the same JSON documents as the HTTP interface.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from application.actor import Actor
from application.operations import OperateSync
from entrypoints.cli.console import View, document
from entrypoints.cli.running_service import ServiceClient
from entrypoints.cli.session import (
    READ_SECONDS_MAX,
    client_at,
    current_settings,
    inspected,
    opened,
    operator,
    service_client,
)
from entrypoints.http import sync
from entrypoints.http.protocol.answers import made_view


class MirrorClient(Protocol):
    """Lag, failures, retries and histories. Raises what the use case raises, and StoreUnavailable."""

    async def source_trouble(self) -> str | None: ...

    async def metrics(self) -> View: ...

    async def status(self, collection: str, id: str) -> View: ...

    async def failures(self, *, limit: int) -> View: ...

    async def retry(self, collection: str, id: str) -> View: ...

    async def discard(self, collection: str, id: str, reason: str) -> View: ...

    async def retry_all(self) -> View: ...

    async def history(self, collection: str, id: str) -> View: ...


@asynccontextmanager
async def mirror_client(url: str | None, *, changes: bool = False) -> AsyncIterator[MirrorClient]:
    """A client of the service at this address, of the running service, or of this process.

    Unless the command `changes` something, the stores are opened only to be read, and nothing is waited for.
    """
    client = client_at(url) if url else await service_client(timeout_seconds=READ_SECONDS_MAX)
    if client is not None:
        yield RemoteMirrorClient(client)
        return
    opening = opened if changes else inspected
    settings = current_settings()
    async with opening(settings) as container:
        if settings.stores.target is None:
            # With a mirror, its state names the cause.
            for objection in container.stack().objections.values():
                raise objection
        yield LocalMirrorClient(container.builder().build(OperateSync), operator(container))


METRICS_SECONDS_MAX = 15.0
"""Counting asks the source some ten times, one after the other: half a second each where it is far away."""


@dataclass(frozen=True, slots=True)
class RemoteMirrorClient:
    """Sends requests to a service."""

    client: ServiceClient

    async def source_trouble(self) -> str | None:
        """Why the source cannot be used, as far as the service knows; None if it can."""
        return await self.client.source_trouble()

    async def metrics(self) -> View:
        return await self.client.ask("GET", "/v1/sync/metrics", timeout_seconds=METRICS_SECONDS_MAX)

    async def status(self, collection: str, id: str) -> View:
        return await self.client.ask("GET", f"/v1/sync/status/{_path(collection, id)}")

    async def failures(self, *, limit: int) -> View:
        answer = await self.client.ask("GET", f"/v1/sync/failures?limit={limit}")
        return {"items": answer.get("items", [])}

    async def retry(self, collection: str, id: str) -> View:
        return await self.client.ask("POST", f"/v1/sync/failures/{_path(collection, id)}/retry")

    async def discard(self, collection: str, id: str, reason: str) -> View:
        path = f"/v1/sync/failures/{_path(collection, id)}/discard"
        return await self.client.ask("POST", path, {"reason": reason})

    async def retry_all(self) -> View:
        return await self.client.ask("POST", "/v1/sync/failures/retry")

    async def history(self, collection: str, id: str) -> View:
        answer = await self.client.ask("GET", f"/v1/sync/history/{_path(collection, id)}")
        return {"items": answer.get("items", []), "targetTrouble": answer.get("targetTrouble")}


@dataclass(frozen=True, slots=True)
class LocalMirrorClient:
    """Calls the use case."""

    operate: OperateSync
    actor: Actor

    async def source_trouble(self) -> None:
        """None: the source was opened and read, or the command has ended with the reason."""

    async def metrics(self) -> View:
        return document(made_view(await self.operate.metrics(self.actor), sync.SyncMetricsView))

    async def status(self, collection: str, id: str) -> View:
        record = await self.operate.status(self.actor, collection, id)
        return document(made_view(record, sync.RecordSyncView))

    async def failures(self, *, limit: int) -> View:
        entries = await self.operate.failures(self.actor, limit=limit)
        return {"items": [document(sync.failure_view(entry)) for entry in entries]}

    async def retry(self, collection: str, id: str) -> View:
        return document(sync.retried_view(await self.operate.retry(self.actor, collection, id)))

    async def discard(self, collection: str, id: str, reason: str) -> View:
        record = await self.operate.discard(self.actor, collection, id, reason)
        return document(made_view(record, sync.RecordSyncView))

    async def retry_all(self) -> View:
        return document(sync.RequeuedView(await self.operate.retry_all(self.actor)))

    async def history(self, collection: str, id: str) -> View:
        return document(sync.history_view(await self.operate.history(self.actor, collection, id)))


def _path(collection: str, id_: str) -> str:
    return f"{quote(collection, safe='')}/{quote(id_, safe='')}"
