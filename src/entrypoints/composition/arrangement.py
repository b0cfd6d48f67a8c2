"""Which store owns writes, as the stores themselves remember it: a process that was told otherwise is refused."""

from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore, StoreRefused
from adapters.records.specs import CONTROL
from domain.errors import VersionConflict

ARRANGEMENT_ID = "arrangement"
FIRST_EPOCH = 1


async def require_owner(store: RecordStore, *, owner: str) -> None:
    """Notes in a store who owns the writes, at the first start, and holds every later process to it.

    Raises StoreRefused where the store remembers another owner: writing here would fork the data.
    """
    held = await _held(store)
    if held is None:
        held = await _claim(store, owner)
    remembered = held["value"]["owner"]
    if remembered != owner:
        raise StoreRefused(
            f"The {store.name} store belongs to an arrangement whose writes are owned by {remembered}, and this"
            f" process was told {owner}. Start it with STORE=dual and DUAL_WRITE_SOURCE={remembered}"
            f" (or STORE={remembered})."
        )


async def _held(store: RecordStore) -> Record | None:
    return (await store.fetch(CONTROL.collection, [ARRANGEMENT_ID])).get(ARRANGEMENT_ID)


async def _claim(store: RecordStore, owner: str) -> Record:
    record: Record = {ID: ARRANGEMENT_ID, VERSION: 1, "value": {"owner": owner, "epoch": FIRST_EPOCH}}
    try:
        await store.commit(ChangeSet((Put(CONTROL.collection, record, 0),)))
    except VersionConflict:
        # Another process was first; what it noted holds for this one too.
        held = await _held(store)
        return held if held is not None else record
    return record
