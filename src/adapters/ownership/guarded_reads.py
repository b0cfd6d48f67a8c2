"""The store of a process whose source may be emptied or replaced beneath it."""

from collections.abc import Callable, Mapping, Sequence

from loguru import logger

from adapters.ownership.refusals import StoreLost
from adapters.ownership.source_side import SourceSide
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.records.wrapped_store import WrappedStore
from domain.errors import StoreUnavailable


class GuardedReads(WrappedStore):
    """Refuses reads while the source is lost: an empty store would answer that nothing is there, and that nobody may
    do anything. Writes are refused by the source itself.

    An answer that lacks something may be the first sign, so the source is looked at before it is given.
    """

    def __init__(self, inner: RecordStore, *, source: Callable[[], SourceSide]) -> None:
        super().__init__(inner)
        self._source = source

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        self._require_found()
        found = await self._inner.fetch(collection, ids)
        if len(found) < len(ids):
            await self._require_kept()
        return found

    async def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        self._require_found()
        found = await self._inner.gather(ids_by_collection)
        if any(len(found[name]) < len(ids) for name, ids in ids_by_collection.items()):
            await self._require_kept()
        return found

    async def find(self, question: Question) -> list[Record]:
        self._require_found()
        found = await self._inner.find(question)
        if not found:
            await self._require_kept()
        return found

    async def count(self, collection: str, where: Criterion) -> int:
        self._require_found()
        count = await self._inner.count(collection, where)
        if not count:
            await self._require_kept()
        return count

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        self._require_found()
        found = await self._inner.scan(collection, after=after, limit=limit)
        if not found:
            await self._require_kept()
        return found

    async def _require_kept(self) -> None:
        """Looks again whether the source is lost, unless that was looked at just now."""
        record = self._source().record
        if record.is_fresh:
            return
        try:
            await record.look()
        except StoreLost:
            raise
        except StoreUnavailable as error:
            logger.debug("Whether the source is lost could not be read: {}", error.message)

    def _require_found(self) -> None:
        loss = self._source().record.loss
        if loss is not None:
            raise StoreLost(loss.message)
