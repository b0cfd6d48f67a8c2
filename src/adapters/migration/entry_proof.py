"""Which entries of the history a backfill may bring to the target, and which it leaves to the relay.

An entry in the target says that the target holds the record's version; readers rely on it. So an undelivered entry is
only loaded where the target held that version, or a later one of this source, before. It is read in that order: the
target's version, then the source's, then the entry is loaded. A copy of the target that has the load's lane number
therefore has the record, too, and the entry may be marked SYNCED with that number. Everything else stays undelivered,
and the relay carries it with its record.
"""

from collections.abc import Sequence
from datetime import datetime

from adapters.records.change_set import DeliveryMark, LaneStamp
from adapters.records.record import ID, VERSION, CorruptRecord, Record
from adapters.records.record_store import FETCH_MAX, RecordStore
from adapters.records.specs import SPECS
from domain.audit import SyncStatus

MARKS_MAX = 500
"""Marks in one write of the source, so that commits wait for a short time only."""
_PROVABLE = (None, SyncStatus.PENDING, SyncStatus.FAILED)


class EntryProof:
    """Compares entries with the records in both stores."""

    def __init__(self, source: RecordStore, target: RecordStore) -> None:
        self._source = source
        self._target = target

    async def proven(self, entries: Sequence[Record]) -> list[Record]:
        """The undelivered entries whose version the target holds. Raises StoreUnavailable."""
        waiting = [
            entry
            for entry in entries
            if entry.get("syncStatus") in _PROVABLE and entry["collection"] in SPECS
        ]
        ids: dict[str, set[str]] = {}
        for entry in waiting:
            ids.setdefault(entry["collection"], set()).add(entry["entityId"])
        held = await _versions(self._target, ids)
        own = await _versions(self._source, ids)
        proven = []
        for entry in waiting:
            key = entry["collection"], entry["entityId"]
            # A version above the source's own is a difference: nothing is proven by it.
            if entry[VERSION] <= held.get(key, 0) <= own.get(key, 0):
                proven.append(entry)
        return proven

    async def mark(self, entries: Sequence[Record], stamp: LaneStamp | None, *, at: datetime) -> None:
        """Marks loaded entries in the source; not without a lane, since no comparison could take that back."""
        if stamp is None:
            return
        marks = [
            DeliveryMark(
                entry_id=entry[ID], status=SyncStatus.SYNCED, at=at, lane=stamp.lane, number=stamp.number
            )
            for entry in entries
        ]
        for start in range(0, len(marks), MARKS_MAX):
            await self._source.mark(marks[start : start + MARKS_MAX])


async def _versions(store: RecordStore, ids: dict[str, set[str]]) -> dict[tuple[str, str], int]:
    versions: dict[tuple[str, str], int] = {}
    for collection, entity_ids in ids.items():
        ordered = sorted(entity_ids)
        for start in range(0, len(ordered), FETCH_MAX):
            found = await _readable(store, collection, ordered[start : start + FETCH_MAX])
            versions.update({(collection, record_id): record[VERSION] for record_id, record in found.items()})
    return versions


async def _readable(store: RecordStore, collection: str, ids: list[str]) -> dict[str, Record]:
    """Those of the records that can be decoded: nothing is proven about the others."""
    try:
        return await store.fetch(collection, ids)
    except CorruptRecord:
        if len(ids) == 1:
            return {}
    middle = len(ids) // 2
    first = await _readable(store, collection, ids[:middle])
    return first | await _readable(store, collection, ids[middle:])
