"""Shows that a verification finds what it must: records corrupted on purpose, in a scratch copy."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Final

from adapters.migration.comparing import ReadableStore
from adapters.migration.in_flight import Patience
from adapters.migration.verification import Verifier
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, Record, is_tombstone
from adapters.records.record_store import RecordStore
from adapters.records.specs import ENTITY_SPECS, TASKS
from application.ports.clock import Clock
from application.ports.migration import DIFFERENCES_MAX, DifferenceKind
from domain.entity import ID_LENGTH, Stamp
from domain.errors import AlreadyExists, Invalid, RuleBroken
from domain.task import Task

COPIED_MAX: Final = 200
"""Records of each collection of the source in the scratch copy."""
_PATIENCE = Patience(seconds_max=0.0)
_MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)
_MADE_BY = "0" * ID_LENGTH
_FIRST_MADE = 1 << 95
"""Ids of made records begin with 8: no clock gives such an id before the year 2038."""
_KINDS = (
    DifferenceKind.CHANGED,
    DifferenceKind.MISSING,
    DifferenceKind.EXTRA,
    DifferenceKind.AHEAD,
    DifferenceKind.BEHIND,
)

MakeScratch = Callable[[], ReadableStore]
"""Makes an empty store in memory, not opened yet."""


async def self_test(source: RecordStore, make_scratch: MakeScratch, count: int, *, clock: Clock) -> int:
    """Corrupts `count` records (1 to DIFFERENCES_MAX) in a scratch copy; returns how many of them are found.

    Fields are changed, records removed, added, and given other versions, each in turn. A record only counts as found
    under its own name and kind, and each that is named wrongly counts as one that was not found. The copy holds records
    of the source, filled up by made ones. Raises Invalid for another count, and StoreUnavailable.
    """
    if not 1 <= count <= DIFFERENCES_MAX:
        raise Invalid(f"The number of corrupted records is from 1 to {DIFFERENCES_MAX}.")
    copied = await _records_of(source)
    copied += [("tasks", _made(number)) for number in range(max(count, 2 * count - len(copied)))]
    step, kinds = len(copied) // count, cycle(_KINDS)
    async with _opened(make_scratch()) as left, _opened(make_scratch()) as right:
        expected: set[tuple[str, str, DifferenceKind]] = set()
        for number, (collection, record) in enumerate(copied):
            is_due = len(expected) < count and number >= len(expected) * step
            kind = next(kinds) if is_due else None
            original, copy = _corrupted(record, kind, len(expected))
            is_stored = await _store(left, collection, original) and await _store(right, collection, copy)
            if kind is not None and is_stored:
                expected.add((collection, record[ID], kind))
        verifier = Verifier(left, right, clock=clock, patience=_PATIENCE)
        found = await verifier.verify(lambda _: None, incarnation=0, epoch=0)
    named = {(one.collection, one.id, one.kind) for one in found.differences}
    return max(0, len(expected & named) - len(named - expected))


async def _records_of(source: RecordStore) -> list[tuple[str, Record]]:
    found = []
    for spec in ENTITY_SPECS:
        records = await source.scan(spec.collection, after=None, limit=COPIED_MAX)
        fitting = [one for one in records if spec.schema.fits(one) and not is_tombstone(one)]
        found += [(spec.collection, one) for one in fitting]
    return found


def _made(number: int) -> Record:
    task_id = f"{_FIRST_MADE + number:0{ID_LENGTH}x}"
    task = Task.create(task_id, Stamp(_MADE_AT, _MADE_BY), {"title": f"Record {number} of a self-test"})
    return TASKS.mapping.to_record(task)


def _corrupted(
    record: Record, kind: DifferenceKind | None, number: int
) -> tuple[Record | None, Record | None]:
    """The record as the source and as the target of the copy hold it."""
    above = {**record, VERSION: record[VERSION] + 1}
    match kind:
        case DifferenceKind.CHANGED:
            return record, _changed(record, number)
        case DifferenceKind.MISSING:
            return record, None
        case DifferenceKind.EXTRA:
            return None, record
        case DifferenceKind.AHEAD:
            return record, above
        case DifferenceKind.BEHIND:
            return above, record
    return record, record


def _changed(record: Record, number: int) -> Record:
    """One field changed: by a millisecond, by an unknown field, by one letter, or in its kind of emptiness."""
    changes = (
        {"updatedAt": record["updatedAt"] + timedelta(milliseconds=1)},
        {"fieldOfASelfTest": False},
        {"updatedBy": f"{record['updatedBy'][:-1]}{'1' if record['updatedBy'][-1:] == '0' else '0'}"},
        {"deletedBy": "" if record.get("deletedBy") is None else None},
    )
    return {**record, **changes[number // len(_KINDS) % len(changes)]}


async def _store(store: RecordStore, collection: str, record: Record | None) -> bool:
    """Whether the copy takes the record. A source from elsewhere may hold some that it does not."""
    if record is None:
        return True
    try:
        await store.commit(ChangeSet((Put(collection, record, 0),)))
    except (AlreadyExists, RuleBroken):
        return False
    return True


@asynccontextmanager
async def _opened(store: ReadableStore) -> AsyncIterator[ReadableStore]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()
