"""Delivers entries and the current states of their records to the target, and marks the outcomes in the source."""

from collections.abc import Mapping, Sequence

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
from adapters.records.change_set import ChangeSet, DeliveryMark, Rejection
from adapters.records.record import ID, Record
from adapters.records.record_store import FETCH_MAX, RecordStore
from application.ports.clock import Clock

# Each round may free a unique value for the next one; longer chains continue with the next attempt.
_ROUNDS_MAX = 3


class Delivery:
    """Delivers pages of entries; safe to repeat, and to run concurrently."""

    def __init__(
        self, source: RecordStore, target: MirrorTarget, *, settings: DualWriteSettings, clock: Clock
    ) -> None:
        self._source = source
        self._target = target
        self._settings = settings
        self._clock = clock
        self._marks = DeliveryMarks(settings)

    async def deliver(self, entries: Sequence[Record]) -> None:
        """Applies connected entries as one change set, with each record in its current state.

        If the target rejects them, the change sets are applied one by one, as committed and in that order; a change set
        that is still rejected counts an attempt. Raises StoreUnavailable for an outage of either store, which counts no
        attempt; entries that were confirmed before are marked.
        """
        current = await self._load(entries)
        await self._park([entry for entry in entries if key_of(entry) not in current])
        groups = connected(entry for entry in entries if key_of(entry) in current)
        rejected: list[Record] = []
        for batch in bounded_batches((_latest(group, current) for group in groups), self._settings):
            outcomes = list(zip(batch, await self._apply(batch), strict=True))
            await self._mark_synced([change_set for change_set, rejection in outcomes if rejection is None])
            rejected += [
                entry for change_set, rejection in outcomes if rejection for entry in change_set.entries
            ]
        await self._deliver_in_steps(rejected, current)

    async def _load(self, entries: Sequence[Record]) -> dict[RecordKey, Record]:
        current: dict[RecordKey, Record] = {}
        for collection, ids in ids_by_collection(entries).items():
            for start in range(0, len(ids), FETCH_MAX):
                found = await self._source.fetch(collection, ids[start : start + FETCH_MAX])
                current.update({(collection, id_): record for id_, record in found.items()})
        return current

    async def _deliver_in_steps(self, entries: Entries, current: Mapping[RecordKey, Record]) -> None:
        steps = sorted(by_change_set(entries), key=lambda step: str(step[0][ID]))
        rejections: list[tuple[Entries, Rejection]] = []
        for _ in range(_ROUNDS_MAX):
            rejections = []
            for step in steps:
                change_set = await as_committed(self._source, step, current)
                (rejection,) = await self._apply([change_set])
                if rejection is None:
                    await self._mark_synced([change_set])
                else:
                    rejections.append((step, rejection))
            if len(rejections) in (0, len(steps)):
                break
            steps = [step for step, _rejection in rejections]
        now = self._clock.now()
        await self._write(
            [self._marks.rejected(entry, rejection, now) for step, rejection in rejections for entry in step]
        )

    async def _apply(self, change_sets: Sequence[ChangeSet]) -> list[Rejection | None]:
        now = self._clock.now()
        arriving = [for_target(change_set, now) for change_set in change_sets]
        return await self._target.apply_patiently(arriving, timeout_ms=self._settings.relay_timeout_ms)

    async def _mark_synced(self, change_sets: Sequence[ChangeSet]) -> None:
        now = self._clock.now()
        entries = [entry for change_set in change_sets for entry in change_set.entries]
        await self._write([self._marks.synced(entry, now) for entry in entries])
        self._target.rate.note(len(entries))

    async def _park(self, lost: Entries) -> None:
        now = self._clock.now()
        reason = f"The record is missing in {self._source.name}."
        await self._write([self._marks.parked(entry, reason, now) for entry in lost])

    async def _write(self, marks: Sequence[DeliveryMark]) -> None:
        limit = self._settings.mark_batch_max
        for start in range(0, len(marks), limit):
            await self._source.mark(marks[start : start + limit])


def _latest(group: Entries, current: Mapping[RecordKey, Record]) -> ChangeSet:
    """The latest state of each record of the group, with all its entries."""
    keys = dict.fromkeys(key_of(entry) for entry in group)
    return ChangeSet(tuple(put_of(key[0], current[key]) for key in keys), tuple(group))
