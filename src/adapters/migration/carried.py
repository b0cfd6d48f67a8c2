"""Control records that go with the ownership: what a new owner must know that the mirror does not carry."""

from collections.abc import Sequence
from typing import Any

from adapters.dual_write.lease import FREE, LEASE_ID
from adapters.migration.quarantine import Quarantine
from adapters.records.adoption_state import ADOPTION_ID, ASIDE_PREFIX, STATE, State
from adapters.records.change_set import Put
from adapters.records.control_records import DISPLAY_NUMBERS_ID, RESERVED, controls_with
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import FETCH_MAX, RecordStore
from adapters.records.specs import CONTROL

STEPS_ID = "move-steps"
VERIFICATION_ID = "verification"
HORIZON_ID = "verified-horizon"
"""About this pair of stores in their present roles, so a new owner does not take it over."""

COPIED = (STEPS_ID, VERIFICATION_ID, ADOPTION_ID)


async def carried_puts(owner: RecordStore, successor: RecordStore) -> list[Put]:
    """What the successor stores in the transaction that arms it. Raises StoreUnavailable.

    Numbers of tasks are never given twice, also not those of purged tasks. The lease of a relay
    that delivered when this store was the owner before is free: nobody would deliver until it had expired.
    An adoption is where the records are, with the documents that it set aside.
    """
    # What was skipped or set aside stays known in the new direction, too.
    quarantined = [one.id for one in await Quarantine(owner).all()]
    aside = await controls_with(owner, ASIDE_PREFIX)
    ids = [DISPLAY_NUMBERS_ID, *COPIED, *quarantined]
    own = await _fetched(owner, ids) | aside
    held = await _fetched(successor, [LEASE_ID, *ids, *aside])
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
    # Documents in quarantine may be many and large: those that an earlier move brought are not sent again.
    known = {id_ for id_ in aside if id_ in held and held[id_]["value"] == values[id_]}
    return [_put(id_, value, held.get(id_)) for id_, value in values.items() if id_ not in known]


def _put(id_: str, value: dict[str, Any], held: Record | None) -> Put:
    version = 0 if held is None else int(held[VERSION])
    return Put(CONTROL.collection, {ID: id_, VERSION: version + 1, "value": value}, version)


async def _fetched(store: RecordStore, ids: Sequence[str]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for start in range(0, len(ids), FETCH_MAX):
        found |= await store.fetch(CONTROL.collection, ids[start : start + FETCH_MAX])
    return found
