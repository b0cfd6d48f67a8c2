"""The port RecordStore over MongoDB: one transaction per change set, on a replica set."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC

from loguru import logger
from pymongo.asynchronous.client_session import AsyncClientSession

from adapters.mongo.classification import PartRejected
from adapters.mongo.client import MAJORITY, SNAPSHOT, MongoConnection
from adapters.mongo.document_reader import DocumentReader
from adapters.mongo.document_writer import DocumentWriter
from adapters.mongo.duplicates import refusal_of
from adapters.mongo.errors import HandMadeRule, StaleVersion
from adapters.mongo.indexes import prepare_collection
from adapters.mongo.installed_parts import flaws_of
from adapters.mongo.lane_documents import MongoLanes, accepted
from adapters.mongo.old_documents import rewrite_documents
from adapters.mongo.raw_documents import RawDocuments
from adapters.mongo.source_writes import SourceWrites
from adapters.mongo.target_writes import TargetWrites
from adapters.mongo.transactions import Transaction
from adapters.mongo.validators import has_validator
from adapters.mongo.writes import lane_advance, mark_update, write_all
from adapters.records.change_set import ApplyOutcome, ChangeSet, DeliveryMark, LaneStamp, Put
from adapters.records.control_records import read_control
from adapters.records.criteria import RELEVANCE, Criterion, Question
from adapters.records.described import Space
from adapters.records.lane_operations import LaneOperations
from adapters.records.lane_slots import LaneSlots
from adapters.records.lanes import Applied, LaneLost
from adapters.records.loading import Loaded, load_by_apply
from adapters.records.old_records import StoredFormat
from adapters.records.record import Record
from adapters.records.relevance import found_by_relevance
from adapters.records.spec_digest import REVISION_ID, expected_digest
from adapters.records.specs import ALL_SPECS, AUDIT_LOGS
from application.ports.health import StoreFacts
from application.ports.schema import SchemaFlaw

PREPARE_SECONDS_MAX = 3_600.0
EXAMINE_SECONDS_MAX = 20.0
"""Some fifty short calls, eight at a time, to a server that may be far away."""


class MongoRecordStore(RawDocuments, LaneOperations[MongoLanes, LaneSlots]):
    """Keeps each record as one document. Works on replica sets only: a standalone server has no transactions.

    `timeout_ms` bounds every call as a whole, `pool_max` the connections.
    """

    name = "mongo"

    def __init__(self, uri: str, database: str, *, timeout_ms: int = 5_000, pool_max: int = 50) -> None:
        self._connection = MongoConnection(uri, database, timeout_ms=timeout_ms, pool_max=pool_max)
        self._reader = DocumentReader(self._connection)
        super().__init__(self._connection, self._reader)
        self._lanes = MongoLanes(self._connection)
        self._own_lanes = LaneSlots(self._lanes, slots_max=pool_max, definite=(PartRejected, HandMadeRule))
        writer = DocumentWriter(
            connection=self._connection, reader=self._reader, lanes=self._lanes, slots=self._own_lanes
        )
        self._source, self._target = SourceWrites(writer), TargetWrites(writer)

    async def open(self) -> None:
        await self._connection.open()
        await self._reader.look_for_object_ids()

    async def close(self) -> None:
        await self._own_lanes.close()
        await self._connection.close()

    async def prepare(self) -> None:
        async with self._connection.call(seconds=PREPARE_SECONDS_MAX) as database:
            obstacles = [one for spec in ALL_SPECS for one in await prepare_collection(database, spec)]
            if obstacles:
                raise refusal_of(obstacles)
            if not await has_validator(database, AUDIT_LOGS):
                logger.warning(
                    "This MongoDB server has no validators: only Tandem itself checks stored documents."
                )
        await self._lanes.prepare()
        # From now on the validators reject new ones.
        await self._reader.look_for_object_ids()

    async def flaws(self) -> Sequence[SchemaFlaw]:
        """See Examined."""
        _, noted = await read_control(self, REVISION_ID)
        if noted is None or noted["revision"] != expected_digest():
            return ()
        async with self._connection.call(seconds=EXAMINE_SECONDS_MAX) as database:
            return await flaws_of(database)

    async def restore_parts(self) -> None:
        """See Examined."""
        await self.prepare()

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

    async def space(self) -> Space:
        """What the documents occupy on the server's disk, and what is left there where the server says so."""
        async with self._connection.call() as database:
            found = await database.command("dbStats")
        used, total = found.get("fsUsedSize"), found.get("fsTotalSize")
        free = None if used is None or total is None else int(total) - int(used)
        return Space(int(found["dataSize"]), free)

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
        async with self._own_lanes.held() as slot, self._connection.call(seconds=seconds) as database:

            async def rewrite(session: AsyncClientSession) -> int:
                rewritten = await rewrite_documents(database, collection, ids, session)
                await write_all(database, lane_advance(slot), session, has_bulk_write=False)
                return rewritten

            try:
                rewritten = await Transaction(self._connection.sessions, SNAPSHOT).run(rewrite)
            except StaleVersion as failure:
                raise LaneLost from failure
            finally:
                await self._reader.look_for_object_ids()
            if slot is not None:
                slot.advance()
            return rewritten

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        return await self._source.commit(change_set)

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        """See RecordStore.apply. Raises PartRejected, AlreadyExists or RuleBroken for one of several, without saying
        which.
        """
        return (await self._target.apply(change_sets)).outcomes

    async def apply_by_lane(self, change_sets: Sequence[ChangeSet]) -> Applied:
        """See LanedStore."""
        return await self._target.apply(change_sets)

    async def load(self, collection: str, records: Sequence[Record], *, checkpoint: Put | None) -> Loaded:
        """See BulkLoader."""
        return await load_by_apply(self, collection, records, checkpoint=checkpoint)

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
            await Transaction(self._connection.sessions, MAJORITY).run(note)
