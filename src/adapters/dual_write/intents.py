"""Entries as intents: how they are stamped in the source, how they travel, what becomes of them."""

from dataclasses import replace
from datetime import datetime, timedelta

from adapters.dual_write.backoff import BackOff
from adapters.dual_write.settings import DualWriteSettings
from adapters.records.change_set import ChangeSet, Refusal, Settlement
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import REASON_LENGTH_MAX
from adapters.records.specs import SPECS
from domain.audit import SyncStatus

_PENDING = {"syncStatus": SyncStatus.PENDING.value}


def needs_mirror(change_set: ChangeSet) -> bool:
    """Whether anything in it belongs to both stores.

    Raises ValueError for a mirrored put without an entry of its version: nothing would remember to mirror it.
    """
    mirrored = {
        (put.collection, put.record_id, put.version)
        for put in change_set.puts
        if not SPECS[put.collection].is_local
    }
    told = {(entry["collection"], entry["entityId"], entry[VERSION]) for entry in change_set.entries}
    untold = mirrored - told
    if untold:
        collection, record_id, version = min(untold)
        raise ValueError(f"{collection} {record_id} version {version} is written without an audit entry")
    return bool(mirrored or change_set.entries)


def pending(change_set: ChangeSet) -> ChangeSet:
    """The change set as the source stores it: every entry waits to be mirrored."""
    return replace(change_set, entries=tuple({**entry, **_PENDING} for entry in change_set.entries))


def for_target(change_set: ChangeSet, at: datetime) -> ChangeSet:
    """The change set as the target stores it: no local records, no read checks, entries that have arrived."""
    puts = tuple(put for put in change_set.puts if not SPECS[put.collection].is_local)
    return ChangeSet(puts, tuple(arrived(entry, at) for entry in change_set.entries))


def arrived(entry: Record, at: datetime) -> Record:
    """The target's copy of an entry: its sync fields speak of the target, not of the source's troubles."""
    return {
        **entry,
        "syncStatus": SyncStatus.SYNCED.value,
        "syncAttempts": 0,
        "syncNextAt": None,
        "syncError": None,
        "syncedAt": at,
    }


class Verdicts:
    """What to note in the source about entries that were attempted."""

    def __init__(self, settings: DualWriteSettings) -> None:
        self._attempts_max = settings.retry_attempts
        self._back_off = BackOff(first=settings.retry_delay_seconds, longest=settings.retry_delay_seconds_max)

    def synced(self, entry: Record, at: datetime) -> Settlement:
        """The target holds it."""
        attempts: int = entry.get("syncAttempts") or 0
        return Settlement(entry_id=entry[ID], status=SyncStatus.SYNCED, at=at, attempts=attempts)

    def refused(self, entry: Record, refusal: Refusal, at: datetime) -> Settlement:
        """One more attempt failed by the record's own fault: due again later, or parked after the last."""
        attempts = (entry.get("syncAttempts") or 0) + 1
        if attempts >= self._attempts_max:
            return self.parked(entry, refusal.reason, at, attempts=attempts)
        # One pause for what was committed together: due apart, it would arrive apart.
        jitter = int(entry["changeSetId"], 16)
        pause_ms = round(self._back_off.seconds_after(attempts, jitter=jitter) * 1000)
        return Settlement(
            entry_id=entry[ID],
            status=SyncStatus.FAILED,
            at=at,
            attempts=attempts,
            next_at=at + timedelta(milliseconds=pause_ms),
            error=refusal.reason[:REASON_LENGTH_MAX],
        )

    def parked(self, entry: Record, reason: str, at: datetime, *, attempts: int | None = None) -> Settlement:
        """Waits for a person, or for the record to move on."""
        return Settlement(
            entry_id=entry[ID],
            status=SyncStatus.PARKED,
            at=at,
            attempts=entry.get("syncAttempts") or 0 if attempts is None else attempts,
            error=reason[:REASON_LENGTH_MAX],
        )


def back_in_queue(entry: Record, at: datetime) -> Settlement:
    """As if it had never been attempted."""
    return Settlement(entry_id=entry[ID], status=SyncStatus.PENDING, at=at)
