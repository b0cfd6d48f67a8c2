"""The port Synchronisation over the present direction of the mirror."""

from collections.abc import Callable, Sequence

from application.ports.synchronisation import (
    Discard,
    RecordHistory,
    RecordSync,
    Retried,
    Synchronisation,
    SyncMetrics,
)
from domain.audit import AuditEntry


class MirrorView:
    """Asks whichever mirror is in use: a change of ownership replaces it while the process runs."""

    def __init__(self, present: Callable[[], Synchronisation]) -> None:
        self._present = present

    async def metrics(self) -> SyncMetrics:
        return await self._present().metrics()

    async def status(self, collection: str, id: str) -> RecordSync:
        return await self._present().status(collection, id)

    async def failures(self, *, limit: int, after: str | None = None) -> Sequence[AuditEntry]:
        return await self._present().failures(limit=limit, after=after)

    async def retry(self, collection: str, id: str) -> Retried:
        return await self._present().retry(collection, id)

    async def discard(self, collection: str, id: str, discard: Discard) -> RecordSync:
        return await self._present().discard(collection, id, discard)

    async def retry_all(self) -> int:
        return await self._present().retry_all()

    async def history(self, collection: str, id: str) -> RecordHistory:
        return await self._present().history(collection, id)
