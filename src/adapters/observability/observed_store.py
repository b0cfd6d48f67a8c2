"""A record store that counts and times its operations."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, TypeVar

from adapters.observability.recent_errors import RecentErrors
from adapters.observability.recent_latency import RecentLatency
from adapters.observability.slow_operations import SlowOperations
from adapters.observability.store_metrics import StoreMetrics
from adapters.observability.watched_store import WatchedStore
from adapters.records.change_set import ChangeSet, Put
from adapters.records.criteria import Question
from adapters.records.record import CorruptRecord
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS
from adapters.records.wrapped_store import Answer
from application.ports.clock import Clock
from application.ports.diagnostics import SlowQuery
from domain.errors import TandemError, Unavailable

T = TypeVar("T")

SEVERAL = "several"
"""The collection of an operation that spans more than one, or none."""


class ObservedStore(WatchedStore):
    """A RecordStore that counts every operation by outcome, measures its duration, and records slow ones.

    Outcomes: `ok`, `rejected` (because of the input or the state), `unavailable`, `cancelled`, `failed` (our bug).
    `slow_ms` is the shortest duration that counts as slow. Opening, preparing and closing are not counted.
    Failed operations are noted in `errors`.
    """

    def __init__(self, store: RecordStore, *, slow_ms: float, clock: Clock, errors: RecentErrors) -> None:
        super().__init__(store, errors)
        self._slow_seconds = slow_ms / 1000
        self._clock = clock
        self.metrics = StoreMetrics(store.name)
        self.slow_operations = SlowOperations()
        self.latency = RecentLatency()

    def watch(self, errors: RecentErrors) -> None:
        """Notes failed operations here from now on."""
        self._errors = errors

    def note_damage(self, collection: str, error: CorruptRecord, question: Question | None) -> None:
        """See NotesDamage."""
        self._errors.note_damage(collection, error, question)

    def ping(self) -> Answer[None]:
        return self._noted("ping", self._inner.ping())

    async def _noted(self, operation: str, call: Answer[T], *arguments: Any) -> T:
        outcome = "ok"
        started = perf_counter()
        try:
            result = await call
            self._errors.note_success(operation, arguments)
            return result
        except BaseException as error:
            outcome = _outcome_of(error)
            self._errors.note(operation, arguments, error)
            raise
        finally:
            ended = perf_counter()
            seconds = ended - started
            self.latency.note(seconds, ended_at=ended)
            key = (operation, _COLLECTIONS[operation](*arguments), outcome)
            self.metrics.observe(key, seconds)
            if seconds >= self._slow_seconds:
                self._note_slow(key, seconds)

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


def _named_first(collection: str, *_others: object) -> str:
    return collection


def _several(*_arguments: object) -> str:
    return SEVERAL


def _of_puts(puts: Sequence[Put]) -> str:
    return puts[0].collection if len(puts) == 1 else SEVERAL


def _of_change_sets(change_sets: Sequence[ChangeSet]) -> str:
    return _of_puts(change_sets[0].puts) if len(change_sets) == 1 else SEVERAL


_COLLECTIONS: dict[str, Callable[..., str]] = {
    "ping": _several,
    "fetch": _named_first,
    "gather": _several,
    "find": lambda question: question.collection,
    "count": _named_first,
    "scan": _named_first,
    "commit": lambda change_set: _of_puts(change_set.puts),
    "apply": _of_change_sets,
    "mark": lambda _marks: AUDIT_LOGS.collection,
}
"""The collection of each operation, by its arguments."""


def _outcome_of(error: BaseException) -> str:
    if isinstance(error, Unavailable):
        return "unavailable"
    if isinstance(error, TandemError):
        return "rejected"
    return "failed" if isinstance(error, Exception) else "cancelled"
