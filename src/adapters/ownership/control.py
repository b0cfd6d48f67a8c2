"""The control record of a store: which installation it belongs to, whether it owns the writes, and what its peer is.

It is a local record. Its version is a random token: an ordinary commit with an expected version is then a
compare-and-set that also fails after a restore, when a plain counter would reach the same number again.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from adapters.records.change_set import ChangeSet, Put
from adapters.records.control_records import next_token
from adapters.records.lanes import OWNERSHIP_ID, Admission, ProcessIdentity
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL
from domain.migration import Phase, Route

FIRST_EPOCH = 1
FIRST_INCARNATION = 1


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

    `mirror_to` names the store that receives the mirror, `move` a change of ownership under way. `phase` and `routes`
    (by collection) are those of the whole installation; the owner's record has the say. `since` is the epoch in which
    the present owner took over: a move that is undone raises the epoch alone.
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
    phase: Phase = Phase.SINGLE
    routes: Mapping[str, Route] = field(default_factory=dict)
    since: int = FIRST_EPOCH

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
            peer=Peer(self.store, FIRST_INCARNATION),
            mirror_to=None,
            move=None,
            routes={},
        )

    def is_left_over_of(self, owner: "Ownership") -> bool:
        """Whether this is the record of a successor that was armed for a move which `owner` has undone, or an older
        copy of the record of a former owner.
        """
        if self.role is not Role.OWNER or self.installation != owner.installation:
            return False
        if self.gate is Gate.ARMED:
            return self.epoch < owner.epoch
        # An undo raises the epoch of an older copy of a former owner, too, but not the epoch in which it took over.
        return self.epoch < owner.since

    def of_next_owner(self, mirrored: "Ownership") -> "Ownership":
        """The record of a mirror that is armed to take over from this owner; `mirrored` is its present record."""
        return replace(
            mirrored,
            role=Role.OWNER,
            gate=Gate.ARMED,
            epoch=self.epoch + 1,
            since=self.epoch + 1,
            opening=secrets.token_hex(8),
            owner=mirrored.store,
            peer=Peer(self.store, FIRST_INCARNATION),
            mirror_to=self.store,
            move=None,
            phase=Phase.CUT_OVER if self.phase is not Phase.CUT_OVER else Phase.VERIFIED,
            routes={},
        )

    def after_decision(self, successor: "Ownership") -> "Ownership":
        """The record of this owner once the successor, which is armed, owns the writes."""
        return replace(
            self,
            role=Role.MIRROR,
            gate=Gate.CLOSED,
            epoch=successor.epoch,
            since=successor.since,
            owner=successor.store,
            opening=successor.opening,
            peer=Peer(successor.store, FIRST_INCARNATION),
            mirror_to=None,
            phase=successor.phase,
            routes={},
        )

    def with_next_incarnation(self) -> "Ownership":
        """The record of this owner once its mirror turned out to lack what it had: all evidence about it is void."""
        before = self.peer or Peer(self.mirror_to or "", 0)
        phase = self.phase if self.phase is Phase.CUT_OVER else Phase.MIRRORING
        peer = replace(before, incarnation=before.incarnation + 1)
        return replace(self, peer=peer, phase=phase, routes={})

    def found_unequal(self) -> "Ownership":
        """The record of this owner once a comparison found that its mirror differs: what was verified is void."""
        is_verified = self.phase in (Phase.VERIFIED, Phase.READING)
        return replace(self, phase=Phase.BACKFILLED) if is_verified else self

    def after_undo(self) -> "Ownership":
        """The record of this owner once a move that was not decided is given up.

        The epoch rises by two, so that neither a sleeping coordinator nor an armed successor can still take over.
        """
        opening = secrets.token_hex(8)
        return replace(self, gate=Gate.OPEN, epoch=self.epoch + 2, opening=opening, move=None)

    def of_survivor(self, *, former: str, epoch: int) -> "Ownership":
        """The record of this mirror as the owner, once `former` is lost. A new, empty mirror may take its place."""
        return replace(
            self,
            role=Role.OWNER,
            gate=Gate.OPEN,
            epoch=epoch,
            opening=secrets.token_hex(8),
            owner=self.store,
            peer=None,
            mirror_to=former,
            move=None,
            since=epoch,
            phase=Phase.MIRRORING,
            routes={},
        )

    def after_loss(self, survivor: "Ownership") -> "Ownership":
        """The record of this store once it was given up, because it is damaged or an older copy."""
        return replace(
            self,
            role=Role.RETIRED,
            gate=Gate.CLOSED,
            epoch=survivor.epoch,
            owner=survivor.store,
            opening=survivor.opening,
            mirror_to=None,
            move=None,
            routes={},
        )

    def after_recovery(self) -> "Ownership":
        """The record of this owner once it lacks nothing that its target has seen. Evidence from before is void."""
        is_compared = self.phase in (Phase.VERIFIED, Phase.READING)
        return replace(
            self,
            gate=Gate.OPEN,
            epoch=self.epoch + 1,
            opening=secrets.token_hex(8),
            phase=Phase.BACKFILLED if is_compared else self.phase,
            routes={},
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


async def write(
    store: RecordStore, ownership: Ownership, *, over: Held | None, beside: Sequence[Put] = ()
) -> Held:
    """Replaces the record that was read, or adds the first one, together with other local puts.

    Raises VersionConflict if it is another one now.
    """
    expected = 0 if over is None else over.token
    token = next_token(expected)
    record: Record = {ID: OWNERSHIP_ID, VERSION: token, "value": _to_value(ownership)}
    await store.commit(ChangeSet((Put(CONTROL.collection, record, expected), *beside)))
    return Held(ownership, token)


async def disarm(store: RecordStore, held: Held, owner: Ownership) -> Held:
    """Makes a store with a left-over record of an owner a mirror again; returns any other record as it is.

    Raises VersionConflict if it has changed meanwhile.
    """
    if not held.ownership.is_left_over_of(owner):
        return held
    return await write(store, owner.of_mirror(store.name), over=held)


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
        "phase": ownership.phase.value,
        "since": ownership.since,
        "routes": {
            collection: [route.shadow_percent, route.target_percent, _to_ms(route.since)]
            for collection, route in ownership.routes.items()
        },
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
        phase=Phase(value["phase"]),
        since=value["since"],
        routes={collection: _route(*stored) for collection, stored in value["routes"].items()},
    )


def _to_ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1_000)


def _route(shadow_percent: int, target_percent: int, since_ms: int | None = None) -> Route:
    since = None if since_ms is None else datetime.fromtimestamp(since_ms / 1_000, UTC)
    return Route(shadow_percent, target_percent, since)
