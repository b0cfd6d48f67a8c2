"""The base of record stores that wrap another one."""

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from adapters.records.change_set import ApplyOutcome, ChangeSet, DeliveryMark, LaneStamp
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record
from adapters.records.record_store import RecordStore

T = TypeVar("T")

Answer = Coroutine[Any, Any, T]
"""The result of an `async def`. Returning it instead of awaiting it saves a frame per decorator and call."""


class WrappedStore:
    """The port RecordStore, delegating every call to another store. Decorators override the calls they change."""

    def __init__(self, inner: RecordStore) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        return self._inner.name

    def open(self) -> Answer[None]:
        return self._inner.open()

    def close(self) -> Answer[None]:
        return self._inner.close()

    def prepare(self) -> Answer[None]:
        return self._inner.prepare()

    def ping(self) -> Answer[None]:
        return self._inner.ping()

    def fetch(self, collection: str, ids: Sequence[str]) -> Answer[dict[str, Record]]:
        return self._inner.fetch(collection, ids)

    def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> Answer[dict[str, dict[str, Record]]]:
        return self._inner.gather(ids_by_collection)

    def find(self, question: Question) -> Answer[list[Record]]:
        return self._inner.find(question)

    def count(self, collection: str, where: Criterion) -> Answer[int]:
        return self._inner.count(collection, where)

    def scan(self, collection: str, *, after: str | None, limit: int) -> Answer[list[Record]]:
        return self._inner.scan(collection, after=after, limit=limit)

    def commit(self, change_set: ChangeSet) -> Answer[LaneStamp | None]:
        return self._inner.commit(change_set)

    def apply(self, change_sets: Sequence[ChangeSet]) -> Answer[list[ApplyOutcome]]:
        return self._inner.apply(change_sets)

    def mark(self, marks: Sequence[DeliveryMark]) -> Answer[None]:
        return self._inner.mark(marks)
