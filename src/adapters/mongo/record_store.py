"""The port RecordStore over MongoDB: one transaction per change set, on a replica set."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from loguru import logger
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from adapters.mongo.client import MongoConnection
from adapters.mongo.document_query import filter_of, question_filter, sort_of
from adapters.mongo.documents import DOCUMENT_ID, WITHOUT_HIDDEN, Document, to_record
from adapters.mongo.errors import DuplicateKey, StaleVersion
from adapters.mongo.indexes import has_text_index, prepare_collection
from adapters.mongo.mirroring import mirror_writes, stored_versions
from adapters.mongo.transactions import Transaction
from adapters.mongo.writes import Reliance, Write, commit_writes, write_all
from adapters.records.change_set import ChangeSet, Refusal, Settlement
from adapters.records.criteria import Criterion, Question
from adapters.records.record import ID, Record
from adapters.records.record_store import REASON_LENGTH_MAX
from adapters.records.specs import ALL_SPECS, AUDIT_LOGS
from application.ports.health import StoreFacts
from domain.audit import SyncStatus
from domain.errors import AlreadyExists, Conflict, RuleBroken, VersionConflict

APPLY_BATCH_MAX = 200
"""Change sets that share a transaction while all goes well."""
RACES_MAX = 4
"""How often mirrors of the same record may get in each other's way before one of them is refused."""
PREPARE_SECONDS_MAX = 3_600.0
TEXT_SPECS = tuple(spec for spec in ALL_SPECS if spec.text_fields)


class MongoRecordStore:
    """Keeps each record as one document. Works on replica sets only: a standalone server has no transactions.

    `timeout_ms` bounds every call as a whole, `pool_max` the connections.
    """

    def __init__(self, uri: str, database: str, *, timeout_ms: int = 5_000, pool_max: int = 50) -> None:
        self._connection = MongoConnection(uri, database, timeout_ms=timeout_ms, pool_max=pool_max)
        self._text_indexed: frozenset[str] = frozenset()
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
        self._text_indexed = frozenset(indexed)

    async def close(self) -> None:
        await self._connection.close()

    async def prepare(self) -> None:
        async with self._connection.call(seconds=PREPARE_SECONDS_MAX) as database:
            indexed = {spec.collection: await prepare_collection(database, spec) for spec in ALL_SPECS}
        self._note_text_indexes({spec.collection: indexed[spec.collection] for spec in TEXT_SPECS})

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
        if not ids:
            return {}
        async with self._connection.call() as database:
            cursor = database[collection].find(
                {DOCUMENT_ID: {"$in": list(ids)}}, WITHOUT_HIDDEN, batch_size=len(ids) + 1
            )
            return {document[DOCUMENT_ID]: to_record(document) async for document in cursor}

    async def find(self, question: Question) -> list[Record]:
        if question.limit < 1:
            return []
        query = question_filter(question, has_text_index=question.collection in self._text_indexed)
        async with self._connection.call() as database:
            cursor = database[question.collection].find(query, WITHOUT_HIDDEN, batch_size=question.limit + 1)
            ordered = cursor.sort(sort_of(question.order)).limit(question.limit)
            return [to_record(document) async for document in ordered]

    async def count(self, collection: str, where: Criterion) -> int:
        query = filter_of(where, has_text_index=collection in self._text_indexed)
        async with self._connection.call() as database:
            return await database[collection].count_documents(query)

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        query = {} if after is None else {DOCUMENT_ID: {"$gt": after}}
        async with self._connection.call() as database:
            cursor = database[collection].find(query, WITHOUT_HIDDEN, batch_size=limit + 1)
            ordered = cursor.sort(DOCUMENT_ID, 1).limit(limit)
            return [to_record(document) async for document in ordered]

    async def commit(self, change_set: ChangeSet) -> None:
        writes = commit_writes(change_set)
        if not writes:
            return
        async with self._connection.call(seconds=self._connection.seconds_for(len(writes))) as database:
            # What a majority lacks cannot be overwritten: the commit itself waits for a majority.
            transaction = Transaction(database.client, ReadConcern())
            try:
                await transaction.run(lambda session: self._write(database, writes, session))
            except (DuplicateKey, StaleVersion) as refusal:
                if transaction.is_answer_lost and await _is_stored(database, writes):
                    return
                raise await _conflict(database, change_set, refusal) from refusal

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[Refusal | None]:
        outcomes: list[Refusal | None] = []
        for start in range(0, len(change_sets), APPLY_BATCH_MAX):
            outcomes += await self._apply_batch(change_sets[start : start + APPLY_BATCH_MAX])
        return outcomes

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        if not settlements:
            return
        async with self._connection.call() as database:
            await database[AUDIT_LOGS.collection].bulk_write([_settling(one) for one in settlements])

    async def _apply_batch(self, batch: Sequence[ChangeSet]) -> list[Refusal | None]:
        """All in one transaction; where one of them is at fault, each in its own."""
        try:
            await self._mirror(batch)
        except (AlreadyExists, RuleBroken) as error:
            if len(batch) == 1:
                return [Refusal(_reason(error))]
            return [outcome for one in batch for outcome in await self._apply_batch([one])]
        return [None] * len(batch)

    async def _mirror(self, change_sets: Sequence[ChangeSet]) -> None:
        async with self._connection.call() as database:

            async def bring_in(session: AsyncClientSession) -> None:
                writes = await mirror_writes(database, change_sets, session)
                if writes:
                    await self._write(database, writes, session)

            for race in range(1, RACES_MAX + 1):
                try:
                    await Transaction(database.client, ReadConcern("snapshot")).run(bring_in)
                    return
                except (DuplicateKey, StaleVersion) as refusal:
                    # Another mirror may have been faster with the same documents: then the next look finds them.
                    if race == RACES_MAX:
                        fields = refusal.fields if isinstance(refusal, DuplicateKey) else ()
                        raise AlreadyExists(fields=_names(fields)) from refusal

    async def _write(
        self,
        database: AsyncDatabase[Document],
        writes: Sequence[Write | Reliance],
        session: AsyncClientSession,
    ) -> None:
        await write_all(database, writes, session, has_bulk_write=self._connection.has_bulk_write)

    def _note_text_indexes(self, states: Mapping[str, bool | None]) -> None:
        """Remembers which collections have one, and says once when a server has none."""
        self._text_indexed = frozenset(collection for collection, is_indexed in states.items() if is_indexed)
        if False in states.values() and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "This MongoDB server has no text index: searches for words read whole collections."
            )


async def _is_stored(database: AsyncDatabase[Document], writes: Sequence[Write | Reliance]) -> bool:
    """Whether this very change set is there. Entries are new in each commit, so theirs are the ids that tell."""
    documents = [write for write in writes if isinstance(write, Write)]
    entries = [write for write in documents if write.collection == AUDIT_LOGS.collection]
    for write in entries or documents:
        stored = await database[write.collection].find_one({DOCUMENT_ID: write.document[DOCUMENT_ID]})
        if stored is None or (not entries and stored != write.document):
            return False
    return True


async def _conflict(
    database: AsyncDatabase[Document], change_set: ChangeSet, refusal: DuplicateKey | StaleVersion
) -> Conflict:
    """What the writer is told: the first record whose version is another, or else the value that is taken."""
    expected = [(put.collection, put.record_id, put.expected_version) for put in change_set.puts]
    guarded = [(guard.collection, guard.record_id, guard.version) for guard in change_set.guards]
    for collection, record_id, version in guarded + expected:
        versions = await stored_versions(database, collection, [record_id])
        current = versions.get(record_id, 0)
        if current != version:
            return VersionConflict(current_version=current, collection=collection, entity_id=record_id)
    if isinstance(refusal, DuplicateKey) and not _is_doubled_put(change_set, refusal):
        return AlreadyExists(fields=_names(refusal.fields))
    return VersionConflict()


def _is_doubled_put(change_set: ChangeSet, refusal: DuplicateKey) -> bool:
    return refusal.fields == (DOCUMENT_ID,) and any(
        put.collection == refusal.collection for put in change_set.puts
    )


def _names(fields: Sequence[str]) -> tuple[str, ...]:
    return tuple(ID if name == DOCUMENT_ID else name for name in fields)


def _reason(error: AlreadyExists | RuleBroken) -> str:
    if isinstance(error, AlreadyExists):
        taken = ", ".join(error.fields) or "an id"
        return f"Another record holds the same value of {taken}."[:REASON_LENGTH_MAX]
    return error.message[:REASON_LENGTH_MAX]


def _settling(settlement: Settlement) -> UpdateOne:
    noted: dict[str, Any] = {
        "syncStatus": settlement.status.value,
        "syncAttempts": settlement.attempts,
        "syncNextAt": settlement.next_at,
        "syncError": settlement.error,
    }
    if settlement.status is SyncStatus.SYNCED:
        noted["syncedAt"] = settlement.at
    unsettled = {DOCUMENT_ID: settlement.entry_id, "syncStatus": {"$ne": SyncStatus.SYNCED.value}}
    return UpdateOne(unsettled, {"$set": noted})
