"""Audit entries as outbox messages: how source and target store them, and the marks of their delivery."""

from datetime import datetime, timedelta

from loguru import logger

from adapters.dual_write.backoff import BackOff
from adapters.dual_write.settings import DualWriteSettings
from adapters.records.change_set import Blocked, ChangeSet, DeliveryMark, Rejection
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import REASON_LENGTH_MAX
from adapters.records.specs import AUDIT_LOGS, SPECS
from domain.audit import SyncStatus

BLOCKED_WORDS = " is blocked: "
"""What marks the reason of an entry that waits for a blocked table."""
_PENDING = {"syncStatus": SyncStatus.PENDING.value}


def needs_mirror(change_set: ChangeSet) -> bool:
    """Whether the change set has puts to mirror.

    Raises ValueError for a mirrored put without an entry of its version: the relay could not find it.
    """
    mirrored = {
        (put.collection, put.record_id, put.version)
        for put in change_set.puts
        if not SPECS[put.collection].is_local and put.collection != AUDIT_LOGS.collection
    }
    # An entry that is already there may take another version.
    renumbered = [put.record for put in change_set.puts if put.collection == AUDIT_LOGS.collection]
    entries = [*change_set.entries, *renumbered]
    audited = {(entry["collection"], entry["entityId"], entry[VERSION]) for entry in entries}
    if unaudited := mirrored - audited:
        collection, record_id, version = min(unaudited)
        raise ValueError(f"{collection} {record_id} version {version} is written without an audit entry")
    return bool(mirrored or change_set.entries)


def pending(change_set: ChangeSet) -> ChangeSet:
    """The change set as the source stores it, with PENDING entries."""
    entries = tuple({**entry, **_PENDING} for entry in change_set.entries)
    return ChangeSet(change_set.puts, entries, change_set.read_checks)


def for_target(change_set: ChangeSet, at: datetime) -> ChangeSet:
    """The change set as the target stores it: no local records, no read checks, entries with this time of arrival.

    The sync fields of an arriving entry describe the target's copy, not the attempts of the source.
    """
    arrival = {
        "syncStatus": SyncStatus.SYNCED.value,
        "syncAttempts": 0,
        "syncNextAt": None,
        "syncError": None,
        "syncedAt": at,
    }
    puts = tuple(put for put in change_set.puts if not SPECS[put.collection].is_local)
    return ChangeSet(puts, tuple({**entry, **arrival} for entry in change_set.entries))


class DeliveryMarks:
    """Creates the marks for delivery outcomes of entries in the source."""

    def __init__(self, settings: DualWriteSettings) -> None:
        self._attempts_max = settings.retry_attempts
        self._back_off = BackOff(first=settings.retry_delay_seconds, longest=settings.retry_delay_seconds_max)

    def synced(self, entry: Record, at: datetime) -> DeliveryMark:
        """The mark of an entry that the target has stored."""
        return DeliveryMark(entry_id=entry[ID], status=SyncStatus.SYNCED, at=at, attempts=_attempts(entry))

    def rejected(self, entry: Record, rejection: Rejection, at: datetime) -> DeliveryMark:
        """The mark after a rejection of the record: FAILED and due again later, or PARKED after the last attempt."""
        attempts = _attempts(entry) + 1
        if attempts >= self._attempts_max:
            return self.parked(entry, rejection.reason, at, attempts=attempts)
        # The same jitter for all entries of a change set, so that they are delivered together.
        jitter = int(entry["changeSetId"], 16)
        pause_ms = round(self._back_off.seconds_after(attempts, jitter=jitter) * 1000)
        _log(SyncStatus.FAILED, entry, rejection.reason, attempts)
        return DeliveryMark(
            entry_id=entry[ID],
            status=SyncStatus.FAILED,
            at=at,
            attempts=attempts,
            next_at=at + timedelta(milliseconds=pause_ms),
            error=rejection.reason[:REASON_LENGTH_MAX],
        )

    def blocked(self, entry: Record, blocked: Blocked, at: datetime, *, pause_seconds: float) -> DeliveryMark:
        """The mark of an entry that waits for a blocked table, or for a locked row. It counts no attempt."""
        is_row = blocked.record_id is not None
        reason = blocked.cause if is_row else f"{blocked.place}{BLOCKED_WORDS}{blocked.cause}"
        return DeliveryMark(
            entry_id=entry[ID],
            status=SyncStatus.FAILED,
            at=at,
            attempts=_attempts(entry),
            next_at=at + timedelta(milliseconds=round(pause_seconds * 1000)),
            error=reason[:REASON_LENGTH_MAX],
        )

    def parked(
        self, entry: Record, reason: str, at: datetime, *, attempts: int | None = None
    ) -> DeliveryMark:
        """The mark of an entry that waits for an operator, or for a later version of the record."""
        attempts = _attempts(entry) if attempts is None else attempts
        _log(SyncStatus.PARKED, entry, reason, attempts)
        return DeliveryMark(
            entry_id=entry[ID],
            status=SyncStatus.PARKED,
            at=at,
            attempts=attempts,
            error=reason[:REASON_LENGTH_MAX],
        )


def requeued(entry: Record, at: datetime) -> DeliveryMark:
    """The mark of an entry that is due again, as if it had never been attempted."""
    return DeliveryMark(entry_id=entry[ID], status=SyncStatus.PENDING, at=at)


def waits_for_table(entry: Record) -> bool:
    """Whether the entry was not sent, or not accepted, because a table is blocked."""
    return BLOCKED_WORDS in (entry.get("syncError") or "")


def _log(status: SyncStatus, entry: Record, reason: str, attempts: int) -> None:
    logger.warning(
        "{} {}, version {}: {} after attempt {}. {}",
        entry["collection"],
        entry["entityId"],
        entry[VERSION],
        status.value,
        attempts,
        reason,
    )


def _attempts(entry: Record) -> int:
    return entry.get("syncAttempts") or 0
