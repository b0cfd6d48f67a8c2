"""The control record of a store: which installation it belongs to, whether it owns the writes, and what its peer is.

It is a local record. Its version is a random token: an ordinary commit with an expected version is then a
compare-and-set that also fails after a restore, when a plain counter would reach the same number again.
"""

import secrets
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from adapters.records.change_set import ChangeSet, Put
from adapters.records.lanes import OWNERSHIP_ID, Admission, ProcessIdentity
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL

TOKEN_BITS = 40
"""The random part of a version; the part above it counts."""
FIRST_EPOCH = 1


class Role(StrEnum):
    """What a store is in its installation."""

    OWNER = "owner"
    MIRROR = "mirror"
    RETIRED = "retired"


class Gate(StrEnum):
    """Whether an owner takes writes. ARMED: once the old owner names its opening."""

    OPEN = "open"
    CLOSED = "closed"
    ARMED = "armed"


@dataclass(frozen=True, slots=True)
class Peer:
    """The other store of the installation. Its incarnation rises when it turns out to be an older copy of itself."""

    store: str
    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """The value of the control record. Epochs only rise; `opening` is random for each time a store becomes the owner.

    `mirror_to` names the store that receives the mirror, `move` a change of ownership under way.
    """

    installation: str
    store: str
    role: Role
    gate: Gate
    epoch: int
    opening: str
    owner: str
    peer: Peer | None = None
    mirror_to: str | None = None
    move: dict[str, Any] | None = None

    @classmethod
    def of_owner(cls, store: str) -> "Ownership":
        """The first record of a new installation."""
        return cls(
            installation=secrets.token_hex(8),
            store=store,
            role=Role.OWNER,
            gate=Gate.OPEN,
            epoch=FIRST_EPOCH,
            opening=secrets.token_hex(8),
            owner=store,
        )

    def of_mirror(self, store: str) -> "Ownership":
        """The first record of a new mirror of this owner."""
        return replace(
            self,
            store=store,
            role=Role.MIRROR,
            gate=Gate.CLOSED,
            opening="",
            peer=Peer(self.store, 1),
            mirror_to=None,
            move=None,
        )


@dataclass(frozen=True, slots=True)
class Held:
    """A control record as it was read, with its token."""

    ownership: Ownership
    token: int

    def admission(self, by: ProcessIdentity) -> Admission:
        """The permission to write as long as the record is this one."""
        return Admission(self.token, self.ownership.epoch, self.ownership.opening, by)


async def read(store: RecordStore) -> Held | None:
    """The control record; None where there is none. Raises StoreUnavailable."""
    record = (await store.fetch(CONTROL.collection, [OWNERSHIP_ID])).get(OWNERSHIP_ID)
    return None if record is None else Held(_from_value(record["value"]), int(record[VERSION]))


async def write(store: RecordStore, ownership: Ownership, *, over: Held | None) -> Held:
    """Replaces the record that was read, or adds the first one. Raises VersionConflict if it is another one now."""
    expected = 0 if over is None else over.token
    token = next_token(expected)
    record: Record = {ID: OWNERSHIP_ID, VERSION: token, "value": _to_value(ownership)}
    await store.commit(ChangeSet((Put(CONTROL.collection, record, expected),)))
    return Held(ownership, token)


def next_token(token: int) -> int:
    """A random token above this one."""
    return ((token >> TOKEN_BITS) + 1) << TOKEN_BITS | secrets.randbits(TOKEN_BITS)


def _to_value(ownership: Ownership) -> dict[str, Any]:
    peer = ownership.peer
    return {
        "installation": ownership.installation,
        "store": ownership.store,
        "role": ownership.role.value,
        "gate": ownership.gate.value,
        "epoch": ownership.epoch,
        "opening": ownership.opening,
        "owner": ownership.owner,
        "peer": None if peer is None else {"store": peer.store, "incarnation": peer.incarnation},
        "mirrorTo": ownership.mirror_to,
        "move": ownership.move,
    }


def _from_value(value: dict[str, Any]) -> Ownership:
    peer = value["peer"]
    return Ownership(
        installation=value["installation"],
        store=value["store"],
        role=Role(value["role"]),
        gate=Gate(value["gate"]),
        epoch=value["epoch"],
        opening=value["opening"],
        owner=value["owner"],
        peer=None if peer is None else Peer(peer["store"], peer["incarnation"]),
        mirror_to=value["mirrorTo"],
        move=value["move"],
    )
