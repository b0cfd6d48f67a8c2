"""Control records that go with the ownership: what a new owner must know that the mirror does not carry."""

from collections.abc import Sequence

from adapters.dual_write.lease import FREE, LEASE_ID
from adapters.migration.quarantine import Quarantine
from adapters.records.change_set import Put
from adapters.records.control_records import DISPLAY_NUMBERS_ID, RESERVED
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import FETCH_MAX, RecordStore
from adapters.records.specs import CONTROL

STEPS_ID = "move-steps"
VERIFICATION_ID = "verification"
HORIZON_ID = "verified-horizon"
"""About this pair of stores in their present roles, so a new owner does not take it over."""

COPIED = (STEPS_ID, VERIFICATION_ID)


async def carried_puts(owner: RecordStore, successor: RecordStore) -> list[Put]:
    """What the successor stores in the transaction that arms it. Raises StoreUnavailable.

    Numbers of tasks are never given twice, also not those of purged tasks. The lease of a relay
    that delivered when this store was the owner before is free: nobody would deliver until it had expired.
    """
    # What was skipped stays known in the new direction, too.
    quarantined = [one.id for one in await Quarantine(owner).all()]
    own = await _fetched(owner, [DISPLAY_NUMBERS_ID, *COPIED, *quarantined])
    held = await _fetched(successor, [LEASE_ID, DISPLAY_NUMBERS_ID, *COPIED, *quarantined])
    puts: list[Put] = []
    if LEASE_ID in held:
        version = held[LEASE_ID][VERSION]
        free: Record = {ID: LEASE_ID, VERSION: version + 1, "value": FREE}
        puts.append(Put(CONTROL.collection, free, version))
    for id_, record in own.items():
        version = held[id_][VERSION] if id_ in held else 0
        value = record["value"]
        if id_ == DISPLAY_NUMBERS_ID and id_ in held:
            value = {RESERVED: max(value[RESERVED], held[id_]["value"][RESERVED])}
        carried: Record = {ID: id_, VERSION: version + 1, "value": value}
        puts.append(Put(CONTROL.collection, carried, version))
    return puts


async def _fetched(store: RecordStore, ids: Sequence[str]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for start in range(0, len(ids), FETCH_MAX):
        found |= await store.fetch(CONTROL.collection, ids[start : start + FETCH_MAX])
    return found
