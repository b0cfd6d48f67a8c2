"""The port RecordStore over MongoDB: one transaction per change set, on a replica set."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from loguru import logger
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.client import MAJORITY, SNAPSHOT, UNREAD, MongoConnection
from adapters.mongo.conflicts import is_stored, may_be_old, reason_of, record_fields, rejection_of, unfit
from adapters.mongo.document_reader import DocumentReader
from adapters.mongo.documents import DOCUMENT_ID, Document
from adapters.mongo.errors import DuplicateKey, StaleVersion, ValidationFailed
from adapters.mongo.indexes import has_text_index, prepare_collection
from adapters.mongo.key_locks import KeyLocks
from adapters.mongo.mirroring import mirror_writes
from adapters.mongo.old_documents import UPGRADED, require_new, rewrite_documents
from adapters.mongo.transactions import Transaction
from adapters.mongo.validators import has_validator
from adapters.mongo.writes import VersionCheck, Write, commit_writes, write_all
from adapters.records.change_set import ChangeSet, DeliveryMark, Rejection
from adapters.records.criteria import RELEVANCE, Criterion, Question
from adapters.records.old_records import StoredFormat
from adapters.records.record import Record
from adapters.records.relevance import found_by_relevance
from adapters.records.specs import ALL_SPECS, AUDIT_LOGS
from application.ports.health import StoreFacts
from domain.audit import SyncStatus
from domain.errors import AlreadyExists, RuleBroken

APPLY_BATCH_MAX = 200
"""Change sets that share a transaction as long as none fails."""
RACES_MAX = 4
"""How often a mirrored change set may conflict with others on the same record before it is rejected."""
PREPARE_SECONDS_MAX = 3_600.0
TEXT_SPECS = tuple(spec for spec in ALL_SPECS if spec.text_fields)


class MongoRecordStore:
    """Keeps each record as one document. Works on replica sets only: a standalone server has no transactions.

    `timeout_ms` bounds every call as a whole, `pool_max` the connections.
    """

    def __init__(self, uri: str, database: str, *, timeout_ms: int = 5_000, pool_max: int = 50) -> None:
        self._connection = MongoConnection(uri, database, timeout_ms=timeout_ms, pool_max=pool_max)
        self._reader = DocumentReader(self._connection)
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
                return await Transaction(database.client, SNAPSHOT).run(
                    lambda session: rewrite_documents(database, collection, ids, session)
                )
            finally:
                await self._reader.look_for_object_ids()

    async def commit(self, change_set: ChangeSet) -> None:
        writes = commit_writes(change_set)
        if not writes:
            return
        seconds = self._connection.seconds_for(len(writes))
        # Waiting for the locks does not count against the server's time limit.
        async with (
            self._locks.holding(change_set.read_checks, wait_seconds=seconds),
            self._connection.call(seconds=seconds) as database,
        ):
            transaction = Transaction(database.client, MAJORITY if self._reader.with_object_ids else UNREAD)
            try:
                await transaction.run(lambda session: self._write(database, writes, session))
            except (DuplicateKey, StaleVersion, ValidationFailed) as failure:
                if transaction.is_answer_lost and await is_stored(database, writes):
                    return
                with_object_ids = self._reader.with_object_ids
                rejection = await rejection_of(database, change_set, failure, with_object_ids=with_object_ids)
                if not may_be_old(rejection) or not await self._stored_after_rewrite(
                    database, change_set, writes
                ):
                    raise rejection from failure

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[Rejection | None]:
        """See RecordStore.apply. Raises AlreadyExists or RuleBroken for one of several, without saying which."""
        if len(change_sets) == 1:
            try:
                await self._mirror(change_sets)
            except (AlreadyExists, RuleBroken) as error:
                return [Rejection(reason_of(error))]
            return [None]
        for start in range(0, len(change_sets), APPLY_BATCH_MAX):
            await self._mirror(change_sets[start : start + APPLY_BATCH_MAX])
        return [None] * len(change_sets)

    async def mark(self, marks: Sequence[DeliveryMark]) -> None:
        if not marks:
            return
        async with self._connection.call() as database:
            await database[AUDIT_LOGS.collection].bulk_write([_mark_update(one) for one in marks])

    async def _mirror(self, change_sets: Sequence[ChangeSet]) -> None:
        old_first = False
        async with self._connection.call() as database:

            async def bring_in(session: AsyncClientSession) -> None:
                if old_first:
                    await _rewrite_old(database, change_sets, session)
                writes = await mirror_writes(
                    database, change_sets, session, with_object_ids=self._reader.with_object_ids
                )
                if writes:
                    await self._write(database, writes, session)

            for race in range(1, RACES_MAX + 1):
                try:
                    await Transaction(database.client, SNAPSHOT).run(bring_in)
                    return
                except (DuplicateKey, StaleVersion) as failure:
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
        writes: Sequence[Write | VersionCheck],
    ) -> bool:
        """Whether the change set could be stored after rewriting the documents it touches, in one transaction."""

        async def write_after(session: AsyncClientSession) -> None:
            if not await _rewrite_old(database, [change_set], session):
                raise StaleVersion
            await self._write(database, writes, session)

        try:
            await Transaction(database.client, MAJORITY).run(write_after)
        except (DuplicateKey, StaleVersion, ValidationFailed):
            return False
        return True

    async def _write(
        self,
        database: AsyncDatabase[Document],
        writes: Sequence[Write | VersionCheck],
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
    }
    if mark.status is SyncStatus.SYNCED:
        noted["syncedAt"] = mark.at
    undelivered = {DOCUMENT_ID: mark.entry_id, "syncStatus": {"$ne": SyncStatus.SYNCED.value}}
    return UpdateOne(undelivered, {"$set": noted})
