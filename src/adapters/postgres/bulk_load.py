"""Loading pages of records where this store is the target: COPY into a temporary table, then one guarded merge.

A page of which the table holds no record is copied into the table itself, which takes half the time. Where somebody
else adds one of the records meanwhile, that fails as a whole, and the page is merged.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.postgres.classification import Meaning, cause_and_state_of, meaning_of, rejection_of
from adapters.postgres.connections import Connections, Transaction
from adapters.postgres.contention import ATTEMPTS_MAX
from adapters.postgres.dropped_rows import swallowed
from adapters.postgres.errors import translated
from adapters.postgres.lane_rows import advance
from adapters.postgres.obstacles import ObstacleSearch
from adapters.postgres.rows import FORMS, encoded_rows
from adapters.postgres.staged_statements import (
    COPY_NEW,
    COPY_STAGED,
    EMPTY_STAGED,
    MERGE_STAGED,
    RAISE_SEEN_ALONE,
    RELEASE_STAGED,
    STAGE,
)
from adapters.postgres.statements import FETCH_ONE, LOCK_VERSIONS, MIRROR_ROWS, VERSIONS_OF
from adapters.postgres.target_writes import LOST_REASON, is_certain
from adapters.records.change_set import ChangeSet, Put, Rejection
from adapters.records.lane_slots import LaneSlots
from adapters.records.lanes import LaneLost, seen_in
from adapters.records.loading import Loaded, carrier, is_kept, newer_than, page_of
from adapters.records.record import ID, VERSION, Record
from adapters.records.specs import AUDIT_LOGS, SPECS
from domain.errors import StoreUnavailable, TandemError, VersionConflict

ENCODED_AT_ONCE = 64
"""Records that are encoded in one turn of the event loop, in about two milliseconds."""
_OF_ROWS = (Meaning.RECORD, Meaning.CLAIM)
"""What single rows can cause; a claim is proven before rows are isolated."""
LOCK_PAUSE_SECONDS = 0.05
"""The pause before a page is tried again that met a lock; each further one is twice as long."""


@dataclass(slots=True)
class _Page:
    """What is left to be stored of a page. `rejected` grows; `entries` are those whose lanes were seen."""

    collection: str
    records: list[Record]
    checkpoint: Put | None
    rejected: dict[str, Rejection] = field(default_factory=dict)
    entries: Sequence[Record] = ()
    is_new: bool = False
    """Whether the table held none of the records a moment ago."""

    def part(self, records: list[Record], checkpoint: Put | None) -> "_Page":
        """Some of the records, as a page of its own."""
        return _Page(self.collection, records, checkpoint, self.rejected, self.entries)


class BulkLoad:
    """The `load` of a record store."""

    def __init__(self, connections: Connections, slots: LaneSlots) -> None:
        self._connections = connections
        self._slots = slots
        self._search = ObstacleSearch(connections)

    async def load(self, collection: str, records: Sequence[Record], *, checkpoint: Put | None) -> Loaded:
        """See BulkLoader."""
        given = page_of(collection, records)
        held = await self._versions(collection, list(given))
        fresh = newer_than(collection, given, held)
        entries = list(given.values()) if collection == AUDIT_LOGS.collection else ()
        return await self._load(_Page(collection, fresh, checkpoint, entries=entries, is_new=not held))

    async def _load(self, page: _Page) -> Loaded:
        """Stores a page, in halves where one row ends the connection or takes too long."""
        try:
            return await self._load_together(page)
        except _Suspected as suspected:
            if len(page.records) > 1:
                middle = len(page.records) // 2
                first = await self._load(page.part(page.records[:middle], None))
                last = await self._load(page.part(page.records[middle:], page.checkpoint))
                return Loaded(first.written + last.written, first.rejected | last.rejected, last.stamp)
            if not page.records:
                raise StoreUnavailable("PostgreSQL does not store a checkpoint in time.") from suspected
            record = page.records[0]
            page.rejected[record[ID]] = Rejection(suspected.reason)
        return await self._load(page.part([], page.checkpoint))

    async def _load_together(self, page: _Page) -> Loaded:
        """One transaction; a second one that isolates the rejected rows where the first one failed because of them."""
        is_isolating, pause, losses = False, LOCK_PAUSE_SECONDS, 0
        failure: TandemError
        for _ in range(ATTEMPTS_MAX):
            try:
                return await self._write(page, is_isolating=is_isolating)
            except (LaneLost, VersionConflict):
                raise
            except TandemError as error:
                failure = error
                if page.is_new and meaning_of(error) in (*_OF_ROWS, Meaning.LOCK):
                    page.is_new = False
                    continue
            match meaning_of(failure):
                case Meaning.OUTAGE:
                    raise failure
                case Meaning.LOST | Meaning.SILENT:
                    await self._connections.ping_anew()
                    losses += 1
                    if losses > 1:
                        raise _Suspected(LOST_REASON) from failure
                case Meaning.SLOW:
                    await self._require_free(page, failure)
                    limit_ms = self._connections.statement_timeout_ms
                    raise _Suspected(f"It takes longer than {limit_ms} ms to store.") from failure
                case Meaning.CLAIM | Meaning.RECORD:
                    await self._require_free(page, failure)
                    is_isolating = True
                case _:
                    await self._require_free(page, failure)
                    await asyncio.sleep(pause)
                    pause *= 2
        raise StoreUnavailable(self._blocked(page, failure)) from failure

    async def _require_free(self, page: _Page, error: TandemError) -> None:
        """Raises StoreUnavailable with the cause if the table takes no row at all, so no single one is to blame."""
        meaning = meaning_of(error)
        if meaning is Meaning.CLAIM:
            await self._connections.require_writable()
        if is_certain(error, meaning):
            return
        if meaning is Meaning.TABLE:
            raise StoreUnavailable(self._blocked(page, error)) from error
        if meaning is Meaning.LOCK or not page.records:
            return
        one = carrier(page.collection, page.records[0])
        blocked = (await self._search.after(error, [one])).tables.get(page.collection)
        if blocked is not None:
            raise StoreUnavailable(f"{blocked.place} takes no rows at present. {blocked.cause}") from error

    def _blocked(self, page: _Page, error: TandemError) -> str:
        carriers = [carrier(page.collection, record) for record in page.records]
        return (
            f"{SPECS[page.collection].table} takes no rows at present. {cause_and_state_of(error, carriers)}"
        )

    async def _write(self, page: _Page, *, is_isolating: bool) -> Loaded:
        async with self._slots.held() as slot:
            rejected = dict(page.rejected)
            async with self._connections.transaction() as transaction:
                merge = _Merge(transaction, page.collection)
                written = 0
                if page.records:
                    if is_isolating:
                        written = await merge.isolating(page.records, rejected)
                    else:
                        store = merge.new if page.is_new else merge.all
                        written = await store(page.records, rejected)
                    rejected |= await merge.dropped(page.records, rejected, written)
                await _finish(transaction, page, rejected)
                await advance(transaction, slot)
            if slot is not None:
                slot.advance()
            return Loaded(written, rejected, None if slot is None else slot.stamp)

    async def _versions(self, collection: str, ids: list[str]) -> dict[str, int]:
        answer = await self._connections.run(VERSIONS_OF[collection], {"ids": ids})
        return dict(await answer.fetchall())


class _Suspected(Exception):
    """A row of the page ends the connection or takes too long, while the table takes other rows."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Merge:
    """The rows of a page inside one transaction."""

    def __init__(self, transaction: Transaction, collection: str) -> None:
        self._transaction = transaction
        self._collection = collection

    async def new(self, records: Sequence[Record], rejected: dict[str, Rejection]) -> int:
        """Adds the records, none of which is there, but for those that are rejected; returns how many were written."""
        arrival = b"\tnow\n" if FORMS[self._collection].keeps_synced_at else b"\n"
        return await self._copy(COPY_NEW[self._collection], records, rejected, end=arrival)

    async def all(self, records: Sequence[Record], rejected: dict[str, Rejection]) -> int:
        """Stores the records where they are newer; returns how many were written."""
        await self._transaction.run(STAGE[self._collection])
        with translated():
            await self._stage(records, rejected)
            return await self._execute(MERGE_STAGED[self._collection])

    async def isolating(self, records: Sequence[Record], rejected: dict[str, Rejection]) -> int:
        """`all` where the table itself rejects some of them, which it names."""
        await self._transaction.run(STAGE[self._collection])
        # What the database would check at the commit rejects the whole page there.
        await self._execute("SET CONSTRAINTS ALL IMMEDIATE")
        return await self._isolated(records, rejected)

    async def _isolated(self, records: Sequence[Record], rejected: dict[str, Rejection]) -> int:
        try:
            async with self._savepoint():
                await self._stage(records, rejected)
                if self._collection in RELEASE_STAGED:
                    # Records may exchange their unique values.
                    await self._execute(RELEASE_STAGED[self._collection])
                written = await self._execute(MERGE_STAGED[self._collection])
                await self._execute(EMPTY_STAGED)
                return written
        except TandemError as error:
            if meaning_of(error) not in _OF_ROWS:
                raise
            if len(records) == 1:
                (record,) = records
                rejected[record[ID]] = rejection_of(error, carrier(self._collection, record))
                return 0
        middle = len(records) // 2
        first = await self._isolated(records[:middle], rejected)
        return first + await self._isolated(records[middle:], rejected)

    async def dropped(
        self, records: Sequence[Record], rejected: Mapping[str, Rejection], written: int
    ) -> dict[str, Rejection]:
        """The records that are neither stored nor superseded although there was no error."""
        ids = [record[ID] for record in records if record[ID] not in rejected]
        if written == len(ids):
            return {}
        answer = await self._transaction.run(VERSIONS_OF[self._collection], {"ids": ids})
        held: dict[str, int] = dict(await answer.fetchall())
        return {
            record[ID]: swallowed(Put(self._collection, record, 0), held.get(record[ID], 0))
            for record in records
            if record[ID] not in rejected and held.get(record[ID], 0) < record[VERSION]
        }

    async def _stage(self, records: Sequence[Record], rejected: dict[str, Rejection]) -> None:
        await self._copy(COPY_STAGED[self._collection], records, rejected, end=b"\n")

    async def _copy(
        self, statement: str, records: Sequence[Record], rejected: dict[str, Rejection], *, end: bytes
    ) -> int:
        """Sends the records while they are encoded, in parts, so that the server works and no request waits meanwhile.

        Adds those that no table takes to `rejected`.
        """
        self._transaction.note(statement)
        with translated():
            cursor = self._transaction.connection.cursor()
            async with cursor.copy(statement) as copy:
                for start in range(0, len(records), ENCODED_AT_ONCE):
                    part = records[start : start + ENCODED_AT_ONCE]
                    await copy.write(b"".join(_lines(self._collection, part, rejected, end)))
                    await asyncio.sleep(0)
            return cursor.rowcount

    async def _execute(self, statement: str) -> int:
        self._transaction.note(statement)
        # Never prepared: the temporary table is another one in the next transaction.
        cursor = await self._transaction.connection.execute(statement, prepare=False)
        return cursor.rowcount

    @contextlib.asynccontextmanager
    async def _savepoint(self) -> AsyncIterator[None]:
        await self._execute("SAVEPOINT part")
        try:
            with translated():
                yield
        except TandemError as error:
            if meaning_of(error) in _OF_ROWS:
                await self._execute("ROLLBACK TO SAVEPOINT part")
                await self._execute("RELEASE SAVEPOINT part")
            raise
        await self._execute("RELEASE SAVEPOINT part")


def _lines(
    collection: str, records: Sequence[Record], rejected: dict[str, Rejection], end: bytes
) -> Iterator[bytes]:
    """The lines of the records, but for those that no table takes, which are added to `rejected`."""
    line_of = FORMS[collection].copy_line
    for record in records:
        try:
            with translated():
                line = line_of(record)
        except TandemError as error:
            rejected[record[ID]] = rejection_of(error, carrier(collection, record))
        else:
            yield line + end


async def _finish(transaction: Transaction, page: _Page, rejected: Mapping[str, Rejection]) -> None:
    """What is stored with the rows: the lanes that were seen, and the checkpoint."""
    seen = seen_in([ChangeSet((), tuple(entry for entry in page.entries if entry[ID] not in rejected))])
    if seen:
        await transaction.run(RAISE_SEEN_ALONE, [list(seen), list(seen.values())])
    if page.checkpoint is not None:
        await _keep(transaction, page.checkpoint)


async def _keep(transaction: Transaction, checkpoint: Put) -> None:
    collection, record_id = checkpoint.collection, checkpoint.record_id
    answer = await transaction.run(LOCK_VERSIONS[collection], {"ids": [record_id]})
    versions: dict[str, int] = dict(await answer.fetchall())
    current = versions.get(record_id, 0)
    if current != checkpoint.expected_version:
        answer = await transaction.run(FETCH_ONE[collection], [record_id])
        row = await answer.fetchone()
        if not is_kept(checkpoint, None if row is None else FORMS[collection].record(row)):
            raise VersionConflict(current_version=current, collection=collection, entity_id=record_id)
        return
    await transaction.run(MIRROR_ROWS[collection], {"rows": encoded_rows(collection, [checkpoint.record])})
