"""The mirror for commands: in this process where it can open the stores, else through the running service.

Both return the same JSON documents as the HTTP interface.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import quote

from application.actor import Actor
from application.operations import OperateSync
from application.ports.synchronisation import CollectionSync, RecordSync, VersionStatus
from domain.audit import AuditEntry
from entrypoints.cli.running_service import RunningService, ServiceClient, service_holding_stores
from entrypoints.cli.session import current_settings, opened, operator

View = Mapping[str, object]


class MirrorClient(Protocol):
    """Lag, failures, retries and histories. Raises what the use case raises, and StoreUnavailable."""

    async def metrics(self) -> View: ...

    async def status(self, collection: str, id: str) -> View: ...

    async def failures(self, *, limit: int) -> View: ...

    async def retry(self, collection: str, id: str) -> View: ...

    async def retry_all(self) -> View: ...

    async def history(self, collection: str, id: str) -> View: ...


@asynccontextmanager
async def mirror_client(url: str | None) -> AsyncIterator[MirrorClient]:
    """A client of the service at this address, of the running service that holds the stores, or of this process."""
    settings = current_settings()
    service = RunningService(url) if url else await service_holding_stores(settings)
    if service is not None:
        yield RemoteMirrorClient(ServiceClient(service, settings))
        return
    async with opened(settings) as container:
        yield LocalMirrorClient(container.builder().build(OperateSync), operator(container))


@dataclass(frozen=True, slots=True)
class RemoteMirrorClient:
    """Sends requests to a service."""

    client: ServiceClient

    async def metrics(self) -> View:
        return await self.client.ask("GET", "/v1/sync/metrics")

    async def status(self, collection: str, id: str) -> View:
        return await self.client.ask("GET", f"/v1/sync/status/{_path(collection, id)}")

    async def failures(self, *, limit: int) -> View:
        answer = await self.client.ask("GET", f"/v1/sync/failures?limit={limit}")
        return {"items": answer.get("items", [])}

    async def retry(self, collection: str, id: str) -> View:
        return await self.client.ask("POST", f"/v1/sync/failures/{_path(collection, id)}/retry")

    async def retry_all(self) -> View:
        return await self.client.ask("POST", "/v1/sync/failures/retry")

    async def history(self, collection: str, id: str) -> View:
        answer = await self.client.ask("GET", f"/v1/sync/history/{_path(collection, id)}")
        return {"items": answer.get("items", [])}


@dataclass(frozen=True, slots=True)
class LocalMirrorClient:
    """Calls the use case."""

    operate: OperateSync
    actor: Actor

    async def metrics(self) -> View:
        metrics = await self.operate.metrics(self.actor)
        return {
            "source": metrics.source,
            "target": metrics.target,
            "mode": metrics.mode,
            "paused": metrics.paused,
            "targetReachable": metrics.target_reachable,
            "totals": _totals(metrics.collections),
            "collections": [_camel(asdict(each)) for each in metrics.collections],
        }

    async def status(self, collection: str, id: str) -> View:
        return _record(await self.operate.status(self.actor, collection, id))

    async def failures(self, *, limit: int) -> View:
        entries = await self.operate.failures(self.actor, limit=limit)
        return {"items": [_failure(entry) for entry in entries]}

    async def retry(self, collection: str, id: str) -> View:
        return _record(await self.operate.retry(self.actor, collection, id))

    async def retry_all(self) -> View:
        return {"requeued": await self.operate.retry_all(self.actor)}

    async def history(self, collection: str, id: str) -> View:
        return {
            "items": [
                _version_status(each) for each in await self.operate.history(self.actor, collection, id)
            ]
        }


def _path(collection: str, id_: str) -> str:
    return f"{quote(collection, safe='')}/{quote(id_, safe='')}"


def _totals(collections: Sequence[CollectionSync]) -> View:
    ages = [each.oldest_pending_age_ms for each in collections if each.oldest_pending_age_ms is not None]
    return {
        "synced": sum(each.synced for each in collections),
        "pending": sum(each.pending for each in collections),
        "failed": sum(each.failed for each in collections),
        "parked": sum(each.parked for each in collections),
        "oldestPendingAgeMs": max(ages, default=None),
    }


def _record(record: RecordSync) -> View:
    return {**_camel(asdict(record)), "nextAttemptAt": _instant(record.next_attempt_at)}


def _failure(entry: AuditEntry) -> View:
    return {
        "entryId": entry.id,
        "collection": entry.collection,
        "id": entry.entity_id,
        "version": entry.version,
        "action": entry.action,
        "at": _instant(entry.at),
        "status": entry.sync_status,
        "attempts": entry.sync_attempts,
        "lastError": entry.sync_error,
        "nextAttemptAt": _instant(entry.sync_next_at),
    }


def _version_status(version: VersionStatus) -> View:
    entry = version.entry
    return {
        "version": entry.version,
        "action": entry.action,
        "actorId": entry.actor_id,
        "at": _instant(entry.at),
        "requestId": entry.request_id,
        "status": entry.sync_status,
        "attempts": entry.sync_attempts,
        "lastError": entry.sync_error,
        "mirroredAt": _instant(entry.synced_at),
        "inSource": version.in_source,
        "inTarget": version.in_target,
    }


def _camel(values: Mapping[str, object]) -> dict[str, object]:
    """The values under camelCase names."""
    named = {}
    for name, value in values.items():
        first, *rest = name.split("_")
        named[first + "".join(word.capitalize() for word in rest)] = value
    return named


def _instant(instant: datetime | None) -> str | None:
    """RFC 3339, UTC, milliseconds."""
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
