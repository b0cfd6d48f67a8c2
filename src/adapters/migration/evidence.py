"""The result of the last verification, kept in a control record of the owner."""

import msgspec

from adapters.migration.carried import VERIFICATION_ID
from adapters.ownership.control import Ownership
from adapters.records.control_records import read_control, write_control
from adapters.records.record_store import RecordStore
from application.ports.migration import Verification


async def keep_evidence(store: RecordStore, verification: Verification) -> None:
    """Replaces the evidence of the store. Raises VersionConflict where somebody else replaces it at the same time, and
    StoreUnavailable.
    """
    version, _ = await read_control(store, VERIFICATION_ID)
    await write_control(store, VERIFICATION_ID, msgspec.to_builtins(verification), over=version)


async def load_evidence(store: RecordStore) -> Verification | None:
    """The evidence of the store; None before the first verification. Raises StoreUnavailable."""
    _, value = await read_control(store, VERIFICATION_ID)
    return None if value is None else msgspec.convert(value, Verification)


def still_holds(verification: Verification, ownership: Ownership) -> bool:
    """Whether the verification was made of the mirror and since the present owner took over."""
    peer = ownership.peer
    return (
        peer is not None
        and verification.incarnation == peer.incarnation
        and verification.epoch == ownership.since
    )
