"""Writes of one transaction, in order, in as few round trips as the server allows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, ClientBulkWriteException

from adapters.mongo.documents import GUARDED, Document, to_document
from adapters.mongo.errors import (
    DUPLICATE_KEY,
    INVALID_DOCUMENT,
    DuplicateKey,
    StaleVersion,
    ValidationFailed,
    duplicate_fields,
    duplicate_index,
    first_write_error,
)
from adapters.records.change_set import SYNC_LANE, SYNC_NUMBER, ChangeSet, DeliveryMark
from adapters.records.document_filter import DOCUMENT_ID
from adapters.records.lane_slots import Slot
from adapters.records.record import VERSION, Record
from adapters.records.specs import AUDIT_LOGS, SPECS
from domain.audit import SyncStatus

LANES = "lanes"
TOGETHER_MAX = 16
"""Up to this many writes, saving round trips pays; beyond it, the server's work per write costs more."""

Operation = InsertOne[Document] | ReplaceOne[Document] | UpdateOne


@dataclass(frozen=True, slots=True)
class Write:
    """A document to store over the version it replaces; 0 where there must be none."""

    collection: str
    document: Document
    replaces: int

    def operation(self, namespace: str | None = None) -> Operation:
        """The pymongo operation; a replacement matches nothing where the stored version differs."""
        if not self.replaces:
            return InsertOne(self.document, namespace=namespace)
        place = {DOCUMENT_ID: self.document[DOCUMENT_ID], VERSION: self.replaces}
        return ReplaceOne(place, self.document, namespace=namespace)


@dataclass(frozen=True, slots=True)
class VersionCheck:
    """A precondition: a document that must still have this version, and must not change at the same time."""

    collection: str
    record_id: str
    replaces: int

    def operation(self, namespace: str | None = None) -> Operation:
        """Increments a hidden field, so that the server sees two writers of one document."""
        place = {DOCUMENT_ID: self.record_id, VERSION: self.replaces}
        return UpdateOne(place, {"$inc": {GUARDED: 1}}, namespace=namespace)


@dataclass(frozen=True, slots=True)
class LaneAdvance:
    """The write that advances a lane; it stores nothing where the lane does not stand at `replaces - 1`, or is closed.

    It is the last one of its transaction, so that the lane is held as briefly as possible.
    """

    lane: int
    replaces: int
    collection: str = LANES

    def operation(self, namespace: str | None = None) -> UpdateOne:
        """The pymongo operation, which matches nothing where the lane was lost."""
        place = {DOCUMENT_ID: self.lane, "number": self.replaces - 1, "isOpen": True}
        return UpdateOne(place, {"$inc": {"number": 1}}, namespace=namespace)


AnyWrite = Write | VersionCheck | LaneAdvance


def lane_advance(slot: Slot | None) -> list[LaneAdvance]:
    """The last write of a transaction; none for a store without lanes."""
    return [] if slot is None else [LaneAdvance(slot.lane, slot.number + 1)]


def commit_writes(change_set: ChangeSet) -> list[Write | VersionCheck]:
    """The writes of a change set over the versions that it expects: read checks, puts in their order, entries.

    Raises RuleBroken for a record that does not fit.
    """
    read_checks = [
        VersionCheck(check.collection, check.record_id, check.version) for check in change_set.read_checks
    ]
    puts = [document_write(put.collection, put.record, put.expected_version) for put in change_set.puts]
    entries = [document_write(AUDIT_LOGS.collection, entry, 0) for entry in change_set.entries]
    return [*read_checks, *puts, *entries]


def document_write(collection: str, record: Record, replaces: int) -> Write:
    """The write of a record over the version it replaces. Raises RuleBroken for one that does not fit."""
    SPECS[collection].schema.require(record)
    return Write(collection, to_document(collection, record), replaces)


async def write_all(
    database: AsyncDatabase[Document],
    writes: Sequence[AnyWrite],
    session: AsyncClientSession,
    *,
    has_bulk_write: bool,
) -> None:
    """Sends the writes in their order, in few round trips.

    Raises DuplicateKey, StaleVersion, ValidationFailed, or pymongo's errors.
    """
    if has_bulk_write and len(writes) <= TOGETHER_MAX:
        await write_together(database, writes, session)
    else:
        await write_in_turn(database, writes, session)


async def write_together(
    database: AsyncDatabase[Document], writes: Sequence[AnyWrite], session: AsyncClientSession
) -> None:
    """Sends all writes in one command (MongoDB 8.0 or later). Raises as `write_all` does."""
    operations = [write.operation(database[write.collection].full_name) for write in writes]
    try:
        result = await database.client.bulk_write(operations, session=session, ordered=True)
    except ClientBulkWriteException as error:
        _raise_failure(error, writes)
        if isinstance(error.error, Exception):
            raise error.error from error
        raise
    _require_matches(result.matched_count, writes)


async def write_in_turn(
    database: AsyncDatabase[Document], writes: Sequence[AnyWrite], session: AsyncClientSession
) -> None:
    """Sends one command for each run of writes to one collection. Raises as `write_all` does."""
    for collection, run in _runs(writes):
        try:
            result = await database[collection].bulk_write(
                [write.operation() for write in run], session=session
            )
        except BulkWriteError as error:
            _raise_failure(error, run)
            raise
        _require_matches(result.matched_count, run)


def _runs(writes: Sequence[AnyWrite]) -> Iterator[tuple[str, list[AnyWrite]]]:
    for collection, run in groupby(writes, key=lambda write: write.collection):
        yield collection, list(run)


def _require_matches(matched: int, writes: Sequence[AnyWrite]) -> None:
    if matched != sum(1 for write in writes if write.replaces):
        raise StaleVersion


def _raise_failure(error: ClientBulkWriteException | BulkWriteError, writes: Sequence[AnyWrite]) -> None:
    report = first_write_error(error)
    if report is None:
        return
    # The two commands name the position of an operation differently.
    position: int = report["idx"] if "idx" in report else report["index"]
    if report["code"] == DUPLICATE_KEY:
        fields, index = duplicate_fields(report), duplicate_index(report)
        raise DuplicateKey(writes[position].collection, fields, index=index) from error
    if report["code"] == INVALID_DOCUMENT:
        raise ValidationFailed(writes[position].collection) from error


def mark_update(mark: DeliveryMark) -> UpdateOne:
    """The update of the entry of a mark; a SYNCED one only changes if the mark reopens it."""
    noted: dict[str, Any] = {
        "syncStatus": mark.status.value,
        "syncAttempts": mark.attempts,
        "syncNextAt": mark.next_at,
        "syncError": mark.error,
        SYNC_LANE: mark.lane,
        SYNC_NUMBER: mark.number,
    }
    if mark.status is SyncStatus.SYNCED or mark.reopens:
        noted["syncedAt"] = None if mark.reopens else mark.at
    place: Document = {DOCUMENT_ID: mark.entry_id}
    if not mark.reopens:
        place["syncStatus"] = {"$ne": SyncStatus.SYNCED.value}
    return UpdateOne(place, {"$set": noted})
