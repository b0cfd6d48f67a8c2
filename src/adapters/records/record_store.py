"""The port every store implements and every decorator wraps."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from adapters.records.change_set import ApplyOutcome, ChangeSet, DeliveryMark, LaneStamp
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record
from domain.errors import StoreUnavailable

FETCH_MAX = 1_000
SCAN_MAX = 5_000
REASON_LENGTH_MAX = 500


class RecordStore(Protocol):
    """Keeps records by collection and id.

    Every method raises StoreUnavailable where the store does not answer within its timeouts. Records that come back
    equal those that were put, field by field: null fields as None, instants aware in UTC, unknown fields kept. The
    caller owns the records that it passes and receives: the store neither keeps nor returns shared mutable state.
    `fetch` and `scan` return permanently removed records as tombstones; `find` and `count` leave them out.
    """

    @property
    def name(self) -> str:
        """The name that operators use: monty, mongo or postgres."""

    async def open(self) -> None:
        """Connects, and finishes or undoes changes that a crash interrupted. Harmless when open already.

        Raises StoreUnavailable, or StoreRefused with a remedy.
        """

    async def close(self) -> None:
        """Waits for running calls and disconnects. Harmless when closed already."""

    async def prepare(self) -> None:
        """Creates or upgrades collections, tables and indexes from the specs. Harmless when done already."""

    async def ping(self) -> None:
        """Returns within a second or so if the store answers requests."""

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        """Those of the ids (at most FETCH_MAX) that exist, by id, as of the last commit."""

    async def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        """The results of `fetch` for several collections in one call; every collection has its key."""

    async def find(self, question: Question) -> list[Record]:
        """The matching records in the question's order."""

    async def count(self, collection: str, where: Criterion) -> int:
        """How many records match, exactly."""

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        """At most `limit` (up to SCAN_MAX) records with ids above `after`, by id: everything, tombstones included."""

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        """Writes all puts and entries, or none; durable on return, also after a crash in between.

        Returns the stamp that the entries carry in the store; None where this process writes without lanes.

        Raises VersionConflict (with the current version, naming the record) where a put's expected version is not the
        stored one, or where a record of a read check has another version; AlreadyExists (with the fields) where a
        unique key is taken; RuleBroken where the store cannot hold a record. A committed change of a record sees every
        change set that was committed while a read check of that record still held. Where the reply was lost, the
        outcome is looked up, not assumed. Nothing changes when this raises, except that StoreUnavailable leaves the
        outcome open.
        """

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        """Mirrors resulting states: each put is stored where the stored version is lower, each entry where it is new.

        Idempotent and independent of order; expected versions are ignored. Each change set is atomic, and each has its
        own outcome, read from the store and not assumed: None once it is durable here, Superseded where the store holds
        higher versions, a Rejection because of its own records (also where another entry exists for the same version,
        or where the store dropped a write without an error), or Blocked. None of them affects the others. Entries
        arrive with sync status SYNCED.

        Raises StoreUnavailable only for an outage: the store cannot be reached, also not by a new connection, or says
        that it takes no writes at all. A store that writes several in one statement may raise any other error where it
        rejects one of several; any part of them may be stored then, and the caller isolates the rejected one
        (adapters.records.isolation).
        """

    async def mark(self, marks: Sequence[DeliveryMark]) -> None:
        """Notes the outcome of mirroring on entries of this store. Idempotent; unknown entries are ignored.

        Raises what the store has seen of the lanes of the marks at the same time, and ignores marks of a lane that is
        cut below their number: their entries stay undelivered.
        """


class SchemaMissing(StoreUnavailable):
    """The tables are missing or older than this program; run `tandem migrate up`."""

    names_remedy = True


class SchemaGone(SchemaMissing):
    """All tables have gone since this process found them; the message says where they are, or what brings them back."""


class NotOpen(StoreUnavailable):
    """The store is not open in this process: whoever failed to open it knows why."""

    names_cause = False


class OpeningFailed(NotOpen):
    """The newest attempt to open the store has failed; the message says why."""

    names_cause = True


class StoreRefused(Exception):
    """The store answers but must not be used in its present state; the message says what to do.

    `cause` and `remedy` are the two halves of the message, where they are known separately.
    """

    def __init__(self, cause: str, *, remedy: str = "") -> None:
        super().__init__(f"{cause} {remedy}".strip())
        self.cause = cause
        self.remedy = remedy


class NothingStored(StoreRefused):
    """There is no store at the place that the settings name, and nobody has asked to create one."""
