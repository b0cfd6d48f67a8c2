"""The writes that one use case commits and that the mirror carries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from adapters.records.record import ID, VERSION, Record
from domain.audit import SyncStatus

LANE, LANE_NUMBER = "lane", "laneNumber"
"""The fields of an entry that hold the stamp of its commit; mirrored."""
SYNC_LANE, SYNC_NUMBER = "syncLane", "syncNumber"
"""The fields of an entry that hold the stamp of the apply that brought it to the target."""
VERSION_KEY = ("collection", "entityId", "version")
"""The unique key of entries by which a fork is found: one version with two entries."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Put:
    """The resulting state of one record. `expected_version` 0 means that it must not exist yet."""

    collection: str
    record: Record
    expected_version: int

    @property
    def record_id(self) -> str:
        """The id of the record."""
        record_id: str = self.record[ID]
        return record_id

    @property
    def version(self) -> int:
        """The version the record has afterwards; always above `expected_version`."""
        version: int = self.record[VERSION]
        return version


@dataclass(frozen=True, slots=True)
class ReadCheck:
    """A precondition of a change set: a record that it does not change must still have this version (1 or above)."""

    collection: str
    record_id: str
    version: int


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Puts and their audit entries, atomic together. Entries are records of `audit_logs`; each is new.

    A permanent removal is a Put of a tombstone. Local puts (control records) carry no entries and are never mirrored.
    Read checks are only checked at the commit: they are not mirrored, and `apply` ignores them. No record has both a
    put and a read check.
    """

    puts: tuple[Put, ...]
    entries: tuple[Record, ...] = ()
    read_checks: tuple[ReadCheck, ...] = ()

    @property
    def entry_ids(self) -> tuple[str, ...]:
        """The ids of the entries; they also identify the change set when the reply to a commit was lost."""
        return tuple(entry[ID] for entry in self.entries)

    @property
    def rows(self) -> int:
        """How many records and entries it stores."""
        return len(self.puts) + len(self.entries)

    def touched(self) -> Iterator[tuple[str, str]]:
        """Each record that the change set changes, as (collection, id)."""
        return ((put.collection, put.record_id) for put in self.puts)

    @property
    def rough_bytes(self) -> int:
        """About how many bytes it takes to send the change set: its length as JSON, to bound batches by.

        Encoding a task with its entry takes 3 µs; adding up the lengths of its texts in Python takes 11, since plans
        and entries hold trees. 0 for values that JSON cannot hold: no store takes them either.
        """
        try:
            return sum(len(_encode(put.record)) for put in self.puts) + len(_encode(self.entries))
        except (TypeError, ValueError, RecursionError):
            return 0


@dataclass(frozen=True, slots=True)
class LaneStamp:
    """The lane of a transaction, and the number that the transaction gave to it."""

    lane: int
    number: int


def stamped(change_set: ChangeSet, stamp: LaneStamp | None) -> ChangeSet:
    """The change set whose entries carry the stamp of their commit; the same without a stamp.

    An entry that a recovery brings back from the target keeps the stamp of its first commit.
    """
    if stamp is None or not change_set.entries:
        return change_set
    own = {LANE: stamp.lane, LANE_NUMBER: stamp.number}
    entries = (entry if entry.get(LANE) is not None else {**entry, **own} for entry in change_set.entries)
    return ChangeSet(change_set.puts, tuple(entries), change_set.read_checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryMark:
    """The outcome of mirroring one entry. SYNCED is final: later marks of the entry change nothing.

    Except a mark that `reopens` it, because the target has lost the entry. `lane` and `number` are the stamp of the
    apply that stored a SYNCED entry in the target.
    """

    entry_id: str
    status: SyncStatus
    at: datetime
    attempts: int = 0
    next_at: datetime | None = None
    error: str | None = None
    lane: int | None = None
    number: int | None = None
    reopens: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a store that answers rejects a change set because of its records, in words that are safe to show.

    The other fields are the server's own words for it, as far as it names them: never values.
    """

    reason: str
    sqlstate: str | None = None
    constraint: str | None = None
    table: str | None = None
    column: str | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why a store that answers accepts nothing for a table at present, or for one record whose row is locked.

    Nothing is wrong with the data, so the same change set is accepted once the obstacle is gone. `place` is the table
    in the store's own terms. `is_slow`: the change set was alone and took too long, which may be because of its size or
    because the whole table is slow; only somebody who tries another one can tell.
    """

    collection: str
    place: str
    cause: str
    sqlstate: str | None = None
    record_id: str | None = None
    is_slow: bool = False


@dataclass(frozen=True, slots=True)
class Superseded:
    """The store already held higher versions of these records, so their puts changed nothing; the rest is stored.

    `versions` holds the version that is stored, by (collection, id). That is how a late replay ends; a version above
    the source's own is a difference, which only somebody who knows the source can tell.
    """

    versions: tuple[tuple[tuple[str, str], int], ...]


ApplyOutcome = Superseded | Rejection | Blocked | None
"""What became of a change set: None once all of it is durable in the store, also if it was there before."""


def taken_reason(fields: Sequence[str]) -> str:
    """The reason for the rejection of a value that another record has, from the fields of the unique key."""
    if tuple(fields) == VERSION_KEY:
        return "Another entry exists for this version of the record: the two stores have diverged (a fork)."
    return f"Another record holds the same value of {', '.join(fields) or 'an id'}."


def superseded(change_set: ChangeSet, held: Mapping[tuple[str, str], int]) -> Superseded | None:
    """The outcome of a change set that was stored where it is newer; `held` has the versions from before or after."""
    versions = {(put.collection, put.record_id): put.version for put in change_set.puts}
    newer = tuple((key, held[key]) for key, version in versions.items() if held.get(key, 0) > version)
    return Superseded(newer) if newer else None
