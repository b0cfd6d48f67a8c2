"""Control records that go with the ownership: what a new owner must know that the mirror does not carry."""

from adapters.dual_write.lease import FREE, LEASE_ID
from adapters.records.change_set import Put
from adapters.records.control_records import DISPLAY_NUMBERS_ID, RESERVED
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL

STEPS_ID = "move-steps"
VERIFICATION_ID = "verification"

COPIED = (STEPS_ID, VERIFICATION_ID)


async def carried_puts(owner: RecordStore, successor: RecordStore) -> list[Put]:
    """What the successor stores in the transaction that arms it. Raises StoreUnavailable.

    Numbers of tasks are never given twice, also not those of purged tasks. The lease of a relay
    that delivered when this store was the owner before is free: nobody would deliver until it had expired.
    """
    ids = (DISPLAY_NUMBERS_ID, *COPIED)
    own = await owner.fetch(CONTROL.collection, ids)
    held = await successor.fetch(CONTROL.collection, (*ids, LEASE_ID))
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
