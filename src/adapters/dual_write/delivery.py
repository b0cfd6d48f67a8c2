"""Carries entries and the current state of their records to the target, and notes in the source what became of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from adapters.dual_write.history import RecordKey, as_committed, key_of, put_of
from adapters.dual_write.intents import Verdicts, for_target
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.settings import DualWriteSettings
from adapters.records.change_set import ChangeSet, Refusal, Settlement
from adapters.records.record import ID, Record
from adapters.records.record_store import FETCH_MAX, RecordStore
from application.ports.clock import Clock
from domain.audit import SyncStatus

# Each round may free a unique value for the next; longer chains go on with the next attempt.
_ROUNDS_MAX = 3

Entries = list[Record]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """How many entries reached the target, were refused and will be tried again, and were parked."""

    synced: int = 0
    failed: int = 0
    parked: int = 0

    def __add__(self, other: "Delivered") -> "Delivered":
        return Delivered(
            synced=self.synced + other.synced,
            failed=self.failed + other.failed,
            parked=self.parked + other.parked,
        )


@dataclass(frozen=True, slots=True)
class _Parcel:
    """Entries that go together, and what carries them."""

    entries: Entries
    change_set: ChangeSet


class Delivery:
    """Delivers pages of entries; safe to repeat, and safe beside another one at the same work."""

    def __init__(
        self, source: RecordStore, target: MirrorTarget, *, settings: DualWriteSettings, clock: Clock
    ) -> None:
        self._source = source
        self._target = target
        self._settings = settings
        self._clock = clock
        self._verdicts = Verdicts(settings)

    async def deliver(self, entries: Sequence[Record]) -> Delivered:
        """Applies what was committed together as one change set, each record in its current state.

        What the target refuses is tried again change set by change set, as it was committed and in that order; what is
        still refused counts an attempt. Raises StoreUnavailable for an outage of either store, which counts none; what
        had been confirmed before it is noted.
        """
        current = await self._load(entries)
        lost = [entry for entry in entries if key_of(entry) not in current]
        told = await self._park_lost(lost)
        refused: list[Entries] = []
        groups = _connected(entry for entry in entries if key_of(entry) in current)
        parcels = (_Parcel(group, _compacted(group, current)) for group in groups)
        for chunk in self._chunks(parcels):
            told += await self._deliver_together(chunk, refused)
        return told + await self._deliver_in_steps(refused, current)

    async def _load(self, entries: Sequence[Record]) -> dict[RecordKey, Record]:
        wanted: dict[str, set[str]] = {}
        for entry in entries:
            wanted.setdefault(entry["collection"], set()).add(entry["entityId"])
        current: dict[RecordKey, Record] = {}
        for collection, ids in wanted.items():
            ordered = sorted(ids)
            for start in range(0, len(ordered), FETCH_MAX):
                found = await self._source.fetch(collection, ordered[start : start + FETCH_MAX])
                current.update({(collection, id_): record for id_, record in found.items()})
        return current

    def _chunks(self, parcels: Iterator[_Parcel]) -> Iterator[list[_Parcel]]:
        """In parts of a bounded number of entries and bytes; what is larger by itself is a part by itself."""
        chunk: list[_Parcel] = []
        number = size = 0
        for parcel in parcels:
            number += len(parcel.entries)
            size += (parcel_bytes := parcel.change_set.rough_bytes)
            if chunk and (number > self._settings.batch_records_max or size > self._settings.batch_bytes_max):
                yield chunk
                chunk, number, size = [], len(parcel.entries), parcel_bytes
            chunk.append(parcel)
        if chunk:
            yield chunk

    async def _deliver_together(self, chunk: list[_Parcel], refused: list[Entries]) -> Delivered:
        """Hands over all at once, and adds to `refused` what the target did not take."""
        outcomes = await self._apply([parcel.change_set for parcel in chunk])
        pairs = list(zip(chunk, outcomes, strict=True))
        refused += [parcel.entries for parcel, refusal in pairs if refusal is not None]
        return await self._note_synced(
            [entry for parcel, refusal in pairs if refusal is None for entry in parcel.entries]
        )

    async def _deliver_in_steps(
        self, refused: list[Entries], current: Mapping[RecordKey, Record]
    ) -> Delivered:
        told = Delivered()
        steps = [step for group in refused for step in _by_change_set(group)]
        steps.sort(key=lambda step: str(step[0][ID]))
        still: list[tuple[Entries, Refusal]] = []
        for _ in range(_ROUNDS_MAX):
            still = []
            for step in steps:
                change_set = await as_committed(self._source, step, current)
                refusal = (await self._apply([change_set]))[0]
                if refusal is None:
                    told += await self._note_synced(step)
                else:
                    still.append((step, refusal))
            is_stuck = len(still) == len(steps)
            steps = [step for step, _refusal in still]
            if is_stuck or not steps:
                break
        return told + await self._note_refused(still)

    async def _apply(self, change_sets: Sequence[ChangeSet]) -> list[Refusal | None]:
        arriving = [for_target(change_set, self._clock.now()) for change_set in change_sets]
        return await self._target.apply_patiently(arriving, timeout_ms=self._settings.relay_timeout_ms)

    async def _note_synced(self, entries: Entries) -> Delivered:
        now = self._clock.now()
        await self._settle([self._verdicts.synced(entry, now) for entry in entries])
        return Delivered(synced=len(entries))

    async def _note_refused(self, refused: list[tuple[Entries, Refusal]]) -> Delivered:
        now = self._clock.now()
        verdicts = [
            self._verdicts.refused(entry, refusal, now) for step, refusal in refused for entry in step
        ]
        await self._settle(verdicts)
        parked = sum(verdict.status is SyncStatus.PARKED for verdict in verdicts)
        return Delivered(failed=len(verdicts) - parked, parked=parked)

    async def _park_lost(self, lost: Entries) -> Delivered:
        now = self._clock.now()
        reason = f"The record is missing in {self._source.name}."
        await self._settle([self._verdicts.parked(entry, reason, now) for entry in lost])
        return Delivered(parked=len(lost))

    async def _settle(self, settlements: list[Settlement]) -> None:
        limit = self._settings.settle_batch_max
        for start in range(0, len(settlements), limit):
            await self._source.settle(settlements[start : start + limit])


def _compacted(group: Entries, current: Mapping[RecordKey, Record]) -> ChangeSet:
    """The latest state of each record of the group, with all its entries."""
    keys = dict.fromkeys(key_of(entry) for entry in group)
    return ChangeSet(tuple(put_of(key[0], current[key]) for key in keys), tuple(group))


def _by_change_set(group: Entries) -> list[Entries]:
    sets: dict[str, Entries] = {}
    for entry in group:
        sets.setdefault(entry["changeSetId"], []).append(entry)
    return list(sets.values())


def _connected(entries: Iterator[Record]) -> list[Entries]:
    """Groups that share no record and no change set with each other, oldest first."""
    groups: dict[int, Entries] = {}
    home: dict[RecordKey, int] = {}
    for number, entry in enumerate(entries):
        keys = (key_of(entry), ("change set", entry["changeSetId"]))
        joined = sorted({home[key] for key in keys if key in home}) or [number]
        first = joined[0]
        for other in joined[1:]:
            moved = groups.pop(other)
            groups[first] += moved
            for member in moved:
                home[key_of(member)] = home["change set", member["changeSetId"]] = first
        groups.setdefault(first, []).append(entry)
        for key in keys:
            home[key] = first
    return [sorted(group, key=lambda entry: str(entry[ID])) for group in groups.values()]
