"""Recent errors of one store, so that health does not report a store as up whose reads or writes fail."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from adapters.records.change_set import ApplyOutcome, ChangeSet, DeliveryMark, LaneStamp, Put
from adapters.records.criteria import Criterion, Question
from adapters.records.record import ID, VERSION, CorruptRecord, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL
from adapters.records.wrapped_store import Answer, WrappedStore
from domain.errors import StoreUnavailable, VersionConflict

T = TypeVar("T")

RECENT_SECONDS = 3.0
"""How long a failure counts, although the same call has worked since: of many calls that fail, some may work."""
TRIAL_SECONDS = 1.0
"""How often failed calls are tried again, however many probes there are."""
WRITE = ("write", "")
TRIAL_ID = "write-trial"
DAMAGED = "A stored record is damaged."


@dataclass(slots=True)
class _Failure:
    """The newest failure of one kind of call. `again` repeats it; None once that, or the like, has worked."""

    at: float
    reason: str
    again: Callable[[], Answer[Any]] | None


class WatchedStore(WrappedStore):
    """A RecordStore that remembers which calls failed because of the store itself, until they work again.

    A read counts as failed until the same read works, since a damaged page fails some reads and not others. Writes
    count as failed until a control record can be written.
    """

    def __init__(self, store: RecordStore, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(store)
        self._monotonic = monotonic
        # At most one for each kind of call and collection.
        self._failures: dict[tuple[str, str], _Failure] = {}
        self._next_trial = float("-inf")

    @property
    def trouble(self) -> str | None:
        """Why recent calls failed; None while calls work."""
        oldest = self._monotonic() - RECENT_SECONDS
        for failure in self._failures.values():
            if failure.again is not None or failure.at > oldest:
                return failure.reason
        return None

    async def check(self) -> None:
        """Tries again what failed, at most every TRIAL_SECONDS. Raises nothing: `trouble` has the result."""
        if not self._failures or self._monotonic() < self._next_trial:
            return
        self._next_trial = self._monotonic() + TRIAL_SECONDS
        for key, failure in list(self._failures.items()):
            if failure.again is None:
                continue
            try:
                await failure.again()
            except (StoreUnavailable, CorruptRecord) as error:
                failure.reason = _reason_of(error)
            else:
                self._clear(key, failure)

    def fetch(self, collection: str, ids: Sequence[str]) -> Answer[dict[str, Record]]:
        return self._read("fetch", collection, partial(self._inner.fetch, collection, ids))

    def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> Answer[dict[str, dict[str, Record]]]:
        return self._read("gather", "", partial(self._inner.gather, ids_by_collection))

    def find(self, question: Question) -> Answer[list[Record]]:
        return self._read("find", question.collection, partial(self._inner.find, question))

    def count(self, collection: str, where: Criterion) -> Answer[int]:
        return self._read("count", collection, partial(self._inner.count, collection, where))

    def scan(self, collection: str, *, after: str | None, limit: int) -> Answer[list[Record]]:
        call = partial(self._inner.scan, collection, after=after, limit=limit)
        return self._read("scan", collection, call)

    def commit(self, change_set: ChangeSet) -> Answer[LaneStamp | None]:
        return self._write(self._inner.commit(change_set))

    def apply(self, change_sets: Sequence[ChangeSet]) -> Answer[list[ApplyOutcome]]:
        return self._write(self._inner.apply(change_sets))

    def mark(self, marks: Sequence[DeliveryMark]) -> Answer[None]:
        return self._write(self._inner.mark(marks))

    async def _read(self, operation: str, collection: str, call: Callable[[], Answer[T]]) -> T:
        try:
            return await call()
        except (StoreUnavailable, CorruptRecord) as error:
            self._note((operation, collection), error, call)
            raise

    async def _write(self, call: Answer[T]) -> T:
        try:
            return await call
        except StoreUnavailable as error:
            self._note(WRITE, error, self._try_writing)
            raise

    def _note(self, key: tuple[str, str], error: Exception, again: Callable[[], Answer[Any]]) -> None:
        if getattr(error, "is_of_the_store", True):
            self._failures[key] = _Failure(self._monotonic(), _reason_of(error), again)

    def _clear(self, key: tuple[str, str], failure: _Failure) -> None:
        if self._failures.get(key) is failure:
            failure.again = None

    async def _try_writing(self) -> None:
        """Commits a control record of the store itself. Raises StoreUnavailable."""
        held = (await self._inner.fetch(CONTROL.collection, [TRIAL_ID])).get(TRIAL_ID)
        version = 0 if held is None else int(held[VERSION])
        record: Record = {ID: TRIAL_ID, VERSION: version + 1, "value": {}}
        try:
            await self._inner.commit(ChangeSet((Put(CONTROL.collection, record, version),)))
        except VersionConflict:
            return  # another process has just written it


def _reason_of(error: Exception) -> str:
    return error.message if isinstance(error, StoreUnavailable) else DAMAGED
