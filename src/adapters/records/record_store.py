"""The port every store implements and every decorator wraps."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from adapters.records.change_set import ChangeSet, Refusal, Settlement
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record

FETCH_MAX = 1_000
SCAN_MAX = 5_000
REASON_LENGTH_MAX = 500


class RecordStore(Protocol):
    """Keeps records by collection and id.

    Every method raises StoreUnavailable where the store does not answer within its time-outs. Records that come back
    equal those that were put, field by field: null fields as None, instants aware in UTC, unknown fields kept. The
    caller owns what it gets and what it gives: the store neither keeps nor hands out shared mutable state.
    Records removed for good come back as tombstones from `fetch` and `scan`, never from `find` and `count`.
    """

    @property
    def name(self) -> str:
        """What operators call it: monty, mongo or postgres."""
        ...

    async def open(self) -> None:
        """Connects, and finishes or undoes what a crash left. Harmless when open already.

        Raises StoreUnavailable, or StoreRefused with a remedy.
        """
        ...

    async def close(self) -> None:
        """Finishes what runs and lets go. Harmless when closed already."""
        ...

    async def prepare(self) -> None:
        """Creates or upgrades collections, tables and indexes from the specs. Harmless when done already."""
        ...

    async def ping(self) -> None:
        """Returns where the store answers requests, within a second or so."""
        ...

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        """Those of the ids (at most FETCH_MAX) that exist, by id, as of the last commit."""
        ...

    async def gather(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        """What `fetch` answers for the ids of each collection, asked for together: every collection has its key."""
        ...

    async def find(self, question: Question) -> list[Record]:
        """The matching records in the question's order."""
        ...

    async def count(self, collection: str, where: Criterion) -> int:
        """How many records match, exactly."""
        ...

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        """At most `limit` (up to SCAN_MAX) records with ids above `after`, by id: everything, tombstones included."""
        ...

    async def commit(self, change_set: ChangeSet) -> None:
        """All puts and entries, or none, durable on return, also after a crash in between.

        Raises VersionConflict (with the current version) where a put's expected version is not the stored one,
        or where a read check finds another version, and names that record; AlreadyExists (with the fields) where a
        unique key is taken; RuleBroken where the store cannot hold a record. Whoever changes a guarded record finds,
        once that change is committed, every change set that was committed while the read check still held.
        Where the answer was lost the outcome is looked up, not assumed. Nothing changes when it raises, except that
        StoreUnavailable leaves the outcome open.
        """
        ...

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[Refusal | None]:
        """Mirrors resulting states: each put is stored where the stored version is lower, each entry where it is new.

        Idempotent and independent of order; expected versions are ignored. Each change set is atomic, and each has its
        own outcome: None once it is durable here (or superseded), or a Refusal for a fault of its own, which does not
        hinder the others. Entries arrive with sync status SYNCED.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Notes on entries of this store what became of mirroring them. Idempotent; unknown entries are ignored."""
        ...


class StoreRefused(Exception):
    """A store that answers but must not be used as it is; the message says what to do."""
