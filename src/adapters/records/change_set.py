"""What one use case commits, and what the mirror carries."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec

from adapters.records.record import ID, VERSION, Record
from domain.audit import SyncStatus

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Put:
    """The resulting state of one record. `expected_version` 0 means that it must not exist yet."""

    collection: str
    record: Record
    expected_version: int

    @property
    def record_id(self) -> str:
        """Which record."""
        record_id: str = self.record[ID]
        return record_id

    @property
    def version(self) -> int:
        """The version the record has afterwards; always above `expected_version`."""
        version: int = self.record[VERSION]
        return version


@dataclass(frozen=True, slots=True)
class ReadCheck:
    """A record that is not changed but must still have this version (1 or above) when the change set commits."""

    collection: str
    record_id: str
    version: int


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Puts and their audit entries, atomic together. Entries are records of `audit_logs`; each is new.

    A removal for good is a Put of a tombstone. Local puts (control records) carry no entries and are never mirrored.
    Read checks are verified by the commit alone: they are not mirrored, and `apply` ignores them.
    No record has both a put and a read check.
    """

    puts: tuple[Put, ...]
    entries: tuple[Record, ...] = ()
    read_checks: tuple[ReadCheck, ...] = ()

    @property
    def entry_ids(self) -> tuple[str, ...]:
        """The ids of the entries: also the operation's identity when an answer was lost."""
        return tuple(entry[ID] for entry in self.entries)

    def touched(self) -> Iterator[tuple[str, str]]:
        """Each record it changes, as (collection, id)."""
        return ((put.collection, put.record_id) for put in self.puts)

    @property
    def rough_bytes(self) -> int:
        """About how many bytes it is to send: its length as JSON. Cheap, to bound batches by.

        0 for what JSON cannot hold: no store takes it either.
        """
        try:
            return sum(len(_encode(put.record)) for put in self.puts) + len(_encode(self.entries))
        except (TypeError, ValueError, RecursionError):
            return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of mirroring one entry. SYNCED is final: later settlements of the entry change nothing."""

    entry_id: str
    status: SyncStatus
    at: datetime
    attempts: int = 0
    next_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a store cannot take a change set although it answers: the record's own fault, in words safe to show."""

    reason: str
