"""A record store that counts and times its operations."""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TypeVar

from adapters.observability.recent_errors import RecentErrors
from adapters.observability.slow_operations import SlowOperations
from adapters.observability.store_metrics import StoreMetrics
from adapters.records.change_set import ApplyOutcome, ChangeSet, DeliveryMark, LaneStamp, Put
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS
from adapters.records.wrapped_store import Answer, WrappedStore
from application.ports.clock import Clock
from application.ports.diagnostics import SlowQuery
from domain.errors import TandemError, Unavailable

T = TypeVar("T")

SEVERAL = "several"
"""The collection of an operation that spans more than one, or none."""


class ObservedStore(WrappedStore):
    """A RecordStore that counts every operation by outcome, measures its duration, and records slow ones.

    Outcomes: `ok`, `rejected` (because of the input or the state), `unavailable`, `cancelled`, `failed` (our bug).
    `slow_ms` is the shortest duration that counts as slow. Opening, preparing and closing are not counted.
    Failed operations are noted in `errors`.
    """

    def __init__(
        self, store: RecordStore, *, slow_ms: float, clock: Clock, errors: RecentErrors | None = None
    ) -> None:
        super().__init__(store)
        self._errors = errors
        self._slow_seconds = slow_ms / 1000
        self._clock = clock
        self.metrics = StoreMetrics(store.name)
        self.slow_operations = SlowOperations()

    def watch(self, errors: RecentErrors) -> None:
        """Notes failed operations here from now on."""
        self._errors = errors

    def ping(self) -> Answer[None]:
        return self._timed("ping", SEVERAL, self._inner.ping())

    def fetch(self, collection: str, ids: Sequence[str]) -> Answer[dict[str, Record]]:
        return self._timed("fetch", collection, self._inner.fetch(collection, ids), collection, ids)

    def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> Answer[dict[str, dict[str, Record]]]:
        return self._timed("gather", SEVERAL, self._inner.gather(ids_by_collection), ids_by_collection)

    def find(self, question: Question) -> Answer[list[Record]]:
        return self._timed("find", question.collection, self._inner.find(question), question)

    def count(self, collection: str, where: Criterion) -> Answer[int]:
        return self._timed("count", collection, self._inner.count(collection, where), collection, where)

    def scan(self, collection: str, *, after: str | None, limit: int) -> Answer[list[Record]]:
        call = self._inner.scan(collection, after=after, limit=limit)
        return self._timed("scan", collection, call, collection, after, limit)

    def commit(self, change_set: ChangeSet) -> Answer[LaneStamp | None]:
        return self._timed("commit", _collection_of(change_set.puts), self._inner.commit(change_set))

    def apply(self, change_sets: Sequence[ChangeSet]) -> Answer[list[ApplyOutcome]]:
        collection = _collection_of(change_sets[0].puts) if len(change_sets) == 1 else SEVERAL
        return self._timed("apply", collection, self._inner.apply(change_sets))

    def mark(self, marks: Sequence[DeliveryMark]) -> Answer[None]:
        return self._timed("mark", AUDIT_LOGS.collection, self._inner.mark(marks))

    async def _timed(self, operation: str, collection: str, call: Answer[T], *arguments: object) -> T:
        """The call's result. `arguments` are those of a read."""
        outcome = "ok"
        started = perf_counter()
        try:
            return await call
        except BaseException as error:
            outcome = _outcome_of(error)
            if self._errors is not None:
                self._errors.note(operation, arguments, error)
            raise
        finally:
            seconds = perf_counter() - started
            self.metrics.observe((operation, collection, outcome), seconds)
            if seconds >= self._slow_seconds:
                self._note_slow((operation, collection, outcome), seconds)

    def _note_slow(self, key: tuple[str, str, str], seconds: float) -> None:
        operation, collection, outcome = key
        slow = SlowQuery(
            at=self._clock.now(),
            store=self.name,
            operation=operation,
            collection=collection,
            outcome=outcome,
            duration_ms=round(seconds * 1000, 1),
        )
        self.slow_operations.note(slow)


def _collection_of(puts: Sequence[Put]) -> str:
    return puts[0].collection if len(puts) == 1 else SEVERAL


def _outcome_of(error: BaseException) -> str:
    if isinstance(error, Unavailable):
        return "unavailable"
    if isinstance(error, TandemError):
        return "rejected"
    return "failed" if isinstance(error, Exception) else "cancelled"
