"""Loads records once more that the target has rejected."""

from adapters.migration.quarantine import Decision, Quarantine, raw_text
from adapters.migration.range_loader import BackfillTarget
from adapters.migration.source_pages import OTHERS_MAX, HoldsOthers, has_version
from adapters.records.record import CorruptRecord
from adapters.records.record_store import RecordStore
from application.ports.migration import Quarantined
from domain.errors import Conflict


class SecondTry:
    """For records in the quarantine of a source. `original` is the source without what guards its writes."""

    def __init__(
        self, source: RecordStore, target: BackfillTarget, *, original: RecordStore | None = None
    ) -> None:
        self._source, self._target = source, target
        self._original = original or source
        self._quarantine = Quarantine(source)

    async def fix(self, id: str, *, reason: str) -> Quarantined:
        """Tries a quarantined record again. Raises NotFound, and Conflict where it is rejected again."""
        kept = await self._quarantine.one(id)
        if not await self.again(kept.collection, kept.record_id):
            again = await self._quarantine.one(id)
            raise Conflict(f"{kept.collection} {kept.record_id} still cannot be carried over: {again.reason}")
        return await self._quarantine.note(id, Decision.FIX, because=reason)

    async def again(self, collection: str, record_id: str) -> bool:
        """Whether a quarantined record is in the target now, or gone from the source."""
        try:
            record = (await self._source.fetch(collection, [record_id])).get(record_id)
        except CorruptRecord:
            return False
        if await self._is_no_record(collection, record_id) or not (record is None or has_version(record)):
            return False
        if record is not None:
            loaded = await self._target.load(collection, [record], checkpoint=None)
            if record_id in loaded.rejected:
                reason = loaded.rejected[record_id].reason
                await self._quarantine.add(collection, record_id, reason=reason, raw=raw_text(record))
                return False
        await self._quarantine.release(collection, record_id)
        return True

    async def _is_no_record(self, collection: str, record_id: str) -> bool:
        """Whether the source still holds this as a document whose id no record can have."""
        if not isinstance(self._original, HoldsOthers):
            return False
        return record_id in await self._original.other_documents(collection, limit=OTHERS_MAX)
