"""The result of the last verification, kept in a control record of the owner."""

from typing import Any

import msgspec

from adapters.ownership.control import Ownership
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL
from application.ports.migration import Verification

EVIDENCE_ID = "verification"


async def keep_evidence(store: RecordStore, verification: Verification) -> None:
    """Replaces the evidence of the store. Raises VersionConflict where somebody else replaces it at the same time, and
    StoreUnavailable.
    """
    stored = await _stored(store)
    version = 0 if stored is None else int(stored[VERSION])
    value = msgspec.to_builtins(verification)
    record: Record = {ID: EVIDENCE_ID, VERSION: version + 1, "value": value}
    await store.commit(ChangeSet((Put(CONTROL.collection, record, version),)))


async def load_evidence(store: RecordStore) -> Verification | None:
    """The evidence of the store; None before the first verification. Raises StoreUnavailable."""
    stored = await _stored(store)
    return None if stored is None else msgspec.convert(stored["value"], Verification)


def still_holds(verification: Verification, ownership: Ownership) -> bool:
    """Whether the verification was made of the mirror and since the present owner took over."""
    peer = ownership.peer
    return (
        peer is not None
        and verification.incarnation == peer.incarnation
        and verification.epoch == ownership.since
    )


async def _stored(store: RecordStore) -> dict[str, Any] | None:
    return (await store.fetch(CONTROL.collection, [EVIDENCE_ID])).get(EVIDENCE_ID)
