"""Records of every collection, made from the domain's own entities, and the change sets that carry them."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.records.change_set import ApplyOutcome, ChangeSet, Put, Rejection, Superseded
from adapters.records.criteria import EVERYTHING, Criterion, Order, Question
from adapters.records.record import ID, VERSION, Record, tombstone
from adapters.records.record_store import RecordStore
from adapters.records.specs import (
    AUDIT_LOGS,
    CONTROL,
    LABELS,
    PROJECTS,
    TASKS,
    TIMELINES,
    USERS,
    ControlRecord,
)
from domain.audit import Action, AuditEntry, SyncStatus
from domain.entity import Stamp
from domain.label import Label
from domain.name import name_key
from domain.project import Project
from domain.task import Task
from domain.timeline import Dependency, Plan, Timeline, TimelineItem
from domain.user import User

START = datetime(2025, 3, 1, 12, 30, 15, 123_000, tzinfo=UTC)


def numbered_id(number: int) -> str:
    """An id that sorts like its number."""
    return f"{number:024x}"


OWNER = numbered_id(0xAA)
STAMP = Stamp(START, OWNER)


def minutes(number: float) -> datetime:
    """An instant this many minutes after START."""
    return START + timedelta(minutes=number)


def task(number: int, *, version: int = 1, **fields: Any) -> Record:
    """A task's record; `fields` replace or add by record name."""
    entity = Task.create(numbered_id(number), STAMP, {"title": f"Task {number}"})
    return {**TASKS.mapping.to_record(entity), VERSION: version, **fields}


def label(number: int, *, version: int = 1, **fields: Any) -> Record:
    """A label's record."""
    name = fields.setdefault("name", f"Label {number}")
    entity = Label.create(numbered_id(number), STAMP, {"name": f"Label {number}"})
    return {**LABELS.mapping.to_record(entity), VERSION: version, "nameKey": name_key(name), **fields}


def project(number: int, *, version: int = 1, **fields: Any) -> Record:
    """A project's record."""
    entity = Project.create(numbered_id(number), STAMP, owner_id=OWNER, changes={"name": f"Project {number}"})
    return {**PROJECTS.mapping.to_record(entity), VERSION: version, **fields}


def user(number: int, *, version: int = 1, **fields: Any) -> Record:
    """A user's record."""
    entity = User.create(
        numbered_id(number),
        STAMP,
        email=f"user{number}@example.org",
        name=f"User {number}",
        grants=("admin",),
    )
    return {**USERS.mapping.to_record(entity), VERSION: version, **fields}


def timeline(number: int, *, version: int = 1, **fields: Any) -> Record:
    """A timeline's record with two items, one dependency and a calendar."""
    items = (
        TimelineItem(id="a", start=START.date(), duration=3),
        TimelineItem(id="b", title="Übergabe", task_id=numbered_id(number)),
    )
    plan = Plan(items=items, dependencies=(Dependency(from_="a", to="b", lag=-2),), message="First plan")
    entity = Timeline.create(numbered_id(number), STAMP, plan)
    return {**TIMELINES.mapping.to_record(entity), VERSION: version, **fields}


def control(name: str, value: dict[str, Any], *, version: int = 1) -> Record:
    """A control record: kept by the store about itself, without entries."""
    return CONTROL.mapping.to_record(ControlRecord(id=name, version=version, value=value))


def put(collection: str, record: Record, *, expected: int | None = None) -> Put:
    """The record as the next version of itself, or over `expected`."""
    return Put(collection, record, record[VERSION] - 1 if expected is None else expected)


def erasure(collection: str, number: int, *, version: int) -> Put:
    """Removal for good as the next version."""
    return Put(collection, tombstone(numbered_id(number), version), version - 1)


def entry_id(collection: str, record_id: str, version: int) -> str:
    """The id of the entry that `entry` gives one version of one record."""
    return hashlib.sha256(f"{collection}/{record_id}/{version}".encode()).hexdigest()[:24]


def entry(change: Put, **fields: Any) -> Record:
    """The audit entry of a put, waiting to be mirrored; `fields` replace by record name."""
    made = AuditEntry(
        id=entry_id(change.collection, change.record_id, change.version),
        collection=change.collection,
        entity_id=change.record_id,
        version=change.version,
        action=Action.CREATED if change.version == 1 else Action.UPDATED,
        actor_id=OWNER,
        at=minutes(change.version),
        request_id="request-1",
        change_set_id=entry_id(change.collection, change.record_id, change.version),
        changes={"title": {"before": None, "after": "Task"}},
        sync_status=SyncStatus.PENDING,
    )
    return {**AUDIT_LOGS.mapping.to_record(made), **fields}


def change_set(*puts: Put, entries: Sequence[Record] | None = None) -> ChangeSet:
    """The puts with one proper entry each, or with these entries."""
    return ChangeSet(puts, tuple(entry(change) for change in puts) if entries is None else tuple(entries))


async def commit_all(store: RecordStore, collection: str, *records: Record) -> None:
    """Commits records that are new, as one change set."""
    await store.commit(change_set(*(put(collection, record, expected=0) for record in records)))


async def fetched(store: RecordStore, collection: str, number: int) -> Record | None:
    """The stored record with this number."""
    record_id = numbered_id(number)
    return (await store.fetch(collection, [record_id])).get(record_id)


async def fetched_entry(store: RecordStore, change: Put) -> Record | None:
    """The stored entry that `entry` makes for a put."""
    wanted = entry_id(change.collection, change.record_id, change.version)
    return (await store.fetch(AUDIT_LOGS.collection, [wanted])).get(wanted)


async def found_numbers(
    store: RecordStore, collection: str, where: Criterion = EVERYTHING, *, order: Order | None = None
) -> list[int]:
    """The numbers of the matching records in order, checked against the count."""
    question = Question(collection=collection, where=where, order=order or Order(ID), limit=1_000)
    records = await store.find(question)
    assert await store.count(collection, where) == len(records)
    return [int(record[ID], 16) for record in records]


async def everything(store: RecordStore, *collections: str) -> dict[str, list[Record]]:
    """All that the store holds in these collections, to see whether something changed."""
    return {name: await store.scan(name, after=None, limit=5_000) for name in collections}


def without_nulls(record: Record | None) -> Record:
    """The fields that are set. A spec's own field that is missing may come back as null; nothing else may."""
    assert record is not None
    return {name: value for name, value in record.items() if value is not None}


def arrived(outcomes: Sequence[ApplyOutcome]) -> bool:
    """Whether the store holds every change set, or a later state of its records."""
    return all(outcome is None or isinstance(outcome, Superseded) for outcome in outcomes)


def superseded_by(version: int, collection: str, number: int) -> Superseded:
    """The outcome of a change set that found this version of one record."""
    return Superseded((((collection, numbered_id(number)), version),))


def same(left: object, right: object) -> bool:
    """Equality that keeps booleans apart from numbers, at every depth. Numbers compare by value."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    both_nan = left != left and right != right  # noqa: PLR0124 - only a NaN differs from itself
    return both_nan or left == right


def reason_of(outcome: ApplyOutcome) -> str:
    """The reason of a rejection; any other outcome fails the test."""
    assert isinstance(outcome, Rejection), outcome
    return outcome.reason
