"""The result of the last verification, kept in a control record of the owner, and how far it has been brought since."""

from datetime import datetime
from typing import Any

import msgspec

from adapters.migration.carried import HORIZON_ID, VERIFICATION_ID
from adapters.migration.recheck import Point
from adapters.ownership.control import Ownership
from adapters.records.change_set import ChangeSet, Put
from adapters.records.control_records import read_control, write_control
from adapters.records.record import ID, VERSION
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL
from application.ports.migration import Verification


async def keep_evidence(store: RecordStore, verification: Verification, point: Point) -> None:
    """Replaces the evidence of the store; both stores stood at `point` when the verification began. Raises
    VersionConflict where somebody else replaces it at the same time, and StoreUnavailable.
    """
    held = await store.fetch(CONTROL.collection, (VERIFICATION_ID, HORIZON_ID))
    values = {
        VERIFICATION_ID: msgspec.to_builtins(verification),
        HORIZON_ID: _horizon(verification, point),
    }
    puts = []
    for id_, value in values.items():
        version = held[id_][VERSION] if id_ in held else 0
        puts.append(Put(CONTROL.collection, {ID: id_, VERSION: version + 1, "value": value}, version))
    await store.commit(ChangeSet(tuple(puts)))


async def load_evidence(store: RecordStore) -> Verification | None:
    """The evidence of the store; None before the first verification. Raises StoreUnavailable."""
    _, value = await read_control(store, VERIFICATION_ID)
    return None if value is None else msgspec.convert(value, Verification)


async def load_horizon(store: RecordStore, verification: Verification | None) -> Point | None:
    """The point up to which everything is as the verification found it. None without one that belongs to it.

    Raises StoreUnavailable.
    """
    _, value = await read_control(store, HORIZON_ID)
    return None if verification is None else _point(value, verification)


async def keep_horizon(store: RecordStore, verification: Verification, point: Point) -> bool:
    """Moves the horizon of a verification forward; False where the evidence is another one by now, or somebody else
    has moved it further. Raises VersionConflict and StoreUnavailable.
    """
    version, value = await read_control(store, HORIZON_ID)
    known = _point(value, verification)
    if known is None or known.at >= point.at:
        return False
    await write_control(store, HORIZON_ID, _horizon(verification, point), over=version)
    return True


def still_holds(verification: Verification, ownership: Ownership) -> bool:
    """Whether the verification was made of the mirror and since the present owner took over."""
    peer = ownership.peer
    return (
        peer is not None
        and verification.incarnation == peer.incarnation
        and verification.epoch == ownership.since
    )


def _horizon(verification: Verification, point: Point) -> dict[str, Any]:
    return {
        "startedAt": verification.started_at.isoformat(),
        "point": msgspec.to_builtins(point, str_keys=True),
    }


def _point(value: dict[str, Any] | None, verification: Verification) -> Point | None:
    if value is None or datetime.fromisoformat(value["startedAt"]) != verification.started_at:
        return None
    return msgspec.convert(value["point"], Point, str_keys=True)
