"""The port RecordStore over PostgreSQL: rows with real columns."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from adapters.postgres.bulk_load import BulkLoad
from adapters.postgres.classification import PartRejected
from adapters.postgres.connections import Bounds, Connections
from adapters.postgres.contention import retried
from adapters.postgres.foreign_changes import foreign_changes
from adapters.postgres.lane_rows import PostgresLanes
from adapters.postgres.left_sessions import LeftSessions
from adapters.postgres.raw_rows import RawRows
from adapters.postgres.readiness import require_usable
from adapters.postgres.rows import FORMS
from adapters.postgres.schema_steps import SchemaSteps
from adapters.postgres.source_writes import SourceWrites
from adapters.postgres.statements import FETCH_MANY, FETCH_ONE, MARK, SCAN
from adapters.postgres.target_writes import QUICK_PASSES_MAX, TargetWrites
from adapters.records.change_set import ApplyOutcome, ChangeSet, DeliveryMark, LaneStamp, Put
from adapters.records.criteria import RELEVANCE, Criterion, Question
from adapters.records.described import Space
from adapters.records.isolation import SomeAreSlow
from adapters.records.lane_operations import LaneOperations
from adapters.records.lane_slots import LaneSlots
from adapters.records.lanes import Applied
from adapters.records.loading import Loaded
from adapters.records.old_records import StoredFormat
from adapters.records.raw_reading import Digest, RawPage
from adapters.records.record import ID, Record
from adapters.records.record_store import FETCH_MAX, REASON_LENGTH_MAX, SCAN_MAX
from adapters.records.relevance import found_by_relevance
from adapters.records.revisions import Revision
from application.ports.health import StoreFacts
from application.ports.schema import SchemaFlaw
from domain.audit import SyncStatus

APPLY_LOCK_TIMEOUT_MS = 100
"""How long a mirrored change set waits for a lock. Other appliers hold theirs for some milliseconds."""
QUICK_SHARE = 10
"""A change set of a slow batch is quick if it takes less than this part of the time limit."""
FACTS = "SELECT current_setting('server_version'), clock_timestamp()"
DATABASE_SIZE = "SELECT pg_database_size(current_database())"


class PostgresRecordStore(LaneOperations[PostgresLanes, LaneSlots]):
    """The port RecordStore over one bounded pool of connections; `url` is any address libpq understands."""

    name = "postgres"

    def __init__(
        self,
        url: str,
        *,
        pool_max: int = 16,
        connect_timeout_ms: int = 2_000,
        statement_timeout_ms: int = 5_000,
    ) -> None:
        bounds = Bounds(
            pool_max=pool_max,
            connect_timeout_ms=connect_timeout_ms,
            statement_timeout_ms=statement_timeout_ms,
        )
        self.url = url
        left = LeftSessions()
        self._connections = Connections(url, bounds, left=left)
        # Mirrored change sets must not wait for a lock on one record while others could be stored.
        impatient = replace(
            bounds, lock_timeout_ms=APPLY_LOCK_TIMEOUT_MS, is_opened_early=False, is_repeated=True
        )
        known_tables = self._connections.known_tables
        self._applying = Connections(url, impatient, known_tables=known_tables, left=left)
        quick_ms = max(1, statement_timeout_ms // QUICK_SHARE)
        quick = replace(impatient, pool_max=QUICK_PASSES_MAX, statement_timeout_ms=quick_ms)
        self._hurrying = Connections(url, quick, known_tables=known_tables, left=left)
        self._schema = SchemaSteps(url, self._connections)
        self._raw = RawRows(self._connections)
        self._lanes = PostgresLanes(self._connections)
        self._own_lanes = LaneSlots(self._lanes, slots_max=pool_max, definite=(PartRejected, SomeAreSlow))
        self._source = SourceWrites(self._connections, self._own_lanes)
        self._target = TargetWrites(self._applying, self._own_lanes, quick=self._hurrying)
        self._bulk = BulkLoad(self._connections, self._own_lanes)

    async def open(self) -> None:
        await self._connections.open()
        await require_usable(self._connections)
        await self._applying.open()
        await self._hurrying.open()

    async def close(self) -> None:
        await self._own_lanes.close()
        await self._hurrying.close()
        await self._applying.close()
        await self._connections.close()

    async def prepare(self) -> None:
        await self._schema.prepare()

    def forget_admission(self) -> None:
        super().forget_admission()
        # A new database may have none, and gets them.
        self._connections.known_tables.forget()

    async def revision(self) -> Revision:
        """See Revisioned. Raises SchemaGone for tables that this process has found before."""
        return await self._schema.revision()

    async def flaws(self) -> Sequence[SchemaFlaw]:
        """See Examined."""
        return await self._schema.flaws()

    async def restore_parts(self) -> None:
        """See Examined."""
        await self._schema.restore_parts()

    async def missing_privileges(self) -> Sequence[str]:
        """See Accessed."""
        return await self._schema.missing_privileges()

    async def step_back(self) -> None:
        """See Revisioned."""
        await self._schema.step_back()

    async def ping(self) -> None:
        await self._connections.ping()

    async def facts(self) -> StoreFacts:
        """The server's version and clock."""
        ((version, clock),) = await self._rows(FACTS, [])
        return StoreFacts(f"PostgreSQL {version}", clock=clock)

    async def space(self) -> Space:
        """The size of the database; what is left is known to the server's machine only."""
        ((used,),) = await self._rows(DATABASE_SIZE, [])
        return Space(used, None)

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        if len(ids) > FETCH_MAX:
            raise ValueError(f"at most {FETCH_MAX} records are fetched at once, not {len(ids)}")
        if not ids:
            return {}
        one = len(ids) == 1
        statement = FETCH_ONE[collection] if one else FETCH_MANY[collection]
        rows = await self._rows(statement, [ids[0] if one else list(ids)])
        records = map(FORMS[collection].record, rows)
        return {record[ID]: record for record in records}

    async def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        fetches = [self.fetch(collection, ids) for collection, ids in ids_by_collection.items()]
        return dict(zip(ids_by_collection, await asyncio.gather(*fetches), strict=True))

    async def find(self, question: Question) -> list[Record]:
        if question.order.field == RELEVANCE:
            return await found_by_relevance(self.find, question)
        from adapters.postgres.criteria_sql import question_sql  # noqa: PLC0415 - slow to load; a target needs none

        statement, values = question_sql(question)
        rows = await self._rows(statement, values)
        return list(map(FORMS[question.collection].record, rows))

    async def count(self, collection: str, where: Criterion) -> int:
        from adapters.postgres.criteria_sql import count_sql  # noqa: PLC0415 - as above

        ((number,),) = await self._rows(*count_sql(collection, where))
        return int(number)

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        bounded = min(limit, SCAN_MAX)
        rows = await self._rows(SCAN[collection], [after or "", str(bounded)])
        return list(map(FORMS[collection].record, rows))

    async def raw_scan(self, collection: str, *, after: str | None, limit: int) -> RawPage:
        """See RawReader."""
        return await self._raw.scan(collection, after=after, limit=limit)

    async def raw_fetch(self, collection: str, ids: Sequence[str]) -> RawPage:
        """See RawReader."""
        return await self._raw.fetch(collection, ids)

    async def raw_digests(self, collection: str, *, after: str | None, bounds: Sequence[str]) -> list[Digest]:
        """See RawReader."""
        return await self._raw.digests(collection, after=after, bounds=bounds)

    async def raw_count(self, collection: str, *, after: str | None = None, upto: str | None = None) -> int:
        """See RawReader."""
        return await self._raw.count(collection, after=after, upto=upto)

    async def foreign_changes(self) -> int | None:
        """See CountsForeignChanges."""
        return await foreign_changes(self._connections)

    async def formats(self, collection: str, *, after: str | None, limit: int) -> list[StoredFormat]:
        """See Upgradable: a row is old if its search tokens follow an earlier rule."""
        from adapters.postgres.stored_words import formats_of  # noqa: PLC0415 - as above

        return await formats_of(
            self._connections, collection, await self.scan(collection, after=after, limit=limit)
        )

    async def rewrite(self, collection: str, ids: Sequence[str]) -> int:
        """See Upgradable."""
        from adapters.postgres.stored_words import rewrite_words  # noqa: PLC0415 - as above

        records = (await self.fetch(collection, ids)).values()
        return await rewrite_words(self._connections, self._own_lanes, collection, records)

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        return await self._source.commit(change_set)

    async def rehearse(self, change_set: ChangeSet) -> None:
        """See Rehearsing."""
        await self._source.rehearse(change_set)

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        return (await self._target.apply(change_sets)).outcomes

    async def apply_by_lane(self, change_sets: Sequence[ChangeSet]) -> Applied:
        """See LanedStore."""
        return await self._target.apply(change_sets)

    async def load(self, collection: str, records: Sequence[Record], *, checkpoint: Put | None) -> Loaded:
        """See BulkLoader."""
        return await self._bulk.load(collection, records, checkpoint=checkpoint)

    async def mark(self, marks: Sequence[DeliveryMark]) -> None:
        if marks:
            rows = msgspec.json.encode(_latest(marks)).decode()
            await retried(lambda: self._connections.run(MARK, {"rows": rows}))

    async def _rows(
        self, statement: str, parameters: Sequence[Any] | dict[str, Any]
    ) -> list[tuple[Any, ...]]:
        answer = await self._connections.run(statement, parameters)
        return await answer.fetchall()


class _MarkedRow(msgspec.Struct, frozen=True):
    id: str
    status: SyncStatus
    attempts: int
    next_at: datetime | None
    error: str | None
    at: datetime
    lane: int | None
    number: int | None
    reopens: bool


def _latest(marks: Sequence[DeliveryMark]) -> list[_MarkedRow]:
    """One row for each entry, ordered by id: the final mark, or else the last one."""
    by_entry: dict[str, DeliveryMark] = {}
    for mark in marks:
        known = by_entry.get(mark.entry_id)
        if known is None or known.status is not SyncStatus.SYNCED:
            by_entry[mark.entry_id] = mark
    return [
        _MarkedRow(
            id=entry_id,
            status=mark.status,
            attempts=mark.attempts,
            next_at=mark.next_at,
            error=None if mark.error is None else mark.error[:REASON_LENGTH_MAX],
            at=mark.at,
            lane=mark.lane,
            number=mark.number,
            reopens=mark.reopens,
        )
        for entry_id, mark in sorted(by_entry.items())
    ]
