"""Lanes: one row for each write that a process may have in flight, advanced by every transaction that changes a store.

A lane is the fence (a write of a closed lane stores nothing), the lease (its process is alive while it beats), and the
answer to the question whether a write was stored whose reply was lost. What one store keeps of another store's lanes
shows whether that store is an older copy of itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from adapters.records.change_set import LANE, LANE_NUMBER, ApplyOutcome, ChangeSet, LaneStamp
from adapters.records.record_store import RecordStore
from domain.errors import StoreUnavailable

OWNERSHIP_ID = "ownership"
"""The id of the control record that says who owns a store. Registering a lane conflicts with every change of it."""
LANE_BITS = 62


class LaneLost(StoreUnavailable):
    """The store took this process's lane away, or was replaced by another copy. Nothing was written."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One run of a program. `boot` identifies the system start and the process namespace in which `pid` is valid."""

    process: str
    host: str
    boot: str
    pid: int

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True, slots=True)
class Admission:
    """The permission of a process to write, given after one look at the control record of the store.

    `token` is the version of the control record then: registering a lane fails once it has another version.
    """

    token: int
    epoch: int
    opening: str
    by: ProcessIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A lane as its own store holds it.

    `silent_seconds` is the time since its last beat, by the store's clock; negative where that was set back since.
    """

    lane: int
    number: int
    is_open: bool
    epoch: int
    opening: str
    by: ProcessIdentity
    silent_seconds: float
    is_checkpointed: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """The highest number that a store has seen of a lane of another store.

    `cut` is set once the other store turned out to be an older copy whose lane stands at this number. Marks of the lane
    above it are void from then on: what they stand for is no longer there.
    """

    number: int
    cut: int | None = None
    is_checkpointed: bool = False

    def accepts(self, number: int) -> bool:
        """Whether a mark with this number is still valid."""
        return self.cut is None or number <= self.cut


@dataclass(frozen=True, slots=True)
class Positions:
    """The lanes of a store, and what it has seen of the lanes of other stores; both by lane."""

    lanes: Mapping[int, Lane] = field(default_factory=dict)
    seen: Mapping[int, Seen] = field(default_factory=dict)

    def number_of(self, lane: int) -> int:
        """The number of a lane of this store; 0 for a lane that it does not know."""
        found = self.lanes.get(lane)
        return 0 if found is None else found.number

    def has_open_lane_of(self, process: ProcessIdentity) -> bool:
        """Whether others can see that this process uses the store."""
        return any(lane.is_open and lane.by.process == process.process for lane in self.lanes.values())


def seen_in(change_sets: Sequence[ChangeSet]) -> dict[int, int]:
    """The highest number of each lane in the entries, by lane in ascending order."""
    seen: dict[int, int] = {}
    for change_set in change_sets:
        for entry in change_set.entries:
            lane = entry.get(LANE)
            if lane is not None:
                seen[lane] = max(seen.get(lane, 0), entry[LANE_NUMBER])
    return dict(sorted(seen.items()))


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcomes of an apply, and its stamp: the last one, where it took several transactions.

    A later number than that of the transaction that stored a change set is harmless: the change set counts as missing a
    little earlier than it is.
    """

    outcomes: list[ApplyOutcome]
    stamp: LaneStamp | None


class LanedStore(RecordStore, Protocol):
    """A record store with lanes. Every method raises StoreUnavailable where the store does not answer.

    Until `admit` is called, writes have no lane: what prepares a store, tools and tests. From then on every commit and
    apply advances a lane of this process, in the transaction that stores the change, or raises LaneLost.
    """

    def admit(self, admission: Admission | None) -> None:
        """Uses lanes of this admission from now on. None: no write is possible until the next admission."""
        ...

    def forget_admission(self) -> None:
        """Writes without lanes again, as before the first admission: a new store that nobody has entered has taken the
        place of the earlier one.
        """
        ...

    async def register(self) -> None:
        """Registers a lane now, where none is open yet, so that the others see this process before its first write.

        Raises LaneLost if the control record has another version than the admission names.
        """
        ...

    async def apply_by_lane(self, change_sets: Sequence[ChangeSet]) -> Applied:
        """`apply` with the stamp of what it stored; raises what this store has seen of the lanes in the entries."""
        ...

    async def close_lane(self, lane: int) -> int:
        """Ends a lane for good and returns its number: no write of it is stored afterwards. 0 for an unknown lane, and
        for one that was never used, whose row is removed.
        """
        ...

    async def beat(self) -> None:
        """Notes that this process is alive, on all of its open lanes."""
        ...

    async def positions(self, *, with_checkpointed: bool = False) -> Positions:
        """The lanes of this store, and what it has seen of others; without checkpointed ones, unless asked for."""
        ...

    async def add_checkpoint(self, numbers: Mapping[int, int], *, checkpoint: int) -> bool:
        """Marks lanes of this store as checkpointed that are closed at these numbers: `positions` leaves them out. Adds
        `checkpoint` in the same transaction: a closed lane at number 1, which no older copy of this store has.

        False, and nothing is changed, where one of them is not closed at its number.
        """
        ...

    async def see_checkpoint(self, numbers: Mapping[int, int], *, checkpoint: int) -> None:
        """Marks as checkpointed what this store has seen of these lanes of another one, where that is not above these
        numbers, and notes that it has seen `checkpoint`, in one transaction. A higher number or a new mark of a lane
        clears its mark as checkpointed.
        """
        ...

    async def cut(self, numbers: Mapping[int, int]) -> None:
        """Voids marks of these lanes of another store above these numbers, those under way included.

        Nothing that was seen is checkpointed afterwards, because the other store is an older copy.
        """
        ...

    async def lower(self, numbers: Mapping[int, int]) -> None:
        """Notes that these numbers are the highest that were seen of these lanes, once the lanes are cut there."""
        ...
