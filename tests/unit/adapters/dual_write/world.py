"""Two stores, and processes that come and go over them."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.mirrored_store import MirroredStore
from adapters.dual_write.relay import Relay
from adapters.dual_write.settings import DualWriteSettings
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, Record, is_tombstone, json_value, tombstone
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS, LABELS, SYNC_FIELDS
from domain.audit import Action, AuditEntry, SyncStatus, changes_between
from domain.errors import Conflict
from domain.name import name_key
from tests.unit.adapters.dual_write.virtual_time import LoopClock
from tests.unit.builders import ANNA, NOON, numbered_id
from tests.unit.builders import label as label_entity
from tests.unit.faults import Dislike, FaultyStore, Gate, Mortality, Weather, likes_everything, open_gate
from tests.unit.memory_store import MemoryRecordStore

LABEL = LABELS.collection
QUICK = DualWriteSettings(mark_interval_ms=10)
PAUSED = replace(QUICK, enabled=False)
LONG_ENOUGH = 240.0
"""Seconds after which every attempt of the default settings has been made."""

_numbers = itertools.count(1)


@dataclass
class Stores:
    """What survives every crash. `acknowledged` holds each (collection, id, version) a writer got an answer for."""

    source: MemoryRecordStore = field(default_factory=lambda: MemoryRecordStore("source"))
    target: MemoryRecordStore = field(default_factory=lambda: MemoryRecordStore("target"))
    acknowledged: set[tuple[str, str, int]] = field(default_factory=set)


class Process:
    """One process of the service: a mirrored store and a relay, which die together."""

    def __init__(
        self,
        stores: Stores,
        *,
        settings: DualWriteSettings = QUICK,
        source_gate: Gate = open_gate,
        target_gate: Gate = open_gate,
        dislike: Dislike = likes_everything,
    ) -> None:
        self.stores = stores
        self._source_life = Mortality(source_gate)
        self._target_life = Mortality(target_gate)
        self.source = FaultyStore(stores.source, self._source_life)
        self.target_store = FaultyStore(stores.target, self._target_life, dislike=dislike)
        clock = LoopClock()
        self.target = MirrorTarget(self.target_store, settings=settings)
        self.relay = Relay(
            self.source, self.target, settings=settings, clock=clock, holder=f"process {next(_numbers)}"
        )
        self.store = MirroredStore(
            self.source,
            self.target,
            settings=settings,
            clock=clock,
            wake_relay=self.relay.wake,
            note_request=self.relay.pace.note_request,
        )

    def kill(self) -> None:
        """As by SIGKILL: from this instant it has no effect on anything."""
        self._source_life.kill()
        self._target_life.kill()

    async def commit(self, change_set: ChangeSet) -> None:
        """Commits through the mirror and remembers what was acknowledged."""
        await self.store.commit(change_set)
        self.stores.acknowledged |= {(put.collection, put.record_id, put.version) for put in change_set.puts}

    async def create(self, *numbers: int, **fields: Any) -> None:
        """New labels, committed together."""
        await self.commit(change_set_of(*(creation(number, **fields) for number in numbers)))

    async def edit(self, *numbers: int, **fields: Any) -> None:
        """Reads the labels and commits their next versions together. Raises VersionConflict when another was first."""
        ids = [numbered_id(number) for number in numbers]
        found = await self.store.fetch(LABEL, ids)
        if any(is_tombstone(record) for record in found.values()):
            raise Conflict("It was removed for good.")
        await self.commit(change_set_of(*(edition(found[id_], **fields) for id_ in ids)))


Change = tuple[Record | None, Record]
"""A label before and after."""


def creation(number: int, **fields: Any) -> Change:
    """A new label."""
    record = LABELS.mapping.to_record(label_entity(number, name=f"Label {number}"))
    return None, _with_key({**record, **fields})


def edition(before: Record, **fields: Any) -> Change:
    """The next version of a label."""
    version = before[VERSION] + 1
    return before, _with_key({**before, **fields, VERSION: version})


def _with_key(label: Record) -> Record:
    return {**label, "nameKey": name_key(label["name"])}


def erasure(before: Record) -> Change:
    """A label removed for good."""
    return before, tombstone(before[ID], before[VERSION] + 1)


def change_set_of(*changes: Change) -> ChangeSet:
    """One change set with an entry for each change, in the order of the change sets made so far."""
    ids = [f"{next(_numbers):024x}" for _ in changes]
    puts = tuple(Put(LABEL, after, 0 if before is None else before[VERSION]) for before, after in changes)
    entries = tuple(_entry(id_, ids[0], *change) for id_, change in zip(ids, changes, strict=True))
    return ChangeSet(puts, entries)


def _entry(id_: str, change_set_id: str, before: Record | None, after: Record) -> Record:
    changed = changes_between(before, after)
    changes = {
        name: {side: json_value(value) for side, value in sides.items()} for name, sides in changed.items()
    }
    entry = AuditEntry(
        id=id_,
        collection=LABEL,
        entity_id=after[ID],
        version=after[VERSION],
        action=Action.CREATED if before is None else Action.UPDATED,
        actor_id=ANNA,
        at=after.get("updatedAt", NOON),
        request_id="request-1",
        change_set_id=change_set_id,
        changes=changes,
    )
    return AUDIT_LOGS.mapping.to_record(entry)


async def deliver_everything(process: Process) -> None:
    """A fresh process drains what others left, until nothing is due."""
    await process.store.open()
    await process.relay.drain()
    await process.relay.revisit_parked()
    await process.store.close()


async def recover(stores: Stores) -> None:
    """The next start of the service, without faults, once everything is due."""
    await asyncio.sleep(QUICK.retry_delay_seconds_max)
    await deliver_everything(Process(stores))


async def everything(store: RecordStore, collection: str) -> list[Record]:
    """Each record of a collection, tombstones included, without what a store says of its own copy."""
    records = await store.scan(collection, after=None, limit=5_000)
    return [{name: value for name, value in record.items() if name not in SYNC_FIELDS} for record in records]


async def statuses(stores: Stores) -> list[str]:
    """The sync status of each entry of the source, oldest first."""
    entries = await stores.source.scan(AUDIT_LOGS.collection, after=None, limit=5_000)
    return [entry["syncStatus"] for entry in entries]


async def assert_promises(stores: Stores) -> None:
    """Both stores equal, nothing undelivered, one entry for each version, no gaps, nothing acknowledged missing."""
    for collection in (*(spec.collection for spec in ENTITY_SPECS), AUDIT_LOGS.collection):
        assert await everything(stores.source, collection) == await everything(stores.target, collection)
    entries = await stores.source.scan(AUDIT_LOGS.collection, after=None, limit=5_000)
    assert {entry["syncStatus"] for entry in entries} <= {SyncStatus.SYNCED.value}
    versions: dict[tuple[str, str], list[int]] = {}
    for entry in entries:
        versions.setdefault((entry["collection"], entry["entityId"]), []).append(entry[VERSION])
    for (collection, id_), numbers in versions.items():
        record = (await stores.source.fetch(collection, (id_,)))[id_]
        assert sorted(numbers) == list(range(1, record[VERSION] + 1))
    present = {
        (collection, id_, version) for (collection, id_), numbers in versions.items() for version in numbers
    }
    assert stores.acknowledged <= present


async def end(tasks: Sequence[asyncio.Task[Any]] = ()) -> None:
    """Clears away what dead processes left hanging in this loop."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in (*tasks, *others):
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def too_long(change_set: ChangeSet) -> str | None:
    """A target with a column of 20 characters."""
    names = [put.record.get("name") or "" for put in change_set.puts]
    return "name: longer than 20 characters" if any(len(name) > 20 for name in names) else None


async def entries_of(stores: Stores, *numbers: int) -> list[Record]:
    """The source's entries about these labels, oldest first."""
    ids = {numbered_id(number) for number in numbers}
    entries = await stores.source.scan(AUDIT_LOGS.collection, after=None, limit=5_000)
    return [entry for entry in entries if entry["entityId"] in ids]


async def label_in(store: MemoryRecordStore, number: int) -> Record:
    id_ = numbered_id(number)
    return (await store.fetch(LABEL, (id_,)))[id_]


async def left_pending(stores: Stores, *change_sets: ChangeSet) -> None:
    """As a process leaves them that died before the target was asked."""
    process = Process(stores, settings=PAUSED)
    await process.store.open()
    for change_set in change_sets:
        await process.commit(change_set)
    await process.store.close()


async def started(
    stores: Stores,
    weather: Weather | None = None,
    *,
    settings: DualWriteSettings = QUICK,
    source_weather: Weather | None = None,
) -> Process:
    """A process whose store is open."""
    process = Process(
        stores,
        settings=settings,
        target_gate=weather or Weather(),
        source_gate=source_weather or Weather(),
    )
    await process.store.open()
    return process


async def relaying(
    stores: Stores, weather: Weather | None = None, *, settings: DualWriteSettings = QUICK, **faults: Any
) -> tuple[Process, asyncio.Task[None]]:
    """A process whose relay runs, and the task that runs it."""
    process = Process(stores, settings=settings, target_gate=weather or Weather(), **faults)
    await process.store.open()
    return process, asyncio.ensure_future(process.relay.run())


async def stopped(process: Process, running: asyncio.Task[None]) -> None:
    """Ends the relay, then the process."""
    process.relay.stop()
    await running
    await process.store.close()
