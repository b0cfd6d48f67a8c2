"""Committing change sets where this store owns the writes."""

from collections import defaultdict
from collections.abc import Sequence

import psycopg
from psycopg.errors import DivisionByZero

from adapters.postgres.connections import Connections, Transaction
from adapters.postgres.contention import retried
from adapters.postgres.errors import AnswerLost, Contention, HandMadeRule, translated
from adapters.postgres.hand_made_parts import hand_made_parts
from adapters.postgres.lane_rows import advance, lane_values, require_held
from adapters.postgres.rows import FORMS, encoded_rows
from adapters.postgres.statements import (
    COUNT_ENTRIES,
    INSERT_MANY,
    LOCK_VERSIONS,
    RELEASE,
    SHARE_VERSIONS,
    VERSION_OF,
    commit_one,
)
from adapters.records.change_set import ChangeSet, LaneStamp, Put, ReadCheck, stamped
from adapters.records.lane_slots import LaneSlots, Slot
from adapters.records.record import Record
from adapters.records.specs import AUDIT_LOGS, SPECS
from domain.errors import RuleBroken, VersionConflict

ENTRIES_INLINE_MAX = 4
"""The most entries of one statement with a put; more entries require a transaction."""


class SourceWrites:
    """The commit of a record store."""

    def __init__(self, connections: Connections, slots: LaneSlots) -> None:
        self._connections = connections
        self._slots = slots

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        """See RecordStore.commit."""
        is_inline = len(change_set.entries) <= ENTRIES_INLINE_MAX and not change_set.read_checks
        is_single = is_inline and len(change_set.puts) == 1
        write = self._commit_one if is_single else self._commit_many
        async with self._slots.held() as slot:
            stamp = None if slot is None else slot.next
            stored = stamped(change_set, stamp)
            try:
                await retried(lambda: write(stored, slot))
            except AnswerLost:
                if not await self._is_committed(stored, slot):
                    raise
            except HandMadeRule as rejected:
                raise await self._named(rejected, stored) from rejected.__cause__
            return stamp

    async def rehearse(self, change_set: ChangeSet) -> None:
        """See Rehearsing."""
        try:
            await self._commit_many(change_set, None, is_rehearsal=True)
        except HandMadeRule as rejected:
            raise await self._named(rejected, change_set) from rejected.__cause__

    async def _named(self, rejected: HandMadeRule, change_set: ChangeSet) -> HandMadeRule:
        """The error with what is not part of Tandem in the tables, unless it names a constraint."""
        cause = rejected.__cause__
        if isinstance(cause, psycopg.Error) and cause.diag.table_name:
            return rejected
        parts = await hand_made_parts(self._connections, _tables_of(change_set))
        return HandMadeRule(f"{rejected.message} Not part of Tandem: {parts}.") if parts else rejected

    async def _commit_one(self, change_set: ChangeSet, slot: Slot | None) -> None:
        """One put with its entries: one statement, one round trip."""
        (put,) = change_set.puts
        is_new = put.expected_version == 0
        with translated():
            parameters = lane_values(slot) + FORMS[put.collection].values(put.record)
            if not is_new:
                parameters += [put.record_id, str(put.expected_version)]
            for entry in change_set.entries:
                parameters += FORMS[AUDIT_LOGS.collection].values(entry)
        entry_count, has_lane = len(change_set.entries), slot is not None
        statement = commit_one(put.collection, is_new=is_new, entry_count=entry_count, has_lane=has_lane)
        try:
            changed = await self._connections.change_once(statement, parameters)
        except RuleBroken as error:
            if isinstance(error.__cause__, DivisionByZero):
                raise _dropped(AUDIT_LOGS.table) from error.__cause__
            raise
        if changed == 0:
            await require_held(self._connections, slot)
            await self._require_not_dropped(put)
        if slot is not None:
            slot.advance()

    async def _require_not_dropped(self, put: Put) -> None:
        """Raises HandMadeRule where only a trigger or a rule can have dropped a put, and else VersionConflict."""
        stored = await self._stored_version(put)
        table = SPECS[put.collection].table
        if (stored or 0) == put.expected_version and await hand_made_parts(self._connections, [table]):
            raise _dropped(table)
        raise _conflict(put, stored)

    async def _commit_many(
        self, change_set: ChangeSet, slot: Slot | None, *, is_rehearsal: bool = False
    ) -> None:
        """Locks and compares all rows first, then deletes replaced rows before it inserts their successors, so that a
        unique value can move between records of the change set.
        """
        groups: dict[str, list[Put]] = defaultdict(list)
        for put in change_set.puts:
            groups[put.collection].append(put)
        replaced: dict[str, int] = {}
        async with self._connections.transaction(is_rehearsal=is_rehearsal) as transaction:
            # All writers lock collections in one order. Two writers can still deadlock within a collection, each
            # checking a row that the other changes: the server ends one after its deadlock_timeout, and it retries.
            for collection in sorted({*groups, *(check.collection for check in change_set.read_checks)}):
                read_checks = [check for check in change_set.read_checks if check.collection == collection]
                await self._verify_read_checks(transaction, collection, read_checks)
                replaced[collection] = await self._lock_expected(
                    transaction, collection, groups.get(collection, ())
                )
            for collection in sorted(groups):
                # Of several puts of one record the last one counts.
                records = list({put.record_id: put.record for put in groups[collection]}.values())
                await _run_with_rows(
                    transaction, RELEASE[collection], collection, records, expected=replaced[collection]
                )
                await _insert(transaction, collection, records)
            if change_set.entries:
                await _insert(transaction, AUDIT_LOGS.collection, change_set.entries)
            await advance(transaction, slot)
        if slot is not None:
            slot.advance()

    async def _verify_read_checks(
        self, transaction: Transaction, collection: str, read_checks: Sequence[ReadCheck]
    ) -> None:
        if not read_checks:
            return
        ids = [check.record_id for check in read_checks]
        answer = await transaction.run(SHARE_VERSIONS[collection], {"ids": ids})
        current: dict[str, int] = dict(await answer.fetchall())
        for check in read_checks:
            if check.record_id not in current:
                raise _conflict(check, await _version_in(transaction, check, check.version))
            if current[check.record_id] != check.version:
                raise _conflict(check, current[check.record_id])

    async def _lock_expected(self, transaction: Transaction, collection: str, puts: Sequence[Put]) -> int:
        """How many rows of the puts are there, which are locked from now on."""
        if not puts:
            return 0
        ids = [put.record_id for put in puts]
        answer = await transaction.run(LOCK_VERSIONS[collection], {"ids": ids})
        current: dict[str, int] = dict(await answer.fetchall())
        locked = len(current)
        for put in puts:
            if put.record_id not in current and put.expected_version != 0:
                # Another writer may have replaced the row while this one waited for it.
                raise _conflict(put, await _version_in(transaction, put, put.expected_version))
            if current.get(put.record_id, 0) != put.expected_version:
                raise _conflict(put, current.get(put.record_id))
            current[put.record_id] = put.version
        return locked

    async def _stored_version(self, put: Put) -> int | None:
        answer = await self._connections.run(VERSION_OF[put.collection], [put.record_id])
        row = await answer.fetchone()
        return None if row is None else int(row[0])

    async def _is_committed(self, change_set: ChangeSet, slot: Slot | None) -> bool:
        """Whether a commit whose reply was lost took place: its lane shows that, or else its entries, which were stored
        with it or not at all.
        """
        if slot is not None:
            return await self._slots.is_stored(slot)
        if not change_set.entries:
            return False
        answer = await self._connections.run(COUNT_ENTRIES, [list(change_set.entry_ids)])
        row = await answer.fetchone()
        return row is not None and row[0] == len(change_set.entries)


def _tables_of(change_set: ChangeSet) -> list[str]:
    collections = dict.fromkeys(put.collection for put in change_set.puts)
    return [*(SPECS[collection].table for collection in collections), AUDIT_LOGS.table]


def _dropped(table: str) -> HandMadeRule:
    return HandMadeRule(
        f"PostgreSQL drops a row of the table {table} without an error, so nothing was stored. Look for a trigger or a"
        " rule that is not part of Tandem, and drop it."
    )


async def _insert(transaction: Transaction, collection: str, records: Sequence[Record]) -> None:
    await _run_with_rows(transaction, INSERT_MANY[collection], collection, records, expected=len(records))


async def _run_with_rows(
    transaction: Transaction, statement: str, collection: str, records: Sequence[Record], *, expected: int
) -> None:
    """Raises HandMadeRule where the statement does not write as many rows as expected."""
    answer = await transaction.run(statement, {"rows": encoded_rows(collection, records)})
    if answer.rowcount != expected:
        raise _dropped(SPECS[collection].table)


def _conflict(of: Put | ReadCheck, current_version: int | None) -> VersionConflict:
    return VersionConflict(current_version=current_version, collection=of.collection, entity_id=of.record_id)


async def _version_in(transaction: Transaction, of: Put | ReadCheck, expected: int) -> int | None:
    answer = await transaction.run(VERSION_OF[of.collection], [of.record_id])
    row = await answer.fetchone()
    if row is not None and row[0] == expected:
        raise Contention
    return None if row is None else int(row[0])
