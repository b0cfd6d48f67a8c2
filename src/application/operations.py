"""The mirror and diagnostics, for administrators."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.access import require_admin
from application.actor import Actor
from application.ports.diagnostics import CacheUse, Diagnostics, SlowQuery
from application.ports.identifiers import Identifiers
from application.ports.synchronisation import (
    Discard,
    RecordHistory,
    RecordSync,
    Retried,
    Synchronisation,
    SyncMetrics,
)
from domain.audit import AuditEntry
from domain.errors import RuleBroken, Violation


@dataclass(frozen=True, slots=True)
class OperateSync:
    """Lag, failures, retries and histories, for administrators."""

    synchronisation: Synchronisation
    identifiers: Identifiers

    async def metrics(self, actor: Actor) -> SyncMetrics:
        require_admin(actor)
        return await self.synchronisation.metrics()

    async def status(self, actor: Actor, collection: str, id: str) -> RecordSync:
        require_admin(actor)
        return await self.synchronisation.status(collection, id)

    async def failures(self, actor: Actor, *, limit: int, after: str | None = None) -> Sequence[AuditEntry]:
        require_admin(actor)
        return await self.synchronisation.failures(limit=limit, after=after)

    async def retry(self, actor: Actor, collection: str, id: str) -> Retried:
        require_admin(actor)
        return await self.synchronisation.retry(collection, id)

    async def discard(self, actor: Actor, collection: str, id: str, reason: str) -> RecordSync:
        """See Synchronisation. Raises RuleBroken for a blank reason, Forbidden unless the actor is an administrator."""
        require_admin(actor)
        if not reason.strip():
            blank = Violation("/reason", "must say why the version is given up")
            raise RuleBroken("Give a reason.", violations=[blank])
        discard = Discard(
            reason=reason.strip(),
            actor_id=actor.id,
            request_id=actor.request_id,
            entry_id=self.identifiers.fresh(),
        )
        return await self.synchronisation.discard(collection, id, discard)

    async def retry_all(self, actor: Actor) -> int:
        require_admin(actor)
        return await self.synchronisation.retry_all()

    async def history(self, actor: Actor, collection: str, id: str) -> RecordHistory:
        require_admin(actor)
        return await self.synchronisation.history(collection, id)


@dataclass(frozen=True, slots=True)
class ReadDiagnostics:
    """Slow queries and cache use of the process that answers."""

    diagnostics: Diagnostics

    def slow_queries(self, actor: Actor) -> Sequence[SlowQuery]:
        """Newest first. Raises Forbidden unless the actor is an administrator."""
        require_admin(actor)
        return self.diagnostics.slow_queries()

    def cache_use(self, actor: Actor) -> CacheUse | None:
        """None without a cache. Raises Forbidden unless the actor is an administrator."""
        require_admin(actor)
        return self.diagnostics.cache_use()
