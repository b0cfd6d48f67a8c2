"""Delivers entries and the current states of their records to the target, and marks the outcomes in the source."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from adapters.dual_write.backlog import Backlog
from adapters.dual_write.differences import DeliveryOutcome, judged
from adapters.dual_write.discarding import absence_of, without_absent
from adapters.dual_write.grouping import (
    Entries,
    RecordKey,
    bounded_batches,
    by_change_set,
    connected,
    ids_by_collection,
    key_of,
)
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.outbox import DeliveryMarks, for_target
from adapters.dual_write.replay import as_committed, put_of
from adapters.dual_write.settings import DualWriteSettings
from adapters.dual_write.slow_tables import slow_table, tables_of
from adapters.records.change_set import ApplyOutcome, Blocked, ChangeSet, DeliveryMark, Rejection
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import FETCH_MAX, RecordStore
from application.ports.clock import Clock
from domain.audit import SyncStatus

# Each round may free a unique value for the next one; longer chains continue with the next attempt.
_ROUNDS_MAX = 3
BLOCKED_PAUSE_SECONDS = 30.0
"""When entries that wait for a blocked table are due again, unless the table accepts one before; also those that took
too long, because each try takes long again.
"""
CANARIES_MAX = 20
"""Records of a table among which a canary is looked for."""

Outcomes = dict[str, DeliveryOutcome]
"""What became of entries, by id."""
Attempted = tuple[ChangeSet, DeliveryOutcome]


class Delivery:
    """Delivers pages of entries; safe to repeat, and to run concurrently."""

    def __init__(
        self, source: RecordStore, target: MirrorTarget, *, settings: DualWriteSettings, clock: Clock
    ) -> None:
        self._source = source
        self._target = target
        self._settings = settings
        self._clock = clock
        self._backlog = Backlog(source, settings=settings)
        self._marks = DeliveryMarks(settings)

    async def deliver(self, entries: Sequence[Record]) -> Outcomes:
        """Applies connected entries as one change set, with each record in its current state; returns what became of
        each entry.

        If the target rejects them, the change sets are applied one by one, as committed and in that order; a change set
        that is still rejected counts an attempt, one that waits for a blocked table does not. Raises StoreUnavailable
        for an outage of either store, which counts no attempt; entries that were confirmed before are marked.
        """
        current = await self._load(entries)
        lost = [entry for entry in entries if key_of(entry) not in current]
        outcomes = await self._park(lost)
        groups = connected(entry for entry in entries if key_of(entry) in current)
        rejected: list[Record] = []
        for batch in bounded_batches((_latest(group, current) for group in groups), self._settings):
            attempted = await self._without_absent(list(zip(batch, await self._apply(batch), strict=True)))
            accepted = [pair for pair in attempted if not isinstance(pair[1], Rejection)]
            outcomes |= await self._mark(accepted)
            for change_set, outcome in attempted:
                if isinstance(outcome, Rejection):
                    rejected += change_set.entries
        return outcomes | await self._deliver_in_steps(rejected, current)

    async def try_once(self, entries: Sequence[Record]) -> None:
        """Applies the entries of one change set within the time limit of a probe, to find out whether writes work.

        Leaves a rejected one to `deliver`. Raises StoreUnavailable for an outage.
        """
        current = await self._load(entries)
        groups = connected(entry for entry in entries if key_of(entry) in current)
        now = self._clock.now()
        for change_set in (_latest(group, current) for group in groups):
            arriving = [for_target(change_set, now)]
            (applied,) = await self._target.apply(arriving, timeout_ms=self._settings.probe_timeout_ms)
            outcome = await judged(self._source, applied)
            if not isinstance(outcome, Rejection):
                await self._mark([(change_set, outcome)])

    async def _load(self, entries: Sequence[Record]) -> dict[RecordKey, Record]:
        current: dict[RecordKey, Record] = {}
        for collection, ids in ids_by_collection(entries).items():
            for start in range(0, len(ids), FETCH_MAX):
                found = await self._source.fetch(collection, ids[start : start + FETCH_MAX])
                current.update({(collection, id_): record for id_, record in found.items()})
        return current

    async def _deliver_in_steps(self, entries: Entries, current: Mapping[RecordKey, Record]) -> Outcomes:
        steps = sorted(by_change_set(entries), key=lambda step: str(step[0][ID]))
        outcomes: Outcomes = {}
        rejected: list[Attempted] = []
        for _ in range(_ROUNDS_MAX):
            rejected = []
            for step in steps:
                change_set = await as_committed(self._source, step, current)
                (outcome,) = await self._apply([change_set])
                ((change_set, outcome),) = await self._without_absent([(change_set, outcome)])
                if isinstance(outcome, Rejection):
                    rejected.append((change_set, outcome))
                else:
                    outcomes |= await self._mark([(change_set, outcome)])
            if len(rejected) in (0, len(steps)):
                break
            steps = [list(change_set.entries) for change_set, _rejection in rejected]
        return outcomes | await self._mark(rejected)

    async def _apply(self, change_sets: Sequence[ChangeSet]) -> list[DeliveryOutcome]:
        outcomes = []
        for change_set, applied in zip(change_sets, await self._applied(change_sets), strict=True):
            outcome = await judged(self._source, applied)
            if isinstance(outcome, Blocked) and outcome.is_slow:
                outcome = await self._compared(change_set, outcome)
                self._target.blockages.learn([change_set], [outcome])
            outcomes.append(outcome)
        return outcomes

    async def _without_absent(self, attempted: Sequence[Attempted]) -> list[Attempted]:
        """The same outcomes, except that rejected change sets arrive without the states of records that an operator let
        be absent in the target. A later version of such a record is no longer absent.
        """
        arrived: list[Attempted] = []
        for change_set, outcome in attempted:
            absent = await self._absent(change_set) if isinstance(outcome, Rejection) else set()
            if not absent:
                arrived.append((change_set, outcome))
                continue
            rest = without_absent(change_set, absent)
            (accepted,) = await self._apply([rest])
            arrived.append((rest, accepted))
        return arrived

    async def _absent(self, change_set: ChangeSet) -> set[RecordKey]:
        """The records of the change set whose newest entry says that they are absent in the target."""
        absent: set[RecordKey] = set()
        for put in change_set.puts:
            for entry in await self._backlog.newest_of(put.collection, put.record_id):
                if put.version <= entry[VERSION] and absence_of(entry) is not None:
                    absent.add((put.collection, put.record_id))
        return absent

    async def _applied(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        now = self._clock.now()
        arriving = [for_target(change_set, now) for change_set in change_sets]
        return await self._target.apply_patiently(arriving, timeout_ms=self._settings.relay_timeout_ms)

    async def _compared(self, change_set: ChangeSet, slow: Blocked) -> DeliveryOutcome:
        """What a change set that takes too long is worth: rejected if a canary of each of its tables passes meanwhile,
        otherwise it waits, alone or with its whole table.
        """
        for collection in sorted(tables_of(change_set)):
            canary = await self._canary(collection, besides=change_set)
            if canary is None:
                return slow
            (outcome,) = await self._applied([canary])
            if isinstance(outcome, Rejection | Blocked):
                return slow_table(collection, slow, store=self._target.name)
        return Rejection(slow.cause, sqlstate=slow.sqlstate)

    async def _canary(self, collection: str, *, besides: ChangeSet) -> ChangeSet | None:
        """Another record of this table that the target holds already, so that it is harmless to send it again; None
        if none is found.
        """
        touched = set(besides.touched())
        for record in await self._source.scan(collection, after=None, limit=len(touched) + CANARIES_MAX):
            if (collection, record[ID]) not in touched:
                for entry in await self._backlog.newest_of(collection, record[ID]):
                    if entry["syncStatus"] == SyncStatus.SYNCED and entry[VERSION] == record[VERSION]:
                        return ChangeSet((put_of(collection, record),))
        return None

    async def _mark(self, attempted: Sequence[Attempted]) -> Outcomes:
        now = self._clock.now()
        marks: list[DeliveryMark] = []
        for change_set, outcome in attempted:
            marks += [self._mark_of(entry, outcome, now) for entry in change_set.entries]
            if outcome is None:
                self._target.rate.note(len(change_set.entries))
        await self._write(marks)
        return {entry[ID]: outcome for change_set, outcome in attempted for entry in change_set.entries}

    def _mark_of(self, entry: Record, outcome: DeliveryOutcome, now: datetime) -> DeliveryMark:
        match outcome:
            case None:
                return self._marks.synced(entry, now)
            case Rejection():
                return self._marks.rejected(entry, outcome, now)
            case Blocked(record_id=None) | Blocked(is_slow=True):
                return self._marks.blocked(entry, outcome, now, pause_seconds=BLOCKED_PAUSE_SECONDS)
            case Blocked():
                pause = self._target.blockages.seconds_until_retry(outcome)
                return self._marks.blocked(entry, outcome, now, pause_seconds=pause)

    async def _park(self, lost: Entries) -> Outcomes:
        now = self._clock.now()
        reason = f"The record is missing in {self._source.name}."
        await self._write([self._marks.parked(entry, reason, now) for entry in lost])
        return {entry[ID]: Rejection(reason) for entry in lost}

    async def _write(self, marks: Sequence[DeliveryMark]) -> None:
        limit = self._settings.mark_batch_max
        for start in range(0, len(marks), limit):
            await self._source.mark(marks[start : start + limit])


def _latest(group: Entries, current: Mapping[RecordKey, Record]) -> ChangeSet:
    """The latest state of each record of the group, with all its entries."""
    keys = dict.fromkeys(key_of(entry) for entry in group)
    return ChangeSet(tuple(put_of(key[0], current[key]) for key in keys), tuple(group))
