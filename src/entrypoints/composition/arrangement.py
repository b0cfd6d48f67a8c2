"""Which store owns writes, as the stores themselves remember it: a process that was told otherwise is refused."""

import secrets
from dataclasses import asdict, dataclass

from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore, StoreRefused
from adapters.records.specs import CONTROL
from domain.errors import VersionConflict

ARRANGEMENT_ID = "arrangement"
FIRST_EPOCH = 1


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What a store remembers: who owns the writes, how often that changed, and which data it is.

    `identity` tells this data from other data under the same names.
    """

    owner: str
    epoch: int
    identity: str


async def require_owner(store: RecordStore, *, owner: str) -> Arrangement:
    """Notes in a store who owns the writes, at the first start, and holds every later process to it.

    Raises StoreRefused where the store remembers another owner: writing here would fork the data.
    """
    held = await _held(store)
    if held is None:
        held = await _claim(store, owner)
    remembered = Arrangement(**held["value"])
    if remembered.owner != owner:
        raise StoreRefused(
            f"The {store.name} store belongs to an arrangement whose writes are owned by {remembered.owner}, and this"
            f" process was told {owner}. Start it with STORE=dual and DUAL_WRITE_SOURCE={remembered.owner}"
            f" (or STORE={remembered.owner})."
        )
    return remembered


async def _held(store: RecordStore) -> Record | None:
    return (await store.fetch(CONTROL.collection, [ARRANGEMENT_ID])).get(ARRANGEMENT_ID)


async def _claim(store: RecordStore, owner: str) -> Record:
    first = Arrangement(owner, FIRST_EPOCH, secrets.token_hex(8))
    record: Record = {ID: ARRANGEMENT_ID, VERSION: 1, "value": asdict(first)}
    try:
        await store.commit(ChangeSet((Put(CONTROL.collection, record, 0),)))
    except VersionConflict:
        # Another process was first; what it noted holds for this one too.
        held = await _held(store)
        return held if held is not None else record
    return record
