"""Control records that go with the ownership: what a new owner must know that the mirror does not carry."""

from collections.abc import Sequence
from typing import Any

from adapters.dual_write.lease import FREE, LEASE_ID
from adapters.migration.quarantine import Quarantine
from adapters.records.adoption_state import ADOPTION_ID, ADOPTION_QUARANTINE, IS_RESOLVED, STATE, State
from adapters.records.change_set import ChangeSet, Put
from adapters.records.control_records import DISPLAY_NUMBERS_ID, RESERVED
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import FETCH_MAX, RecordStore
from adapters.records.specs import CONTROL

STEPS_ID = "move-steps"
VERIFICATION_ID = "verification"
HORIZON_ID = "verified-horizon"
"""About this pair of stores in their present roles, so a new owner does not take it over."""

DOCUMENTS_AT_ONCE = 10
"""Each of these control records may hold a megabyte."""
COPIED = (STEPS_ID, VERIFICATION_ID, ADOPTION_ID)


async def carried_puts(owner: RecordStore, successor: RecordStore) -> list[Put]:
    """What the successor stores in the transaction that arms it. Raises StoreUnavailable.

    Numbers of tasks are never given twice, also not those of purged tasks. The lease of a relay
    that delivered when this store was the owner before is free: nobody would deliver until it had expired.
    An adoption is where the records are.
    """
    # What was skipped stays known in the new direction, too.
    quarantined = [one.id for one in await Quarantine(owner).all()]
    ids = [DISPLAY_NUMBERS_ID, *COPIED, *quarantined]
    own = await _fetched(owner, ids)
    held = await _fetched(successor, [LEASE_ID, *ids])
    values = {id_: record["value"] for id_, record in own.items()}
    if LEASE_ID in held:
        values[LEASE_ID] = FREE
    if DISPLAY_NUMBERS_ID in own and DISPLAY_NUMBERS_ID in held:
        reserved = (one[DISPLAY_NUMBERS_ID]["value"][RESERVED] for one in (own, held))
        values[DISPLAY_NUMBERS_ID] = {RESERVED: max(reserved)}
    begun = None if ADOPTION_ID in own else held.get(ADOPTION_ID)
    if begun is not None and begun["value"][STATE] == State.RUNNING:
        # The owner adopted nothing, so an adoption that began in the successor will not be completed.
        values[ADOPTION_ID] = {**begun["value"], STATE: State.GIVEN_UP.value}
    return [_put(id_, value, held.get(id_)) for id_, value in values.items()]


async def carry_quarantine(owner: RecordStore, successor: RecordStore) -> None:
    """Copies the documents that an adoption keeps in quarantine, except those that the successor need not know.

    They may be many and large, and only an adoption changes them, so they are copied before writes have to wait.
    Raises StoreUnavailable, and VersionConflict if another process copies them, too.
    """
    after = ADOPTION_QUARANTINE
    while page := await owner.scan(CONTROL.collection, after=after, limit=DOCUMENTS_AT_ONCE):
        own = {one[ID]: one["value"] for one in page if one[ID].startswith(ADOPTION_QUARANTINE)}
        if not own:
            return
        held = await successor.fetch(CONTROL.collection, [*own])
        puts = [
            _put(id_, value, held.get(id_)) for id_, value in own.items() if _is_news(value, held.get(id_))
        ]
        if puts:
            await successor.commit(ChangeSet(tuple(puts)))
        after = page[-1][ID]


def _is_news(value: dict[str, Any], held: Record | None) -> bool:
    return not value[IS_RESOLVED] if held is None else held["value"] != value


def _put(id_: str, value: dict[str, Any], held: Record | None) -> Put:
    version = 0 if held is None else int(held[VERSION])
    return Put(CONTROL.collection, {ID: id_, VERSION: version + 1, "value": value}, version)


async def _fetched(store: RecordStore, ids: Sequence[str]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for start in range(0, len(ids), FETCH_MAX):
        found |= await store.fetch(CONTROL.collection, ids[start : start + FETCH_MAX])
    return found
