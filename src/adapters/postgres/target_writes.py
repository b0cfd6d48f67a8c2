"""Applying change sets where this store is the target: idempotent, in any order, one statement for many."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from adapters.postgres.connections import Connections
from adapters.postgres.contention import retried
from adapters.postgres.errors import AnswerLost, ConnectionBroken, TookTooLong, translated
from adapters.postgres.lane_rows import lane_values
from adapters.postgres.lane_statements import arrival_parameters
from adapters.postgres.rows import FORMS, encoded_rows
from adapters.postgres.statements import (
    ENTRIES_PARAMETER,
    MIRRORED_ENTRY_AT,
    RELEASE,
    mirror_many,
    mirror_one,
)
from adapters.records.change_set import ChangeSet, Rejection
from adapters.records.lane_slots import LaneSlots, Slot
from adapters.records.lanes import Applied, seen_in
from adapters.records.record import Record
from adapters.records.record_store import REASON_LENGTH_MAX
from adapters.records.specs import AUDIT_LOGS
from domain.errors import AlreadyExists, RuleBroken

STATEMENT_ROWS_MAX = 1_000
"""Rows in one statement, unless a single change set has more."""
STATEMENT_BYTES_MAX = 1_048_576
"""About how many bytes are in one statement, unless a single change set has more: building search vectors is slow."""

Statement = tuple[str, dict[str, Any]]
Write = Callable[[Sequence[ChangeSet], Slot | None], Awaitable[None]]


class TargetWrites:
    """The apply of a record store."""

    def __init__(self, connections: Connections, slots: LaneSlots) -> None:
        self._connections = connections
        self._slots = slots

    async def apply(self, change_sets: Sequence[ChangeSet]) -> Applied:
        """See LanedStore.apply_by_lane. Raises AlreadyExists or RuleBroken for one of several, without saying which."""
        async with self._slots.held() as slot:
            if len(change_sets) == 1:
                outcomes: list[Rejection | None] = [await self._apply_alone(change_sets[0], slot)]
            else:
                outcomes = [None] * len(change_sets)
                for part in _parts(change_sets):
                    await self._in_time(self._write, part, slot)
            return Applied(outcomes, None if slot is None else slot.stamp)

    async def _apply_alone(self, change_set: ChangeSet, slot: Slot | None) -> Rejection | None:
        try:
            try:
                await self._in_time(self._write, [change_set], slot)
            except AlreadyExists:
                # Records of one change set may swap their unique values, so replaced rows are deleted first.
                if len(change_set.puts) == 1:
                    raise
                await self._in_time(self._write_released, [change_set], slot)
        except (AlreadyExists, RuleBroken) as fault:
            return Rejection(_reason(fault))
        return None

    async def _in_time(self, write: Write, change_sets: Sequence[ChangeSet], slot: Slot | None) -> None:
        """Writes. A timeout while the server answers a ping is a rejection and no outage."""
        try:
            await retried(lambda: write(change_sets, slot))
            if slot is not None:
                slot.advance()
        except ConnectionBroken:
            raise
        except (TookTooLong, AnswerLost) as slow:
            if slot is not None:
                self._slots.end(slot)
            await self._connections.ping()
            limit_ms = self._connections.statement_timeout_ms
            raise RuleBroken(f"It takes longer than {limit_ms} ms to store.") from slow

    async def _write(self, change_sets: Sequence[ChangeSet], slot: Slot | None) -> None:
        if len(change_sets) == 1 and len(change_sets[0].puts) == len(change_sets[0].entries) == 1:
            await self._write_one(change_sets[0], slot)
            return
        with translated():
            statement, parameters = _mirror_statement(change_sets, slot)
        await self._connections.run(statement, parameters)

    async def _write_one(self, change_set: ChangeSet, slot: Slot | None) -> None:
        (put,), (entry,) = change_set.puts, change_set.entries
        with translated():
            entry_values = FORMS[AUDIT_LOGS.collection].values(entry)
            values = lane_values(slot)
            seen = seen_in([change_set])
            values += [str(value) for lane_and_number in seen.items() for value in lane_and_number]
            values += FORMS[put.collection].values(put.record)
        values += [entry_values[place] for place in MIRRORED_ENTRY_AT]
        statement = mirror_one(put.collection, has_lane=slot is not None, has_seen=bool(seen))
        await self._connections.change(statement, values)

    async def _write_released(self, change_sets: Sequence[ChangeSet], slot: Slot | None) -> None:
        with translated():
            statement, parameters = _mirror_statement(change_sets, slot)
        async with self._connections.transaction() as transaction:
            for collection, rows in parameters.items():
                if collection in RELEASE:
                    await transaction.run(RELEASE[collection], {"rows": rows})
            await transaction.run(statement, parameters)


def _parts(change_sets: Sequence[ChangeSet]) -> Iterator[Sequence[ChangeSet]]:
    """The change sets in parts of a bounded number of rows and bytes."""
    part: list[ChangeSet] = []
    rows = size = 0
    for change_set in change_sets:
        more_rows, more_bytes = len(change_set.puts) + len(change_set.entries), change_set.rough_bytes
        if part and (rows + more_rows > STATEMENT_ROWS_MAX or size + more_bytes > STATEMENT_BYTES_MAX):
            yield part
            part, rows, size = [], 0, 0
        part.append(change_set)
        rows += more_rows
        size += more_bytes
    if part:
        yield part


def _mirror_statement(change_sets: Sequence[ChangeSet], slot: Slot | None) -> Statement:
    """One statement for all; text and parameters. Raises Unstorable."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for change_set in change_sets:
        for put in change_set.puts:
            groups[put.collection].append(put.record)
    parameters: dict[str, Any] = {
        collection: encoded_rows(collection, groups[collection]) for collection in sorted(groups)
    }
    entries = [entry for change_set in change_sets for entry in change_set.entries]
    parameters[ENTRIES_PARAMETER] = encoded_rows(AUDIT_LOGS.collection, entries)
    seen = seen_in(change_sets)
    parameters |= arrival_parameters(None if slot is None else slot.next, seen)
    statement = mirror_many(tuple(sorted(groups)), has_lane=slot is not None, has_seen=bool(seen))
    return statement, parameters


def _reason(error: AlreadyExists | RuleBroken) -> str:
    fields = f" ({', '.join(error.fields)})" if isinstance(error, AlreadyExists) else ""
    return f"{error.message}{fields}"[:REASON_LENGTH_MAX]
