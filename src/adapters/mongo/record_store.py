"""The port RecordStore over MongoDB: one transaction per change set, on a replica set."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from loguru import logger
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from adapters.mongo.client import MongoConnection
from adapters.mongo.conflicts import is_stored, may_be_old, reason_of, record_fields, rejection_of, unfit
from adapters.mongo.document_reader import DocumentReader
from adapters.mongo.documents import DOCUMENT_ID, Document
from adapters.mongo.errors import DuplicateKey, StaleVersion, ValidationFailed
from adapters.mongo.indexes import has_text_index, prepare_collection
from adapters.mongo.key_locks import KeyLocks
from adapters.mongo.lane_documents import MongoLanes, accepted, raise_seen
from adapters.mongo.mirroring import mirror_writes
from adapters.mongo.old_documents import UPGRADED, require_new, rewrite_documents
from adapters.mongo.transactions import Transaction
from adapters.mongo.validators import has_validator
from adapters.mongo.writes import AnyWrite, LaneAdvance, commit_writes, write_all
from adapters.records.change_set import (
    SYNC_LANE,
    SYNC_NUMBER,
    ChangeSet,
    DeliveryMark,
    LaneStamp,
    Rejection,
    stamped,
)
from adapters.records.criteria import RELEVANCE, Criterion, Question
from adapters.records.lane_slots import LaneSlots, Slot
from adapters.records.lanes import Admission, Applied, LaneLost, Positions, seen_in
from adapters.records.old_records import StoredFormat
from adapters.records.record import Record
from adapters.records.relevance import found_by_relevance
from adapters.records.specs import ALL_SPECS, AUDIT_LOGS
from application.ports.health import StoreFacts
from domain.audit import SyncStatus
from domain.errors import AlreadyExists, RuleBroken, StoreUnavailable

APPLY_BATCH_MAX = 200
"""Change sets that share a transaction as long as none fails."""
RACES_MAX = 4
"""How often a mirrored change set may conflict with others on the same record before it is rejected."""
PREPARE_SECONDS_MAX = 3_600.0
TEXT_SPECS = tuple(spec for spec in ALL_SPECS if spec.text_fields)


@dataclass(frozen=True, slots=True)
class _Commit:
    """What one commit writes, and where."""

    database: AsyncDatabase[Document]
    writes: Sequence[AnyWrite]
    slot: Slot | None


class MongoRecordStore:
    """Keeps each record as one document. Works on replica sets only: a standalone server has no transactions.

    `timeout_ms` bounds every call as a whole, `pool_max` the connections.
    """

    def __init__(self, uri: str, database: str, *, timeout_ms: int = 5_000, pool_max: int = 50) -> None:
        self._connection = MongoConnection(uri, database, timeout_ms=timeout_ms, pool_max=pool_max)
        self._reader = DocumentReader(self._connection)
        self._lanes = MongoLanes(self._connection)
        self._slots = LaneSlots(self._lanes, slots_max=pool_max)
        self._locks = KeyLocks()
        self._has_warned = False

    @property
    def name(self) -> str:
        return "mongo"

    async def open(self) -> None:
        await self._connection.open()
        async with self._connection.call() as database:
            indexed = [
                spec.collection for spec in TEXT_SPECS if await has_text_index(database, spec.collection)
            ]
        self._reader.text_indexed = frozenset(indexed)
        await self._reader.look_for_object_ids()

    async def close(self) -> None:
        await self._slots.close()
        await self._connection.close()

    async def prepare(self) -> None:
        async with self._connection.call(seconds=PREPARE_SECONDS_MAX) as database:
            indexed = {spec.collection: await prepare_collection(database, spec) for spec in ALL_SPECS}
            if not await has_validator(database, AUDIT_LOGS):
                logger.warning(
                    "This MongoDB server has no validators: only Tandem itself checks stored documents."
                )
        self._note_text_indexes({spec.collection: indexed[spec.collection] for spec in TEXT_SPECS})
        # From now on the validators reject new ones.
        await self._reader.look_for_object_ids()

    async def ping(self) -> None:
        await self._connection.ping()

    async def facts(self) -> StoreFacts:
        """The server's version, its replica set (none behind a router), and its clock."""
        async with self._connection.call() as database:
            build = await database.client.admin.command("buildInfo")
            hello = await database.client.admin.command("hello")
        replica_set = hello.get("setName")
        topology = "router to shards" if replica_set is None else f"replica set {replica_set}"
        return StoreFacts(f"MongoDB {build['version']}", topology, hello["localTime"].replace(tzinfo=UTC))

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        return await self._reader.fetch(collection, ids)

    async def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        fetches = [self.fetch(collection, ids) for collection, ids in ids_by_collection.items()]
        return dict(zip(ids_by_collection, await asyncio.gather(*fetches), strict=True))

    async def find(self, question: Question) -> list[Record]:
        if question.order.field == RELEVANCE:
            return await found_by_relevance(self.find, question)
        return await self._reader.find(question)

    async def count(self, collection: str, where: Criterion) -> int:
        return await self._reader.count(collection, where)

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        return await self._reader.scan(collection, after=after, limit=limit)

    async def formats(self, collection: str, *, after: str | None, limit: int) -> list[StoredFormat]:
        """See Upgradable."""
        return await self._reader.formats(collection, after=after, limit=limit)

    async def rewrite(self, collection: str, ids: Sequence[str]) -> int:
        """See Upgradable."""
        async with self._connection.call(seconds=self._connection.seconds_for(len(ids))) as database:
            try:
                return await Transaction(database.client, ReadConcern("snapshot")).run(
                    lambda session: rewrite_documents(database, collection, ids, session)
                )
            finally:
                await self._reader.look_for_object_ids()

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        seconds = self._connection.seconds_for(len(change_set.puts) + len(change_set.entries))
        # Waiting for the locks does not count against the server's time limit.
        async with (
            self._locks.holding(change_set.read_checks, wait_seconds=seconds),
            self._slots.held() as slot,
        ):
            stamp = None if slot is None else slot.next
            writes: list[AnyWrite] = [*commit_writes(stamped(change_set, stamp)), *_advance(slot)]
            if writes:
                await self._commit(change_set, writes, slot, seconds)
            return stamp

    async def _commit(
        self, change_set: ChangeSet, writes: Sequence[AnyWrite], slot: Slot | None, seconds: float
    ) -> None:
        transaction: Transaction | None = None
        try:
            async with self._connection.call(seconds=seconds) as database:
                # A state without a majority cannot be overwritten, because the commit itself waits for a majority.
                transaction = Transaction(database.client, ReadConcern())
                await self._committed(transaction, change_set, _Commit(database, writes, slot))
        except LaneLost:
            raise
        except StoreUnavailable:
            is_open = transaction is not None and transaction.is_answer_lost and slot is not None
            if not is_open or slot is None or not await self._slots.is_stored(slot):
                raise

    async def _committed(self, transaction: Transaction, change_set: ChangeSet, commit: _Commit) -> None:
        database, writes, slot = commit.database, commit.writes, commit.slot
        try:
            await transaction.run(lambda session: self._write(database, writes, session))
        except (DuplicateKey, StaleVersion, ValidationFailed) as failure:
            if slot is not None and await self._is_advanced(slot, transaction):
                return
            if slot is None and transaction.is_answer_lost and await is_stored(database, writes):
                return
            with_object_ids = self._reader.with_object_ids
            rejection = await rejection_of(database, change_set, failure, with_object_ids=with_object_ids)
            if not may_be_old(rejection) or not await self._stored_after_rewrite(
                database, change_set, writes
            ):
                raise rejection from failure
        if slot is not None:
            slot.advance()

    async def _is_advanced(self, slot: Slot, transaction: Transaction) -> bool:
        """Whether the rejected transaction was stored before, its reply being lost. Raises LaneLost if its lane was
        taken away.
        """
        number = await self._lanes.number_of(slot.lane)
        if number == slot.number + 1 and transaction.is_answer_lost:
            slot.advance()
            return True
        if number != slot.number:
            raise LaneLost
        return False

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[Rejection | None]:
        """See RecordStore.apply. Raises AlreadyExists or RuleBroken for one of several, without saying which."""
        return (await self.apply_by_lane(change_sets)).outcomes

    async def apply_by_lane(self, change_sets: Sequence[ChangeSet]) -> Applied:
        """See LanedStore."""
        outcomes: list[Rejection | None] = [None] * len(change_sets)
        async with self._slots.held() as slot:
            if len(change_sets) == 1:
                try:
                    await self._mirror(change_sets, slot)
                except (AlreadyExists, RuleBroken) as error:
                    outcomes = [Rejection(reason_of(error))]
            else:
                for start in range(0, len(change_sets), APPLY_BATCH_MAX):
                    await self._mirror(change_sets[start : start + APPLY_BATCH_MAX], slot)
            return Applied(outcomes, None if slot is None else slot.stamp)

    def admit(self, admission: Admission | None) -> None:
        """See LanedStore."""
        self._slots.admit(admission)

    async def register(self) -> None:
        """See LanedStore."""
        await self._slots.register()

    async def close_lane(self, lane: int) -> int:
        """See LanedStore."""
        return await self._lanes.close(lane)

    async def beat(self) -> None:
        """See LanedStore."""
        if self._slots.admission is not None:
            await self._lanes.beat(self._slots.admission.by.process)

    async def positions(self) -> Positions:
        """See LanedStore."""
        return await self._lanes.positions()

    async def cut(self, numbers: Mapping[int, int]) -> None:
        """See LanedStore."""
        await self._lanes.cut(numbers)

    async def lower(self, numbers: Mapping[int, int]) -> None:
        """See LanedStore."""
        await self._lanes.lower(numbers)

    async def mark(self, marks: Sequence[DeliveryMark]) -> None:
        if not marks:
            return

        async def note(session: AsyncClientSession) -> None:
            truthful = await accepted(database, marks, session)
            if truthful:
                updates = [_mark_update(one) for one in truthful]
                await database[AUDIT_LOGS.collection].bulk_write(updates, session=session)

        # One transaction: a mark that arrived in two steps could arrive half before and half after a cut.
        async with self._connection.call() as database:
            await Transaction(database.client, ReadConcern()).run(note)

    async def _mirror(self, change_sets: Sequence[ChangeSet], slot: Slot | None) -> None:
        old_first = False
        seen = seen_in(change_sets)
        async with self._connection.call() as database:

            async def bring_in(session: AsyncClientSession) -> None:
                if old_first:
                    await _rewrite_old(database, change_sets, session)
                writes = await mirror_writes(
                    database, change_sets, session, with_object_ids=self._reader.with_object_ids
                )
                await raise_seen(database, seen, session)
                # Also where nothing is new: the stamp says that what is there was there at this number.
                all_writes: list[AnyWrite] = [*writes, *_advance(slot)]
                if all_writes:
                    await self._write(database, all_writes, session)

            for race in range(1, RACES_MAX + 1):
                transaction = Transaction(database.client, ReadConcern("snapshot"))
                try:
                    await transaction.run(bring_in)
                    if slot is not None:
                        slot.advance()
                    return
                except (DuplicateKey, StaleVersion) as failure:
                    if slot is not None and await self._is_advanced(slot, transaction):
                        return
                    # Another mirror stored the same documents first: the next attempt reads them. Or they are old
                    # documents under ObjectIds, where no write looks for them.
                    old_first = True
                    if race == RACES_MAX:
                        fields = record_fields(failure) if isinstance(failure, DuplicateKey) else ()
                        raise AlreadyExists(fields=fields) from failure
                except ValidationFailed as failure:
                    raise unfit(failure) from failure

    async def _stored_after_rewrite(
        self,
        database: AsyncDatabase[Document],
        change_set: ChangeSet,
        writes: Sequence[AnyWrite],
    ) -> bool:
        """Whether the change set could be stored after rewriting the documents it touches, in one transaction."""

        async def write_after(session: AsyncClientSession) -> None:
            if not await _rewrite_old(database, [change_set], session):
                raise StaleVersion
            await self._write(database, writes, session)

        try:
            await Transaction(database.client, ReadConcern()).run(write_after)
        except (DuplicateKey, StaleVersion, ValidationFailed):
            return False
        return True

    async def _write(
        self,
        database: AsyncDatabase[Document],
        writes: Sequence[AnyWrite],
        session: AsyncClientSession,
    ) -> None:
        if self._reader.with_object_ids:
            await require_new(database, writes, session, with_object_ids=self._reader.with_object_ids)
        await write_all(database, writes, session, has_bulk_write=self._connection.has_bulk_write)

    def _note_text_indexes(self, states: Mapping[str, bool | None]) -> None:
        """Notes which collections have a text index, and warns once where a server has none."""
        self._reader.text_indexed = frozenset(
            collection for collection, is_indexed in states.items() if is_indexed
        )
        if False in states.values() and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "This MongoDB server has no text index: searches for words read whole collections."
            )


async def _rewrite_old(
    database: AsyncDatabase[Document], change_sets: Sequence[ChangeSet], session: AsyncClientSession
) -> int:
    """Rewrites the old documents that these change sets put or check; returns how many."""
    touched: dict[str, list[str]] = {}
    for change_set in change_sets:
        guarded = [(check.collection, check.record_id) for check in change_set.read_checks]
        for collection, record_id in (*change_set.touched(), *guarded):
            if collection in UPGRADED:
                touched.setdefault(collection, []).append(record_id)
    rewritten = 0
    for collection, ids in touched.items():
        rewritten += await rewrite_documents(database, collection, ids, session)
    return rewritten


def _mark_update(mark: DeliveryMark) -> UpdateOne:
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


def _advance(slot: Slot | None) -> list[LaneAdvance]:
    return [] if slot is None else [LaneAdvance(slot.lane, slot.number + 1)]
