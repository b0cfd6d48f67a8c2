"""The plainest honest record store: dictionaries, copies at the door, every promise of the port kept in memory.

It is what decorators are tested over; it passes the contract suite like the real ones.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from adapters.records.change_set import (
    ApplyOutcome,
    ChangeSet,
    DeliveryMark,
    Put,
    ReadCheck,
    Rejection,
    superseded,
    taken_reason,
)
from adapters.records.criteria import (
    RELEVANCE,
    AllOf,
    AnyOf,
    Criterion,
    Equals,
    HasWords,
    Holds,
    IsNull,
    NotNull,
    OneOf,
    Question,
    Range,
    after_position,
)
from adapters.records.indexes import UniqueKey
from adapters.records.record import ID, IS_DELETED, VERSION, Record, is_tombstone
from adapters.records.relevance import found_by_relevance
from adapters.records.search import Rank, condition_of, holds
from adapters.records.specs import AUDIT_LOGS, SPECS
from adapters.records.words import tokens_of
from domain.audit import SyncStatus
from domain.errors import AlreadyExists, RuleBroken, VersionConflict

Collections = dict[str, dict[str, Record]]
Holding = tuple[str, tuple[Any, ...]]
"""A unique key's name and the values that one record keeps others from having."""
Written = tuple[str, str, Record | None]
"""What was written, as (collection, id), and what was there before."""


class MemoryRecordStore:
    """A RecordStore in this process. Each method runs in one turn of the loop, so each is atomic."""

    def __init__(self, name: str = "memory") -> None:
        self._name = name
        self._collections: Collections = {collection: {} for collection in SPECS}
        self._holders: dict[Holding, str] = {}

    @property
    def name(self) -> str:
        return self._name

    async def open(self) -> None:
        return

    async def close(self) -> None:
        return

    async def prepare(self) -> None:
        return

    async def ping(self) -> None:
        return

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        kept = self._collections[collection]
        return {id_: copied(kept[id_]) for id_ in ids if id_ in kept}

    async def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        return {
            collection: await self.fetch(collection, ids) for collection, ids in ids_by_collection.items()
        }

    async def find(self, question: Question) -> list[Record]:
        if question.order.field == RELEVANCE:
            return await found_by_relevance(self.find, question)
        where = question.where
        if question.after is not None:
            where = AllOf((where, after_position(question.order, question.after)))
        found = self._matching(question.collection, where)
        field = question.order.field
        found.sort(key=lambda record: str(record[ID]), reverse=question.order.descending)
        found.sort(key=lambda record: _sort_key(record.get(field)), reverse=question.order.descending)
        return [copied(record) for record in found[: question.limit]]

    async def count(self, collection: str, where: Criterion) -> int:
        return len(self._matching(collection, where))

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        kept = self._collections[collection]
        ids = sorted(id_ for id_ in kept if after is None or id_ > after)
        return [copied(kept[id_]) for id_ in ids[:limit]]

    async def commit(self, change_set: ChangeSet) -> None:
        undone: list[Written] = []
        try:
            for check in change_set.read_checks:
                self._require_version(check, check.version)
            for put in change_set.puts:
                self._require_version(put, put.expected_version)
                self._write(put.collection, put.record, undone)
            for entry in change_set.entries:
                self._require_new(entry)
                self._write(AUDIT_LOGS.collection, entry, undone)
        except (AlreadyExists, RuleBroken, VersionConflict):
            self._undo(undone)
            raise

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        return [self._apply(change_set) for change_set in change_sets]

    async def mark(self, marks: Sequence[DeliveryMark]) -> None:
        for mark in marks:
            entry = self._collections[AUDIT_LOGS.collection].get(mark.entry_id)
            if entry is None or entry["syncStatus"] == SyncStatus.SYNCED:
                continue
            is_synced = mark.status is SyncStatus.SYNCED
            # A new record in place of the old one, which snapshots share.
            self._collections[AUDIT_LOGS.collection][mark.entry_id] = {
                **entry,
                "syncStatus": mark.status.value,
                "syncAttempts": mark.attempts,
                "syncNextAt": mark.next_at,
                "syncError": mark.error,
                "syncedAt": mark.at if is_synced else None,
            }

    def forget(self, collection: str, id_: str) -> None:
        """Loses one record, as a store does that was put back from an old copy."""
        self._replace(collection, id_, None)

    def snapshot(self) -> Collections:
        """All records as they are now, shared: the store replaces records and never changes them in place."""
        return {name: dict(kept) for name, kept in self._collections.items()}

    def put_back(self, snapshot: Collections) -> None:
        """Restores exactly the records of the snapshot."""
        self._collections = {collection: dict(snapshot.get(collection, {})) for collection in SPECS}
        self._holders = {
            (key.name, held): id_
            for collection, kept in self._collections.items()
            for key in SPECS[collection].unique_keys
            for id_, record in kept.items()
            if (held := _held(key, record))
        }

    def _apply(self, change_set: ChangeSet) -> ApplyOutcome:
        undone: list[Written] = []
        held = {(put.collection, put.record_id): self._version(put) for put in change_set.puts}
        try:
            for put in change_set.puts:
                if self._version(put) < put.version:
                    self._write(put.collection, put.record, undone)
            for entry in change_set.entries:
                if entry[ID] not in self._collections[AUDIT_LOGS.collection]:
                    arrived = {**entry, "syncStatus": SyncStatus.SYNCED.value}
                    self._write(AUDIT_LOGS.collection, arrived, undone)
        except AlreadyExists as taken:
            self._undo(undone)
            return Rejection(taken_reason(taken.fields))
        except RuleBroken as broken:
            self._undo(undone)
            return Rejection(broken.message)
        return superseded(change_set, held)

    def _version(self, of: Put | ReadCheck) -> int:
        stored = self._collections[of.collection].get(of.record_id)
        return 0 if stored is None else int(stored[VERSION])

    def _require_version(self, of: Put | ReadCheck, expected: int) -> None:
        current = self._version(of)
        if current != expected:
            raise VersionConflict(current_version=current, collection=of.collection, entity_id=of.record_id)

    def _require_new(self, entry: Record) -> None:
        if entry[ID] in self._collections[AUDIT_LOGS.collection]:
            raise AlreadyExists(fields=(ID,))

    def _write(self, collection: str, record: Record, undone: list[Written]) -> None:
        """Stores one record and notes what was there. Raises AlreadyExists where a unique key is taken, RuleBroken
        where the record does not fit.
        """
        SPECS[collection].schema.require(record)
        id_, before = record[ID], self._collections[collection].get(record[ID])
        keys = SPECS[collection].unique_keys
        for key in keys:
            held = _held(key, record)
            if held and self._holders.get((key.name, held), id_) != id_:
                raise AlreadyExists(fields=key.fields)
        undone.append((collection, id_, before))
        self._replace(collection, id_, copied(record))

    def _undo(self, undone: list[Written]) -> None:
        for collection, id_, before in reversed(undone):
            self._replace(collection, id_, before)

    def _replace(self, collection: str, id_: str, record: Record | None) -> None:
        kept = self._collections[collection]
        for key in SPECS[collection].unique_keys:
            self._holders.pop((key.name, _held(key, kept.get(id_) or {})), None)
            if record is not None and (held := _held(key, record)):
                self._holders[key.name, held] = id_
        if record is None:
            del kept[id_]
        else:
            kept[id_] = record

    def _matching(self, collection: str, where: Criterion) -> list[Record]:
        kept = self._collections[collection].values()
        spec = SPECS[collection]

        def tokens(record: Record) -> frozenset[str]:
            return _tokens(tuple(spec.texts(record)), spec.number(record))

        return [record for record in kept if not is_tombstone(record) and matches(where, record, tokens)]


def _held(key: UniqueKey, record: Record) -> tuple[Any, ...]:
    """The values a record keeps others from having; empty where it keeps nobody."""
    values = tuple(record.get(field) for field in key.fields)
    if None in values or is_tombstone(record) or (key.live_only and record.get(IS_DELETED)):
        return ()
    return values


_PLAIN = frozenset((str, int, float, bool, type(None)))
"""What most values are; calling a function for each would take half of the time of many tests."""


def copied(value: Any) -> Any:
    """The same value, sharing nothing that can change; instants in UTC."""
    if isinstance(value, dict):
        return {key: item if type(item) in _PLAIN else copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [item if type(item) in _PLAIN else copied(item) for item in value]
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo is not UTC else value


def _sort_key(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)


TokensOf = Callable[[Record], frozenset[str]]


@lru_cache(1_024)
def _tokens(texts: tuple[str, ...], number: int | None) -> frozenset[str]:
    """The tokens of these texts: one search by relevance asks for them up to seven times."""
    return frozenset(tokens_of(texts, number)) if texts else frozenset()


@lru_cache(65_536)
def _has_words(text: str, rank: Rank | None, tokens: frozenset[str]) -> bool:
    """Whether a search finds a record with these tokens; stores around this one are asked the same searches."""
    return holds(condition_of(text, rank), tokens)


def matches(where: Criterion, record: Record, tokens: TokensOf) -> bool:
    """Whether the record satisfies the criterion."""
    match where:
        case AllOf(criteria):
            return all(matches(criterion, record, tokens) for criterion in criteria)
        case AnyOf(criteria):
            return any(matches(criterion, record, tokens) for criterion in criteria)
        case HasWords(text, rank):
            return _has_words(text, rank, tokens(record))
        case Range():
            return _within(where, record.get(where.field))
        case _:
            return _value_matches(where, record.get(where.field))


def _value_matches(where: Equals | OneOf | IsNull | NotNull | Holds, value: Any) -> bool:
    match where:
        case Equals(_, wanted):
            return value is not None and value == wanted
        case OneOf(_, wanted):
            return value is not None and value in wanted
        case IsNull():
            return value is None
        case NotNull():
            return value is not None
        case Holds(_, wanted):
            return isinstance(value, list) and wanted in value


def _within(bounds: Range, value: str | int | datetime | None) -> bool:
    if value is None:
        return False
    present: Any = value
    return (
        (bounds.above is None or present > bounds.above)
        and (bounds.at_least is None or present >= bounds.at_least)
        and (bounds.below is None or present < bounds.below)
        and (bounds.at_most is None or present <= bounds.at_most)
    )
