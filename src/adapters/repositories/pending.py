"""The records that one unit of work has read, and the changes that it is about to commit."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from adapters.records.change_set import Put, ReadCheck
from adapters.records.record import ID, IS_DELETED, VERSION, CorruptRecord, Record, is_tombstone, tombstone
from domain.audit import Action
from domain.errors import Conflict

CHANGES_MAX = 20_000
"""How many records one change set may hold."""


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A put with the record before it, and the action and time for the audit trail."""

    put: Put
    before: Record | None
    action: Action
    at: datetime


@dataclass(slots=True)
class Pending:
    """Records read, by collection and id, and the changes made to them, in order. Saving twice keeps the last."""

    seen: dict[tuple[str, str], Record] = field(default_factory=dict)
    absent: set[tuple[str, str]] = field(default_factory=set)
    damaged: dict[tuple[str, str], CorruptRecord] = field(default_factory=dict)
    """Why records cannot be decoded that a read of several has left out."""
    _changes: dict[tuple[str, str], PendingChange] = field(default_factory=dict)
    _read_versions: dict[tuple[str, str], int] = field(default_factory=dict)

    def unknown(self, collection: str, ids: Iterable[str]) -> list[str]:
        """The ids that have not been read from the store yet, each once."""
        seen, absent, damaged = self.seen, self.absent, self.damaged
        return [
            id_
            for id_ in dict.fromkeys(ids)
            if (key := (collection, id_)) not in seen and key not in absent and key not in damaged
        ]

    def leave_out(self, error: CorruptRecord, asked: Mapping[str, list[str]]) -> None:
        """Keeps why a record cannot be decoded, and takes its id from those that are asked for, by collection. Raises
        the error where it is about none of them.
        """
        found = [collection for collection, ids in asked.items() if error.record_id in ids]
        if error.record_id is None or not found:
            raise error
        # A record of another collection with this id, which there cannot be but by chance, is asked for again.
        asked[found[0]].remove(error.record_id)
        self.damaged[found[0], error.record_id] = error

    def remember_answer(self, collection: str, ids: Iterable[str], found: Mapping[str, Record]) -> None:
        """Keeps the store's answer for these ids, also for those that do not exist."""
        for id_ in ids:
            if id_ in found:
                self.remember(collection, found[id_])
            else:
                self.absent.add((collection, id_))

    def remember(self, collection: str, record: Record) -> Record:
        """Keeps the record as first read, so that one unit of work sees one state."""
        return self.seen.setdefault((collection, record[ID]), record)

    def put(self, collection: str, record: Record, action: Action | None) -> None:
        """Adds a record's next version. Raises LookupError for a changed entity that was never read here."""
        key = (collection, record[ID])
        before = self.seen.get(key)
        if before is None and record[VERSION] != 1:
            raise LookupError(f"{collection} {record[ID]} is saved without having been read")
        if before is not None and record[VERSION] == before[VERSION]:
            return
        # Unknown fields stay: a record is never written back with fewer fields than were read.
        full = record if before is None else {**before, **record}
        expected = 0 if before is None else int(before[VERSION])
        self._take(
            PendingChange(
                Put(collection, full, expected), before, action or _action(before, full), record["updatedAt"]
            )
        )

    def erase(self, collection: str, id_: str, at: datetime) -> None:
        """Adds the permanent removal of a record. Raises LookupError for one that was never read here."""
        before = self.seen.get((collection, id_))
        if before is None:
            raise LookupError(f"{collection} {id_} is removed without having been read")
        if is_tombstone(before):
            return
        version = int(before[VERSION])
        left = Put(collection, tombstone(id_, version + 1), version)
        self._take(PendingChange(left, before, Action.PURGED, at))

    def _take(self, change: PendingChange) -> None:
        if len(self._changes) >= CHANGES_MAX:
            raise Conflict(f"One change may touch at most {CHANGES_MAX} records.")
        self._changes[change.put.collection, change.put.record_id] = change

    def require_unchanged(self, collection: str, id_: str, version: int) -> None:
        """Adds a precondition to the commit: a record that it does not change must keep this version."""
        self._read_versions[collection, id_] = version

    @property
    def read_checks(self) -> tuple[ReadCheck, ...]:
        """The preconditions on records that the commit does not put; a put has its own expected version."""
        return tuple(
            ReadCheck(*key, version)
            for key, version in self._read_versions.items()
            if key not in self._changes
        )

    def __iter__(self) -> Iterator[PendingChange]:
        return iter(self._changes.values())

    def clear(self) -> None:
        """Discards the committed changes; the read records are kept as they are stored now."""
        for key, change in self._changes.items():
            self.seen[key] = change.put.record
            self.absent.discard(key)
        self._changes.clear()
        self._read_versions.clear()


def _action(before: Record | None, after: Record) -> Action:
    if before is None:
        return Action.CREATED
    if before[IS_DELETED] != after[IS_DELETED]:
        return Action.DELETED if after[IS_DELETED] else Action.RESTORED
    return Action.UPDATED
