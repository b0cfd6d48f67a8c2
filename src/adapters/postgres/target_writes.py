"""Applying change sets where this store is the target: idempotent, in any order, one statement for many."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from loguru import logger

from adapters.postgres.classification import Meaning, PartRejected, meaning_of, rejection_of, state_of
from adapters.postgres.connections import Connections
from adapters.postgres.contention import ATTEMPTS_MAX
from adapters.postgres.dropped_rows import DroppedRows, swallowed
from adapters.postgres.errors import HandMadeKey, translated
from adapters.postgres.lane_rows import lane_values
from adapters.postgres.mirror_statements import mirror_statement, parts, rows_in
from adapters.postgres.obstacles import Obstacles, ObstacleSearch, waiting_for_lock
from adapters.postgres.own_tables import OwnTables
from adapters.postgres.rows import FORMS
from adapters.postgres.statements import (
    MIRRORED_ENTRY_AT,
    RELEASE,
    VERSIONS_OF,
    mirror_one,
)
from adapters.records.change_set import ApplyOutcome, Blocked, ChangeSet, Rejection, superseded
from adapters.records.isolation import SomeAreSlow, bisected
from adapters.records.lane_slots import LaneSlots, Slot
from adapters.records.lanes import Applied, LaneLost, seen_in
from adapters.records.slow_change_sets import too_slow
from adapters.records.specs import AUDIT_LOGS
from domain.errors import AlreadyExists, RuleBroken, StoreUnavailable, TandemError

RACES_MAX = 3
"""How often a statement is tried while others may be storing the same rows."""

QUICK_SECONDS_MAX = 5.0
"""How long a slow batch is searched for the change sets that are quick."""
QUICK_PASSES_MAX = 2
"""How many slow batches are searched at the same time, each over one connection; others are bisected without that."""
LOST_REASON = "The server closed the connection on it, twice, and answers other requests."

Versions = dict[tuple[str, str], int]


class TargetWrites:
    """The apply of a record store."""

    def __init__(
        self,
        connections: Connections,
        slots: LaneSlots,
        *,
        quick: Connections | None = None,
        proving: Connections | None = None,
    ) -> None:
        """`quick` has a short time limit, to find out which change sets of a slow batch are slow. What is proven of a
        table, over `proving`, keeps the usual time limit: one that is slow is not one that cannot be used.
        """
        proving = proving or connections
        self._connections = connections
        self._slots = slots
        self._search = ObstacleSearch(proving)
        self._own_tables = OwnTables(proving)
        self._dropped = DroppedRows(proving)
        self._quick = None if quick is None else TargetWrites(quick, slots, proving=proving)
        self._quick_passes = asyncio.Semaphore(QUICK_PASSES_MAX)

    async def apply(self, change_sets: Sequence[ChangeSet]) -> Applied:
        """See LanedStore.apply_by_lane. Raises PartRejected for one of several, without saying which."""
        outcomes: list[ApplyOutcome] = []
        async with self._slots.held() as slot:
            if len(change_sets) == 1:
                outcomes = [await self._apply_alone(change_sets[0], slot)]
            else:
                for part in parts(change_sets):
                    outcomes += await self._apply_together(part, slot)
            return Applied(outcomes, None if slot is None else slot.stamp)

    async def _apply_together(self, part: Sequence[ChangeSet], slot: Slot | None) -> list[ApplyOutcome]:
        """One statement for all that no obstacle blocks."""
        outcomes: list[ApplyOutcome] = [None] * len(part)
        places = list(range(len(part)))
        for _ in range(ATTEMPTS_MAX):
            sent = [part[place] for place in places]
            try:
                written = await self._write(sent, slot)
            except TandemError as error:
                meaning = await self._meaning(error, slot)
                if is_certain(error, meaning):
                    raise PartRejected from error
                obstacles = await self._obstacles(error, sent, slot)
                blocked = {place: obstacles.before(part[place]) for place in places}
                outcomes = [blocked.get(place) or outcome for place, outcome in enumerate(outcomes)]
                places = [place for place in places if blocked[place] is None]
                if not places:
                    return outcomes
                if len(places) == len(sent) and meaning is not Meaning.LOCK:
                    if meaning is Meaning.SLOW:
                        await self._part_slow(sent, slot)
                    raise PartRejected from error
            else:
                for place, outcome in zip(places, written, strict=True):
                    outcomes[place] = outcome
                return outcomes
        raise PartRejected

    async def _part_slow(self, part: Sequence[ChangeSet], slot: Slot | None) -> None:
        """Raises SomeAreSlow once those are stored that are quick; returns where none is, where all are, and where
        that cannot be found out now. Raises LaneLost.
        """
        if self._quick is None or self._quick_passes.locked():
            return
        async with self._quick_passes:
            try:
                await self._quick.part_quick(part, slot)
            except LaneLost:
                raise
            except StoreUnavailable as error:
                # The server may have no connection left for this, and still answer on those that are open.
                logger.info("A slow batch is not searched for quick change sets: {}", error.message)

    async def part_quick(self, part: Sequence[ChangeSet], slot: Slot | None) -> None:
        """Stores what is quick. Raises SomeAreSlow where some are, and StoreUnavailable."""
        clock = asyncio.get_running_loop()
        until = clock.time() + QUICK_SECONDS_MAX

        async def quickly(sent: Sequence[ChangeSet]) -> list[ApplyOutcome]:
            has_lane = slot is None or slot.is_usable
            if clock.time() > until or not has_lane:
                return [
                    too_slow(one, self._connections.statement_timeout_ms, store="postgres") for one in sent
                ]
            if len(sent) == 1:
                return [await self._apply_alone(sent[0], slot)]
            return await self._apply_together(sent, slot)

        outcomes = await bisected(quickly, part)
        slow = [one for one, outcome in zip(part, outcomes, strict=True) if _is_slow(outcome)]
        if 0 < len(slow) < len(part):
            raise SomeAreSlow(slow)

    async def _apply_alone(self, change_set: ChangeSet, slot: Slot | None) -> ApplyOutcome:
        error: TandemError
        for _ in range(ATTEMPTS_MAX):
            try:
                return await self._write_alone(change_set, slot)
            except TandemError as failure:
                error = failure
            meaning = await self._meaning(error, slot)
            if is_certain(error, meaning):
                break
            blocked = (await self._obstacles(error, [change_set], slot)).before(change_set)
            if blocked is not None:
                return blocked
            if meaning is not Meaning.LOCK:
                break
        return self._outcome_of(error, change_set)

    def _outcome_of(self, error: TandemError, change_set: ChangeSet) -> ApplyOutcome:
        """The outcome of a change set that is alone, and that no obstacle blocks."""
        match meaning_of(error):
            case Meaning.LOCK if change_set.puts:
                return waiting_for_lock(change_set, error)
            case Meaning.LOST:
                return Rejection(LOST_REASON)
            case Meaning.SLOW | Meaning.SILENT:
                limit_ms = self._connections.statement_timeout_ms
                return too_slow(change_set, limit_ms, store="postgres", sqlstate=state_of(error))
            case _:
                return rejection_of(error, change_set)

    async def _meaning(self, error: TandemError, slot: Slot | None) -> Meaning:
        """What an error means, once a new connection has proven what is claimed of the server.

        Raises StoreUnavailable, with the cause that a new connection meets, for an outage.
        """
        if isinstance(error, LaneLost):
            raise error
        meaning = meaning_of(error)
        if slot is not None and meaning in (Meaning.LOST, Meaning.SILENT):
            # The statement may have been executed.
            self._slots.end(slot)
        if meaning in (Meaning.LOST, Meaning.SILENT, Meaning.OUTAGE):
            await self._connections.ping_anew()
        if meaning is Meaning.OUTAGE:
            raise error
        if meaning is Meaning.CLAIM:
            await self._connections.require_writable()
            return Meaning.RECORD
        return meaning

    async def _obstacles(
        self, error: TandemError, change_sets: Sequence[ChangeSet], slot: Slot | None
    ) -> Obstacles:
        """What keeps these from being stored. Raises StoreUnavailable where nothing could be, whatever it holds."""
        await self._own_tables.require_usable(change_sets, slot, after=state_of(error))
        return await self._search.after(error, change_sets)

    async def _write_alone(self, change_set: ChangeSet, slot: Slot | None) -> ApplyOutcome:
        try:
            (outcome,) = await self._write([change_set], slot)
        except (AlreadyExists, HandMadeKey):
            # Records of one change set may swap their unique values, so replaced rows are deleted first.
            if len(change_set.puts) == 1:
                raise
            (outcome,) = await self._write_released([change_set], slot)
        return outcome

    async def _write(self, change_sets: Sequence[ChangeSet], slot: Slot | None) -> list[ApplyOutcome]:
        """`_write_once`, and once more where a unique value is taken: by the same row, perhaps.

        Of two sessions that insert one row at the same moment, one may meet a unique index before the primary key that
        ON CONFLICT names. The other one has committed by then, so the next attempt finds its row. A value that another
        row holds is still taken.
        """
        for _ in range(RACES_MAX - 1):
            with suppress(AlreadyExists, HandMadeKey):
                return await self._write_once(change_sets, slot)
        return await self._write_once(change_sets, slot)

    async def _write_once(self, change_sets: Sequence[ChangeSet], slot: Slot | None) -> list[ApplyOutcome]:
        """Stores all in one statement, and reads back what became of them where it did not write every row."""
        if len(change_sets) == 1 and len(change_sets[0].puts) == len(change_sets[0].entries) == 1:
            written, expected = await self._write_one(change_sets[0], slot), 2
        else:
            with translated():
                statement, parameters = mirror_statement(change_sets, slot)
            answer = await self._connections.run(statement, parameters)
            ((written,),) = await answer.fetchall()
            expected = rows_in(change_sets)
        if slot is not None:
            slot.advance()
        return [None] * len(change_sets) if written == expected else await self._read_back(change_sets)

    async def _write_one(self, change_set: ChangeSet, slot: Slot | None) -> int:
        (put,), (entry,) = change_set.puts, change_set.entries
        with translated():
            entry_values = FORMS[AUDIT_LOGS.collection].values(entry)
            put_values = FORMS[put.collection].values(put.record)
        seen = seen_in([change_set])
        values = [*lane_values(slot), *(str(value) for row in seen.items() for value in row), *put_values]
        values += [entry_values[place] for place in MIRRORED_ENTRY_AT]
        statement = mirror_one(put.collection, has_lane=slot is not None, has_seen=bool(seen))
        return await self._connections.change(statement, values)

    async def _write_released(
        self, change_sets: Sequence[ChangeSet], slot: Slot | None
    ) -> list[ApplyOutcome]:
        with translated():
            statement, parameters = mirror_statement(change_sets, slot)
        async with self._connections.transaction() as transaction:
            for collection, rows in parameters.items():
                if collection in RELEASE:
                    await transaction.run(RELEASE[collection], {"rows": rows})
            await transaction.run(statement, parameters)
        if slot is not None:
            slot.advance()
        return await self._read_back(change_sets)

    async def _read_back(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        """The outcome of each change set, from the versions and entries that the store holds now."""
        ids: dict[str, list[str]] = defaultdict(list)
        for change_set in change_sets:
            for collection, record_id in change_set.touched():
                ids[collection].append(record_id)
            ids[AUDIT_LOGS.collection] += change_set.entry_ids
        held: Versions = {}
        for collection, requested in ids.items():
            answer = await self._connections.run(VERSIONS_OF[collection], {"ids": requested})
            held.update({(collection, id_): version for id_, version in await answer.fetchall()})
        return [await self._outcome_in(held, change_set) for change_set in change_sets]

    async def _outcome_in(self, held: Versions, change_set: ChangeSet) -> ApplyOutcome:
        """What was not stored although nothing newer is there was dropped, with its table's other rows or alone."""
        for put in change_set.puts:
            version = held.get((put.collection, put.record_id), 0)
            if version < put.version:
                blocked = await self._dropped.blocked_table(put.collection, [put.record_id])
                return blocked or swallowed(put, version)
        if any((AUDIT_LOGS.collection, entry_id) not in held for entry_id in change_set.entry_ids):
            reason = "The database dropped its audit entry without an error: look for a trigger."
            blocked = await self._dropped.blocked_by_entries(change_set)
            return blocked or Rejection(reason, table=AUDIT_LOGS.table)
        return superseded(change_set, held)


def is_certain(error: TandemError, meaning: Meaning) -> bool:
    """Whether no obstacle has to be looked for: the connection was lost, no answer came, the value cannot be sent, or
    the record breaks a rule that the tables of every installation have.
    """
    is_own_rule = isinstance(error, AlreadyExists | RuleBroken) and bool(error.violations)
    return meaning in (Meaning.LOST, Meaning.SILENT) or state_of(error) is None or is_own_rule


def _is_slow(outcome: ApplyOutcome) -> bool:
    return isinstance(outcome, Blocked) and outcome.is_slow
