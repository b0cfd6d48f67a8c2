"""What a restored source takes back from its target: group by group, each in one transaction of the source."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from adapters.migration.divergence import Divergence, Group, RecordKey, divergence_of
from adapters.migration.rebase import DISPLAY_ID, Sides, by_key, taken
from adapters.records.change_set import ChangeSet, DeliveryMark
from adapters.records.control_records import (
    DISPLAY_NUMBERS_ID,
    RESERVED,
    read_control,
    write_control,
)
from adapters.records.criteria import NotNull, OneOf, Order, Question
from adapters.records.record import ID, Record
from adapters.records.record_store import FETCH_MAX, RecordStore
from adapters.records.specs import AUDIT_LOGS, TASKS
from domain.audit import SyncStatus
from domain.errors import AlreadyExists, Conflict

BOTH_SHOWN_MAX = 1_000
_AT = datetime(1970, 1, 1, tzinfo=UTC)
"""A mark requires an instant, which a PENDING one does not store."""


@dataclass(slots=True)
class Taken:
    """How many changes came back from the target, how many own ones got new versions, and which records both sides
    changed: at most BOTH_SHOWN_MAX of `both_count`.
    """

    changes: int = 0
    rebased: int = 0
    both_count: int = 0
    both: tuple[RecordKey, ...] = ()


class Taking:
    """Both stores are written by nobody else. It can be repeated after it ended anywhere."""

    def __init__(self, source: RecordStore, target: RecordStore) -> None:
        self._source = source
        self._target = target
        self._numbers: dict[RecordKey, int] = {}
        self._result = Taken()

    async def run(self) -> Taken:
        """Raises Conflict where a unique value is taken on both sides by different records, and StoreUnavailable."""
        divergence = await divergence_of(self._source, self._target)
        groups = divergence.groups(await self._renumbered(divergence))
        for group in groups:
            await self._take(group)
        return self._result

    async def _take(self, group: Group) -> None:
        own = await self._entries(self._source, [trace.id for trace in group.own])
        theirs = await self._entries(self._target, [trace.id for trace in group.theirs])
        sides = await self._sides(group, own)
        keys = {entry["idempotencyKey"] for entry in theirs} - {None}
        puts = [put for side in sides for put in side.puts(keys)]
        change_set = ChangeSet(tuple(puts), tuple(map(taken, theirs)))
        if puts or theirs:
            try:
                await self._source.commit(change_set)
            except AlreadyExists as error:
                raise _unresolved(group, error) from error
        await self._reopen([entry for side in sides if not side.is_rebased for entry in side.own])
        self._note(sides, theirs)

    async def _sides(self, group: Group, own: Sequence[Record]) -> list[Sides]:
        by_collection: dict[str, list[str]] = {}
        for collection, record_id in group.records:
            by_collection.setdefault(collection, []).append(record_id)
        held = await _gathered(self._source, by_collection)
        mirrored = await _gathered(self._target, by_collection)
        own_by_record = by_key(own)
        sides = [
            Sides(
                key=key,
                held=held.get(key),
                mirrored=mirrored.get(key),
                own=own_by_record.get(key, ()),
                display_id=self._numbers.get(key),
            )
            for key in group.records
        ]
        # A number that changes is free before the other task takes it.
        return sorted(sides, key=lambda side: side.display_id is None)

    async def _entries(self, store: RecordStore, ids: Sequence[str]) -> list[Record]:
        found: list[Record] = []
        for start in range(0, len(ids), FETCH_MAX):
            fetched = await store.fetch(AUDIT_LOGS.collection, ids[start : start + FETCH_MAX])
            found += fetched.values()
        return sorted(found, key=lambda entry: str(entry[ID]))

    async def _reopen(self, own: Sequence[Record]) -> None:
        """Makes what the target has lost PENDING: it may be an older copy of itself, too."""
        marks = [
            DeliveryMark(entry_id=entry[ID], status=SyncStatus.PENDING, at=_AT, reopens=True)
            for entry in own
            if entry["syncStatus"] == SyncStatus.SYNCED
        ]
        for start in range(0, len(marks), FETCH_MAX):
            await self._source.mark(marks[start : start + FETCH_MAX])

    def _note(self, sides: Sequence[Sides], theirs: Sequence[Record]) -> None:
        result, theirs_by_record = self._result, by_key(theirs)
        result.changes += len(theirs)
        result.rebased += sum(len(side.own) for side in sides if side.is_rebased)
        both = [side.key for side in sides if side.own and side.key in theirs_by_record]
        result.both_count += len(both)
        result.both = (*result.both, *both)[:BOTH_SHOWN_MAX]

    async def _renumbered(self, divergence: Divergence) -> list[tuple[RecordKey, RecordKey]]:
        """Gives new display numbers to tasks of the source whose number another task of the target has, and returns
        these pairs. Numbers that either store has given are not given again.
        """
        tasks = TASKS.collection
        ids = list(dict.fromkeys(trace.record[1] for trace in divergence.own if trace.record[0] == tasks))
        pairs: list[tuple[RecordKey, RecordKey]] = []
        for start in range(0, len(ids), FETCH_MAX):
            held = await self._source.fetch(tasks, ids[start : start + FETCH_MAX])
            by_number = {record[DISPLAY_ID]: id_ for id_, record in held.items() if record.get(DISPLAY_ID)}
            question = Question(collection=tasks, where=OneOf(DISPLAY_ID, tuple(by_number)), limit=FETCH_MAX)
            for other in await self._target.find(question) if by_number else ():
                own_id = by_number[other[DISPLAY_ID]]
                if own_id != other[ID]:
                    pairs.append(((tasks, own_id), (tasks, other[ID])))
        first = await self._reserved(len(pairs))
        self._numbers = {own: first + place for place, (own, _) in enumerate(pairs)}
        return pairs

    async def _reserved(self, count: int) -> int:
        """The first of so many numbers that neither store has given."""
        version, value = await read_control(self._source, DISPLAY_NUMBERS_ID)
        _, other = await read_control(self._target, DISPLAY_NUMBERS_ID)
        known = [found[RESERVED] for found in (value, other) if found is not None]
        highest = max([*known, *[await _highest(store) for store in (self._source, self._target)]])
        if value is None or value[RESERVED] < highest + count:
            reserved = {RESERVED: highest + count}
            await write_control(self._source, DISPLAY_NUMBERS_ID, reserved, over=version)
        return int(highest) + 1


async def _gathered(store: RecordStore, ids_by_collection: dict[str, list[str]]) -> dict[RecordKey, Record]:
    found: dict[RecordKey, Record] = {}
    for collection, ids in ids_by_collection.items():
        for start in range(0, len(ids), FETCH_MAX):
            fetched = await store.fetch(collection, ids[start : start + FETCH_MAX])
            found |= {(collection, id_): record for id_, record in fetched.items()}
    return found


async def _highest(store: RecordStore) -> int:
    order = Order(DISPLAY_ID, descending=True)
    question = Question(collection=TASKS.collection, where=NotNull(DISPLAY_ID), order=order, limit=1)
    found = await store.find(question)
    return int(found[0][DISPLAY_ID]) if found else 0


def _unresolved(group: Group, error: AlreadyExists) -> Conflict:
    records = ", ".join(f"{collection} {id_}" for collection, id_ in group.records[:10])
    return Conflict(
        f"The stores hold different records with the same value of {', '.join(error.fields)}: {records}. The source"
        " still takes no writes. Let the target own the writes, which gives up what only the source holds:"
        " tandem recover --from-target"
    )
