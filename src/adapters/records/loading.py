"""Bulk loading: what a backfill writes, a page at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from adapters.records.change_set import Blocked, ChangeSet, LaneStamp, Put, Rejection, Superseded
from adapters.records.isolation import apply_each
from adapters.records.lanes import LanedStore
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import FETCH_MAX
from adapters.records.specs import AUDIT_LOGS, SPECS, SYNC_FIELDS
from domain.audit import SyncStatus
from domain.errors import StoreUnavailable, VersionConflict

LOAD_MAX = 5_000
"""The most records in one page."""
BATCH_MAX = 200
"""Change sets in one call of `apply`, where a store loads that way."""

_ARRIVED: Mapping[str, object] = {
    **dict.fromkeys(SYNC_FIELDS),
    "syncStatus": SyncStatus.SYNCED.value,
    "syncAttempts": 0,
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The outcome of one page: how many records were newer than what was stored, and which were rejected, by id.

    `stamp` is that of the last transaction; None without lanes.
    """

    written: int
    rejected: dict[str, Rejection] = field(default_factory=dict)
    stamp: LaneStamp | None = None


class BulkLoader(Protocol):
    """A store that takes pages of records."""

    async def load(self, collection: str, records: Sequence[Record], *, checkpoint: Put | None) -> Loaded:
        """Stores each record where the stored version is lower, as `apply` does, and entries where they are new.

        At most LOAD_MAX records of one collection. They and the checkpoint (a control record) are one transaction by a
        lane of this process; a store that loads by `apply` stores the checkpoint after them. Records that the store
        rejects are left out and named; the others are stored all the same. Idempotent and independent of order.

        Raises StoreUnavailable, with the cause where the table takes no rows at present; LaneLost as `apply_by_lane`
        does; VersionConflict where the checkpoint is another one by now, since somebody else loads, too.
        """
        ...


class FilledStore(LanedStore, BulkLoader, Protocol):
    """A store that can be a target: mirrored to, and loaded in bulk."""


def arrived(entry: Record) -> Record:
    """The entry as a target keeps it: delivered, without the marks of the store that it comes from."""
    return {**entry, **_ARRIVED}


def page_of(collection: str, records: Sequence[Record]) -> dict[str, Record]:
    """What a page stores, by id: the highest version of each record, and entries as they arrive.

    Raises ValueError beyond LOAD_MAX, and for a collection that describes its own store, such as `control`.
    """
    if SPECS[collection].is_local:
        raise ValueError(f"{collection} belongs to its store and is never loaded")
    if len(records) > LOAD_MAX:
        raise ValueError(f"at most {LOAD_MAX} records are loaded at once, not {len(records)}")
    page: dict[str, Record] = {}
    for record in records:
        known = page.get(record[ID])
        if known is None or known[VERSION] < record[VERSION]:
            page[record[ID]] = record
    if collection == AUDIT_LOGS.collection:
        return {record_id: arrived(entry) for record_id, entry in page.items()}
    return page


def newer_than(collection: str, page: Mapping[str, Record], held: Mapping[str, int]) -> list[Record]:
    """The records of a page that change a store which holds these versions. An entry never changes."""
    if collection == AUDIT_LOGS.collection:
        return [entry for record_id, entry in page.items() if record_id not in held]
    return [record for record_id, record in page.items() if held.get(record_id, 0) < record[VERSION]]


def carrier(collection: str, record: Record) -> ChangeSet:
    """The change set that carries one record, or one entry, alone."""
    if collection == AUDIT_LOGS.collection:
        return ChangeSet((), (record,))
    return ChangeSet((Put(collection, record, record[VERSION] - 1),))


async def load_by_apply(
    store: LanedStore, collection: str, records: Sequence[Record], *, checkpoint: Put | None
) -> Loaded:
    """`BulkLoader.load` by `apply`: batches, each atomic by itself, and then the checkpoint."""
    fresh = await _fresh(store, collection, page_of(collection, records))
    written, rejected, stamp = 0, {}, None

    async def apply(change_sets: Sequence[ChangeSet]) -> list[Superseded | Rejection | Blocked | None]:
        nonlocal stamp
        applied = await store.apply_by_lane(change_sets)
        stamp = applied.stamp or stamp
        return applied.outcomes

    for start in range(0, len(fresh), BATCH_MAX):
        batch = fresh[start : start + BATCH_MAX]
        outcomes = await apply_each(apply, [carrier(collection, record) for record in batch])
        for record, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Blocked):
                raise StoreUnavailable(f"{outcome.place} takes no writes at present. {outcome.cause}")
            if isinstance(outcome, Rejection):
                rejected[record[ID]] = outcome
            written += outcome is None
    if checkpoint is not None:
        stamp = await _keep(store, checkpoint) or stamp
    return Loaded(written, rejected, stamp)


async def _fresh(store: LanedStore, collection: str, page: Mapping[str, Record]) -> list[Record]:
    ids, held = list(page), {}
    for start in range(0, len(ids), FETCH_MAX):
        found = await store.fetch(collection, ids[start : start + FETCH_MAX])
        held.update({record_id: record.get(VERSION) or 0 for record_id, record in found.items()})
    return newer_than(collection, page, held)


async def _keep(store: LanedStore, checkpoint: Put) -> LaneStamp | None:
    try:
        return await store.commit(ChangeSet((checkpoint,)))
    except VersionConflict:
        found = (await store.fetch(checkpoint.collection, [checkpoint.record_id])).get(checkpoint.record_id)
        if not is_kept(checkpoint, found):
            raise
        return None


def is_kept(checkpoint: Put, found: Record | None) -> bool:
    """Whether the store holds this checkpoint already, the reply having been lost. Its version is a random token."""
    return found is not None and found[VERSION] == checkpoint.version
