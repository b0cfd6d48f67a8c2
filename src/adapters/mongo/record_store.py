"""The port RecordStore over MongoDB: one transaction per change set, on a replica set."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from loguru import logger
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.classification import PartRejected, outcome_of
from adapters.mongo.client import MAJORITY, SNAPSHOT, UNREAD, MongoConnection
from adapters.mongo.conflicts import is_stored, may_be_old, reason_of, record_fields, rejection_of, unfit
from adapters.mongo.document_reader import DocumentReader
from adapters.mongo.documents import Document
from adapters.mongo.errors import DuplicateKey, Refused, StaleVersion, ValidationFailed
from adapters.mongo.indexes import prepare_collection
from adapters.mongo.key_locks import KeyLocks
from adapters.mongo.lane_documents import MongoLanes, accepted, raise_seen
from adapters.mongo.mirroring import mirror_writes
from adapters.mongo.old_documents import UPGRADED, require_new, rewrite_documents
from adapters.mongo.transactions import Transaction
from adapters.mongo.validators import has_validator
from adapters.mongo.writes import AnyWrite, LaneAdvance, commit_writes, mark_update, write_all
from adapters.records.change_set import (
    ApplyOutcome,
    ChangeSet,
    DeliveryMark,
    LaneStamp,
    Put,
    Rejection,
    Superseded,
    stamped,
    superseded,
)
from adapters.records.criteria import RELEVANCE, Criterion, Question
from adapters.records.lane_slots import LaneSlots, Slot
from adapters.records.lanes import Admission, Applied, LaneLost, Positions, seen_in
from adapters.records.loading import Loaded, load_by_apply
from adapters.records.old_records import StoredFormat
from adapters.records.record import Record
from adapters.records.relevance import found_by_relevance
from adapters.records.specs import ALL_SPECS, AUDIT_LOGS
from application.ports.health import StoreFacts
from domain.errors import AlreadyExists, RuleBroken, StoreUnavailable

APPLY_BATCH_MAX = 200
"""Change sets that share a transaction as long as none fails."""
RACES_MAX = 4
"""How often a mirrored change set may conflict with others on the same record before it is rejected."""
APPLY_ATTEMPTS_MAX = 6
"""How often a mirrored transaction is tried while others hold its documents: about a tenth of a second."""
PREPARE_SECONDS_MAX = 3_600.0


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
        self._slots = LaneSlots(self._lanes, slots_max=pool_max, definite=(PartRejected,))
        self._locks = KeyLocks()

    @property
    def name(self) -> str:
        return "mongo"

    async def open(self) -> None:
        await self._connection.open()
        await self._reader.look_for_object_ids()

    async def close(self) -> None:
        await self._slots.close()
        await self._connection.close()

    async def prepare(self) -> None:
        async with self._connection.call(seconds=PREPARE_SECONDS_MAX) as database:
            for spec in ALL_SPECS:
                await prepare_collection(database, spec)
            if not await has_validator(database, AUDIT_LOGS):
                logger.warning(
                    "This MongoDB server has no validators: only Tandem itself checks stored documents."
                )
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
        seconds = self._connection.seconds_for(len(ids))
        async with self._slots.held() as slot, self._connection.call(seconds=seconds) as database:

            async def rewrite(session: AsyncClientSession) -> int:
                rewritten = await rewrite_documents(database, collection, ids, session)
                await write_all(database, _advance(slot), session, has_bulk_write=False)
                return rewritten

            try:
                rewritten = await Transaction(database.client, SNAPSHOT).run(rewrite)
            except StaleVersion as failure:
                raise LaneLost from failure
            finally:
                await self._reader.look_for_object_ids()
            if slot is not None:
                slot.advance()
            return rewritten

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
                transaction = Transaction(database.client, UNREAD)
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
            if await self._is_stored(transaction, commit):
                return
            with_object_ids = self._reader.with_object_ids
            rejection = await rejection_of(database, change_set, failure, with_object_ids=with_object_ids)
            if not may_be_old(rejection) or not await self._stored_after_rewrite(
                transaction, change_set, commit
            ):
                raise rejection from failure
        if slot is not None:
            slot.advance()

    async def _is_stored(self, transaction: Transaction, commit: _Commit) -> bool:
        """Whether a rejected commit was stored before, its reply being lost. Raises LaneLost if its lane is closed.

        After a lost reply the lane is closed before it is read, since the commit could still arrive.
        """
        slot = commit.slot
        if slot is None:
            return transaction.is_answer_lost and await is_stored(commit.database, commit.writes)
        if transaction.is_answer_lost:
            return await self._slots.is_stored(slot)
        if await self._lanes.number_of(slot.lane) != slot.number:
            raise LaneLost
        return False

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        """See RecordStore.apply. Raises PartRejected, AlreadyExists or RuleBroken for one of several, without saying
        which.
        """
        return (await self.apply_by_lane(change_sets)).outcomes

    async def apply_by_lane(self, change_sets: Sequence[ChangeSet]) -> Applied:
        """See LanedStore."""
        outcomes: list[ApplyOutcome] = []
        async with self._slots.held() as slot:
            if len(change_sets) == 1:
                outcomes = [await self._mirror_alone(change_sets[0], slot)]
            else:
                for start in range(0, len(change_sets), APPLY_BATCH_MAX):
                    part = change_sets[start : start + APPLY_BATCH_MAX]
                    outcomes += await self._mirror_together(part, slot)
            return Applied(outcomes, None if slot is None else slot.stamp)

    async def _mirror_together(self, part: Sequence[ChangeSet], slot: Slot | None) -> list[Superseded | None]:
        try:
            held = await self._mirror(part, slot)
        except Refused as error:
            await self.ping()
            raise PartRejected from error
        return [superseded(change_set, held) for change_set in part]

    async def load(self, collection: str, records: Sequence[Record], *, checkpoint: Put | None) -> Loaded:
        """See BulkLoader."""
        return await load_by_apply(self, collection, records, checkpoint=checkpoint)

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
                updates = [mark_update(one) for one in truthful]
                await database[AUDIT_LOGS.collection].bulk_write(updates, session=session)

        # One transaction: a mark that arrived in two steps could arrive half before and half after a cut.
        async with self._connection.call() as database:
            await Transaction(database.client, MAJORITY).run(note)

    async def _mirror_alone(self, change_set: ChangeSet, slot: Slot | None) -> ApplyOutcome:
        try:
            held = await self._mirror([change_set], slot)
        except (AlreadyExists, RuleBroken) as error:
            return Rejection(reason_of(error))
        except Refused as error:
            await self.ping()
            return outcome_of(error, change_set)
        return superseded(change_set, held)

    async def _mirror(
        self, change_sets: Sequence[ChangeSet], slot: Slot | None
    ) -> dict[tuple[str, str], int]:
        """Stores what is newer; returns the versions that were stored before, by (collection, id)."""
        old_first = False
        seen = seen_in(change_sets)
        async with self._connection.call() as database:

            async def bring_in(session: AsyncClientSession) -> dict[tuple[str, str], int]:
                if old_first:
                    await _rewrite_old(database, change_sets, session)
                writes, held = await mirror_writes(
                    database, change_sets, session, with_object_ids=self._reader.with_object_ids
                )
                await raise_seen(database, seen, session)
                # Also where nothing is new: the stamp says that what is there was there at this number.
                all_writes: list[AnyWrite] = [*writes, *_advance(slot)]
                if all_writes:
                    await self._write(database, all_writes, session)
                return held

            for race in range(1, RACES_MAX + 1):
                transaction = Transaction(database.client, SNAPSHOT, attempts_max=APPLY_ATTEMPTS_MAX)
                try:
                    held = await transaction.run(bring_in)
                    if slot is not None:
                        slot.advance()
                    return held
                except (DuplicateKey, StaleVersion) as failure:
                    if slot is not None:
                        await self._require_certain(slot, transaction)
                    # Another mirror stored the same documents first: the next attempt reads them. Or they are old
                    # documents under ObjectIds, where no write looks for them.
                    old_first = True
                    if race == RACES_MAX:
                        fields = record_fields(failure) if isinstance(failure, DuplicateKey) else ()
                        raise AlreadyExists(fields=fields) from failure
                except ValidationFailed as failure:
                    raise unfit(failure) from failure
        raise PartRejected

    async def _require_certain(self, slot: Slot, transaction: Transaction) -> None:
        """Raises LaneLost if a rejected apply was perhaps stored, or its lane was taken away: applied again by another
        lane, it finds what is there.
        """
        if transaction.is_answer_lost:
            await self._slots.is_stored(slot)
            raise LaneLost
        if await self._lanes.number_of(slot.lane) != slot.number:
            raise LaneLost

    async def _stored_after_rewrite(
        self, transaction: Transaction, change_set: ChangeSet, commit: _Commit
    ) -> bool:
        """Whether the change set could be stored after rewriting the documents it touches, in one transaction."""
        database = commit.database
        if commit.slot is not None and not commit.slot.is_usable:
            # The reply to the first attempt was lost, and nothing was written.
            raise LaneLost

        async def write_after(session: AsyncClientSession) -> None:
            if not await _rewrite_old(database, [change_set], session):
                raise StaleVersion
            await self._write(database, commit.writes, session)

        again = Transaction(database.client, MAJORITY)
        try:
            await again.run(write_after)
        except (DuplicateKey, StaleVersion, ValidationFailed):
            return await self._is_stored(again, commit)
        finally:
            transaction.is_answer_lost |= again.is_answer_lost
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


def _advance(slot: Slot | None) -> list[LaneAdvance]:
    return [] if slot is None else [LaneAdvance(slot.lane, slot.number + 1)]
