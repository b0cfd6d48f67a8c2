"""A record store whose errors are noted; for calls that nothing else observes."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from adapters.observability.recent_errors import RecentErrors
from adapters.records.change_set import ApplyOutcome, ChangeSet, DeliveryMark, LaneStamp
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.records.wrapped_store import Answer, WrappedStore

T = TypeVar("T")


class WatchedStore(WrappedStore):
    """What the mirror's background work uses of the source. Requests go through ObservedStore, which notes theirs."""

    def __init__(self, inner: RecordStore, errors: RecentErrors) -> None:
        super().__init__(inner)
        self._errors = errors

    def fetch(self, collection: str, ids: Sequence[str]) -> Answer[dict[str, Record]]:
        return self._noted("fetch", self._inner.fetch(collection, ids), collection, ids)

    def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> Answer[dict[str, dict[str, Record]]]:
        return self._noted("gather", self._inner.gather(ids_by_collection), ids_by_collection)

    def find(self, question: Question) -> Answer[list[Record]]:
        return self._noted("find", self._inner.find(question), question)

    def count(self, collection: str, where: Criterion) -> Answer[int]:
        return self._noted("count", self._inner.count(collection, where), collection, where)

    def scan(self, collection: str, *, after: str | None, limit: int) -> Answer[list[Record]]:
        call = self._inner.scan(collection, after=after, limit=limit)
        return self._noted("scan", call, collection, after, limit)

    def commit(self, change_set: ChangeSet) -> Answer[LaneStamp | None]:
        return self._noted("commit", self._inner.commit(change_set), change_set)

    def apply(self, change_sets: Sequence[ChangeSet]) -> Answer[list[ApplyOutcome]]:
        return self._noted("apply", self._inner.apply(change_sets), change_sets)

    def mark(self, marks: Sequence[DeliveryMark]) -> Answer[None]:
        return self._noted("mark", self._inner.mark(marks), marks)

    async def _noted(self, operation: str, call: Answer[T], *arguments: object) -> T:
        """The call's result. `arguments` are those of the operation, in the order of the port."""
        try:
            result = await call
        except Exception as error:
            self._errors.note(operation, arguments, error)
            raise
        self._errors.note_success(operation, arguments)
        return result
