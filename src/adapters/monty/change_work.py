"""What commit, apply and settle come down to: writes that are worked out against the stored state."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from adapters.monty.document import encoded
from adapters.monty.stored_state import StoredState, Write
from adapters.records.change_set import ChangeSet, Put, Settlement
from adapters.records.record import ID, VERSION, Record
from adapters.records.specs import AUDIT_LOGS, SPECS
from domain.audit import SyncStatus
from domain.errors import AlreadyExists, VersionConflict

Touched = tuple[str, str]
"""A record, as (collection, id)."""

ENTRIES = AUDIT_LOGS.collection


@dataclass(frozen=True, slots=True)
class Work:
    """Something to be done atomically: which records it may touch, and the writes it comes down to.

    `resolve` raises what the caller is to see; it changes nothing.
    """

    touches: frozenset[Touched]
    resolve: Callable[[StoredState], list[Write]]
    relies_on: frozenset[Touched] = frozenset()
    """Records it looks at and leaves as they are: works may share these among themselves."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A record as it was when it was handed over, whatever the caller does to it afterwards."""

    collection: str
    record: Record
    data: bytes
    expected_version: int

    @property
    def touched(self) -> Touched:
        return self.collection, self.record[ID]


class _Latest:
    """The stored state under the writes of one change set."""

    def __init__(self, state: StoredState) -> None:
        self._state = state
        self._records: dict[Touched, Record] = {}
        self.writes: list[Write] = []

    def state_of(self, part: _Encoded) -> Record | None:
        """What a part of the change set finds."""
        written = self._records.get(part.touched)
        return self._state.current(*part.touched) if written is None else written

    def put(self, part: _Encoded, before: Record | None) -> None:
        """Takes note of a part that is to be written."""
        self._records[part.touched] = part.record
        self.writes.append(Write(part.collection, part.record, part.data, before))


def commit_work(change_set: ChangeSet) -> Work:
    """A change set whose expected versions must hold. Raises RuleBroken where a record cannot be stored."""
    puts = [_put(put) for put in change_set.puts]
    entries = [_entry(entry) for entry in change_set.entries]
    guards = {(guard.collection, guard.record_id): guard.version for guard in change_set.guards}

    def resolve(state: StoredState) -> list[Write]:
        for guarded, expected in guards.items():
            _require_version(guarded, state.current(*guarded), expected)
        latest = _Latest(state)
        for put in puts:
            before = latest.state_of(put)
            _require_version(put.touched, before, put.expected_version)
            latest.put(put, before)
        for entry in entries:
            if latest.state_of(entry) is not None:
                raise AlreadyExists(fields=(ID,))
            latest.put(entry, None)
        return latest.writes

    return Work(_touched([*puts, *entries]), resolve, frozenset(guards))


def apply_work(change_set: ChangeSet) -> Work:
    """A change set as a mirrored state: what is older than the stored is left out, entries are never replaced."""
    puts = [_put(put) for put in change_set.puts]
    entries = [_entry({**entry, **_ARRIVED}) for entry in change_set.entries]

    def resolve(state: StoredState) -> list[Write]:
        latest = _Latest(state)
        for put in puts:
            before = latest.state_of(put)
            if before is None or before[VERSION] < put.record[VERSION]:
                latest.put(put, before)
        for entry in entries:
            if latest.state_of(entry) is None:
                latest.put(entry, None)
        return latest.writes

    return Work(_touched([*puts, *entries]), resolve)


def settle_work(settlements: Sequence[Settlement]) -> Work:
    """Notes on entries; those that are unknown or synced already stay as they are."""

    def resolve(state: StoredState) -> list[Write]:
        settled: dict[str, tuple[Record, Record]] = {}
        for settlement in settlements:
            stored = state.current(ENTRIES, settlement.entry_id)
            before, latest = settled.get(settlement.entry_id, (stored, stored))
            if before is None or latest is None or latest.get("syncStatus") == SyncStatus.SYNCED:
                continue
            settled[settlement.entry_id] = (before, {**latest, **_noted(settlement)})
        changed = [(before, after) for before, after in settled.values() if before != after]
        return [Write(ENTRIES, after, encoded(after), before) for before, after in changed]

    return Work(frozenset((ENTRIES, settlement.entry_id) for settlement in settlements), resolve)


_ARRIVED: Record = {
    "syncStatus": SyncStatus.SYNCED.value,
    "syncAttempts": 0,
    "syncNextAt": None,
    "syncError": None,
    "syncedAt": None,
}
"""What this store says of an entry that was mirrored to it: nothing is left to do."""


def _noted(settlement: Settlement) -> Record:
    is_synced = settlement.status is SyncStatus.SYNCED
    return {
        "syncStatus": settlement.status.value,
        "syncAttempts": settlement.attempts,
        "syncNextAt": settlement.next_at,
        "syncError": settlement.error,
        "syncedAt": settlement.at if is_synced else None,
    }


def _require_version(touched: Touched, stored: Record | None, expected: int) -> None:
    version = 0 if stored is None else stored[VERSION]
    if version != expected:
        collection, record_id = touched
        raise VersionConflict(current_version=version, collection=collection, entity_id=record_id)


def _put(put: Put) -> _Encoded:
    return _checked(put.collection, put.record, put.expected_version)


def _entry(entry: Record) -> _Encoded:
    return _checked(ENTRIES, entry, 0)


def _checked(collection: str, record: Record, expected_version: int) -> _Encoded:
    """Raises RuleBroken for a record that does not fit, or that no document can hold."""
    SPECS[collection].schema.require(record)
    return _Encoded(collection, dict(record), encoded(record), expected_version)


def _touched(parts: Iterable[_Encoded]) -> frozenset[Touched]:
    return frozenset(part.touched for part in parts)
