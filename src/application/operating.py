"""The mirror for operators: every operation requires an administrator."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.actor import Actor
from application.authorization import require_admin
from application.ports.synchronisation import RecordSync, Synchronisation, SyncMetrics, VersionStatus
from domain.audit import AuditEntry


@dataclass(frozen=True, slots=True)
class OperateSync:
    """Lag, failures, retries and histories, for administrators."""

    synchronisation: Synchronisation

    async def metrics(self, actor: Actor) -> SyncMetrics:
        require_admin(actor)
        return await self.synchronisation.metrics()

    async def status(self, actor: Actor, collection: str, id: str) -> RecordSync:
        require_admin(actor)
        return await self.synchronisation.status(collection, id)

    async def failures(self, actor: Actor, *, limit: int, after: str | None = None) -> Sequence[AuditEntry]:
        require_admin(actor)
        return await self.synchronisation.failures(limit=limit, after=after)

    async def retry(self, actor: Actor, collection: str, id: str) -> RecordSync:
        require_admin(actor)
        return await self.synchronisation.retry(collection, id)

    async def retry_all(self, actor: Actor) -> int:
        require_admin(actor)
        return await self.synchronisation.retry_all()

    async def history(self, actor: Actor, collection: str, id: str) -> Sequence[VersionStatus]:
        require_admin(actor)
        return await self.synchronisation.history(collection, id)
