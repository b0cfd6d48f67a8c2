"""Two stores with a backfill between them, and a mirror of the plainest kind."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from adapters.migration.backfill import COLLECTIONS, Backfill
from adapters.migration.checkpoints import Claim, Destination
from adapters.migration.range_claims import RangeClaims
from adapters.migration.range_loader import BackfillSettings, BackfillTarget
from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import ChangeSet, DeliveryMark
from adapters.records.criteria import AnyOf, IsNull, OneOf, Order, Question
from adapters.records.lanes import LanedStore, ProcessIdentity
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, SYNC_FIELDS
from application.ports.migration import Progress
from domain.audit import SyncStatus
from tests.unit.builders import NOON
from tests.unit.contracts.builders import change_set, entry, label, project, put, same, task, timeline, user
from tests.unit.contracts.lanes import admitted

HERE = Destination("an installation", 1, 1)


@asynccontextmanager
async def two_stores() -> AsyncIterator[tuple[MontyRecordStore, MontyRecordStore]]:
    """Two empty stores in memory, each with a lane of this process."""
    source, target = MontyRecordStore(None), MontyRecordStore(None)
    for store in (source, target):
        await store.open()
        await admitted(store)
    yield source, target
    for store in (source, target):
        await store.close()


def backfill(source: RecordStore, target: BackfillTarget, **settings: Any) -> Backfill:
    """A run of a backfill to a target of this test."""
    destination = settings.pop("destination", HERE)
    return Backfill(
        source,
        target,
        destination=destination,
        claims=claims_of_new_run(source),
        settings=BackfillSettings(**settings),
    )


def claims_of_new_run(source: RecordStore) -> RangeClaims:
    """The claims of a process that nobody helps."""
    mine = Claim(ProcessIdentity("alone", "here", "", 1), secrets.token_hex(8))
    return RangeClaims(cast("LanedStore", source), mine, lambda _: False)


def ignore(progress: Progress) -> None:
    """Takes progress, for tests of something else."""


async def fill(source: RecordStore, *, tasks: int) -> None:
    """Commits records of several collections with entries, as before there was a mirror."""
    kinds = {"users": user, "projects": project, "labels": label, "timelines": timeline}
    for collection, kind in kinds.items():
        for number in range(1, 6):
            await commit(source, put(collection, kind(number)))
    for number in range(1, tasks + 1):
        await commit(source, put("tasks", task(number)))


async def commit(source: RecordStore, *puts: Any, **marks: Any) -> ChangeSet:
    """Commits puts with entries; without a mirror these have no sync status."""
    marks = marks or {"syncStatus": None}
    changes = change_set(*puts, entries=[entry(each, **marks) for each in puts])
    await source.commit(changes)
    return changes


async def deliver_rest(source: LanedStore, target: LanedStore) -> int:
    """What the relay does at the end: carries every undelivered entry with its record; returns how many."""
    undelivered = AnyOf((IsNull("syncStatus"), OneOf("syncStatus", ("PENDING", "FAILED"))))
    entries = await source.find(
        Question(collection=AUDIT_LOGS.collection, where=undelivered, order=Order(ID), limit=5_000)
    )
    for one in entries:
        record = (await source.fetch(one["collection"], [one["entityId"]]))[one["entityId"]]
        applied = await target.apply_by_lane([change_set(put(one["collection"], record), entries=[one])])
        assert applied.stamp is not None
        mark = DeliveryMark(
            entry_id=one[ID],
            status=SyncStatus.SYNCED,
            at=NOON,
            lane=applied.stamp.lane,
            number=applied.stamp.number,
        )
        await source.mark([mark])
    return len(entries)


async def contents(store: RecordStore) -> dict[str, list[Record]]:
    """Everything that both stores should hold alike, without nulls."""
    found: dict[str, list[Record]] = {}
    for collection in COLLECTIONS:
        records: list[Record] = []
        while page := await store.scan(collection, after=records[-1][ID] if records else None, limit=1_000):
            records += page
        found[collection] = [_compared(record) for record in records]
    return found


def _compared(record: Record) -> Record:
    return {name: value for name, value in record.items() if value is not None and name not in SYNC_FIELDS}


async def are_equal(source: RecordStore, target: RecordStore) -> bool:
    """Whether both hold the same, field by field."""
    return same(await contents(source), await contents(target))


def versions(records: Sequence[Record]) -> list[int]:
    """The versions of records, in order."""
    return [record[VERSION] for record in records]
