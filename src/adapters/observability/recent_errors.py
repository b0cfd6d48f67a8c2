"""Recent errors of one store, so that health does not report a store as up whose reads or writes fail."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from adapters.observability.damaged_records import DamagedRecords
from adapters.records.change_set import ChangeSet
from adapters.records.control_records import read_control, write_control
from adapters.records.criteria import Question
from adapters.records.record import CorruptRecord
from adapters.records.record_store import RecordStore
from adapters.records.rehearsing import Rehearsing
from adapters.records.wrapped_store import Answer
from domain.errors import StoreUnavailable, TandemError, VersionConflict

RECENT_SECONDS = 3.0
"""How long a failure counts, although the same call has worked since: of many calls that fail, some may work."""
TRIAL_SECONDS = 1.0
"""How often failed calls are tried again, however many probes there are."""
COMMIT = "commit"
WRITES = (COMMIT, "apply", "mark")
FETCH = "fetch"
IN_A_ROW = 3
"""How many commits, or fetches, of different records must fail one after another before the store is in trouble, where
each of them may only have waited for another request. One record that many want is not a fault of the store.
"""
FAILURES_MAX = 256
"""Kinds of calls whose failures are remembered."""
TRIAL_ID = "write-trial"

Arguments = tuple[Any, ...]
"""The arguments of a read, in the order of the port."""


@dataclass(slots=True)
class _Failure:
    """The newest failure of one kind of call. `again` repeats it; None once that, or the like, has worked."""

    at: float
    reason: str
    again: Callable[[], Answer[Any]] | None
    names_cause: bool = True


class RecentErrors:
    """Remembers which calls failed because of the store itself, until they work again.

    A read counts as failed until the same read works, since a damaged page fails some reads and not others. Writes
    count as failed until a control record can be written and, where the store can try it, the commit that failed would
    work, or another one of the same collections has worked. What one request alone may have waited for counts once
    IN_A_ROW of the same kind have failed. A record that cannot be decoded is damage, and not a fault of the store:
    everything else works.
    """

    def __init__(
        self,
        store: RecordStore,
        *,
        rehearsing: Rehearsing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._rehearsing = rehearsing
        self._monotonic = monotonic
        # At most one for each kind of call and collection, or collections of a commit.
        self._failures: dict[tuple[str, str], _Failure] = {}
        self._in_a_row: dict[tuple[str, str], set[str]] = {}
        """Ids of the records whose calls failed since the last success, by kind; each may have waited for another."""
        self._damaged = DamagedRecords(store)
        self._next_trial = float("-inf")

    @property
    def trouble(self) -> str | None:
        """Why recent calls failed; None while calls work."""
        oldest = self._monotonic() - RECENT_SECONDS
        present = [one for one in self._failures.values() if one.again is not None or one.at > oldest]
        # Calls that found no connection free say less than those that keep the connections.
        named = next((one for one in present if one.names_cause), None)
        return named.reason if named is not None else present[0].reason if present else None

    @property
    def damage(self) -> str | None:
        """Which record cannot be decoded; None while every record that was read could be."""
        return self._damaged.words

    @property
    def damaged_count(self) -> int:
        """How many records are known that cannot be decoded, or fit no entity."""
        return self._damaged.count

    def note_damage(self, collection: str, error: CorruptRecord, question: Question | None) -> None:
        """Notes a record that the store has returned and that fits no entity."""
        self._damaged.note_unfit(collection, error, question)

    def note(self, operation: str, arguments: Arguments, error: BaseException) -> None:
        """Notes that a call failed. `arguments` are only needed for reads."""
        if isinstance(error, CorruptRecord):
            if operation not in WRITES:
                self._damaged.note(_repeated(self._store, operation, arguments), operation, arguments, error)
        elif isinstance(error, StoreUnavailable) and error.is_of_the_store:
            key, again = self._trial_of(operation, arguments, is_of_one=False)
            self._keep(key, _Failure(self._monotonic(), error.message, again, error.names_cause))
        elif isinstance(error, StoreUnavailable) and operation in (COMMIT, FETCH):
            self._note_in_a_row(operation, arguments, error)

    def _note_in_a_row(self, operation: str, arguments: Arguments, error: StoreUnavailable) -> None:
        """Notes that a call failed which may have waited for another one alone."""
        key, again = self._trial_of(operation, arguments, is_of_one=True)
        if key not in self._in_a_row and len(self._in_a_row) >= FAILURES_MAX:
            self._in_a_row.pop(next(iter(self._in_a_row)))
        records = self._in_a_row.setdefault(key, set())
        if len(records) < IN_A_ROW:
            records.add(_first_record_of(operation, arguments))
        if len(records) >= IN_A_ROW:
            what = "writes" if operation == COMMIT else "reads"
            reason = f"The {what} of {key[1]} fail one after another. {error.message}"
            self._keep(key, _Failure(self._monotonic(), reason, again))

    def _keep(self, key: tuple[str, str], failure: _Failure) -> None:
        if key not in self._failures and len(self._failures) >= FAILURES_MAX:
            self._failures.pop(next(iter(self._failures)))
        self._failures[key] = failure

    def note_success(self, operation: str, arguments: Arguments) -> None:
        """Notes that a call has worked: commits of the same collections that failed before only count for a moment."""
        if self._in_a_row and operation in (COMMIT, FETCH):
            self._in_a_row.pop(_kind_of(operation, arguments), None)
        if operation != COMMIT or not self._failures:
            return
        failure = self._failures.get((COMMIT, _collections_of(*arguments)))
        if failure is not None:
            failure.again = None

    def _trial_of(
        self, operation: str, arguments: Arguments, *, is_of_one: bool
    ) -> tuple[tuple[str, str], Callable[[], Answer[Any]]]:
        """The kind of a call, and what shows that the like works again. `is_of_one` as in `_try_committing`."""
        kind = _kind_of(operation, arguments)
        if operation not in WRITES:
            return kind, _repeated(self._store, operation, arguments)
        if operation != COMMIT:
            return kind, self._try_writing
        (change_set,) = arguments
        return kind, partial(self._try_committing, change_set, is_of_one=is_of_one)

    async def check(self) -> None:
        """Tries again what failed, at most every TRIAL_SECONDS. Raises nothing: the properties have the result."""
        if self._monotonic() < self._next_trial or not (self._failures or self._damaged.words):
            return
        now = self._monotonic()
        self._next_trial, oldest = now + TRIAL_SECONDS, now - RECENT_SECONDS
        for failure in list(self._failures.values()):
            if failure.again is None or failure.at > oldest:
                continue  # it counts all the same, and to wait for a lock or a server once more takes time
            try:
                await failure.again()
            except StoreUnavailable as error:
                if error.is_of_the_store:
                    failure.reason, failure.names_cause = error.message, error.names_cause
            except CorruptRecord:
                failure.again = None
            else:
                failure.again = None
        await self._damaged.check()

    async def _try_committing(self, change_set: ChangeSet, *, is_of_one: bool) -> None:
        """Raises StoreUnavailable while the commit would fail because of the store; `is_of_one` also where it may wait
        for another one alone.
        """
        await self._try_writing()
        if self._rehearsing is None:
            return
        try:
            await self._rehearsing.rehearse(change_set)
        except StoreUnavailable as error:
            if error.is_of_the_store or is_of_one:
                raise
        except TandemError:
            return  # the store works, and others have changed the records meanwhile

    async def _try_writing(self) -> None:
        """Commits a control record of the store itself. Raises StoreUnavailable."""
        version, _ = await read_control(self._store, TRIAL_ID)
        try:
            await write_control(self._store, TRIAL_ID, {}, over=version)
        except VersionConflict:
            return  # another process has just written it


def _repeated(store: RecordStore, operation: str, arguments: Arguments) -> Callable[[], Answer[Any]]:
    if operation == "scan":
        collection, after, limit = arguments
        return partial(store.scan, collection, after=after, limit=limit)
    return partial(getattr(store, operation), *arguments)


def _kind_of(operation: str, arguments: Arguments) -> tuple[str, str]:
    """What calls have in common that fail for the same reason: the operation and its collections."""
    if operation == COMMIT:
        return COMMIT, _collections_of(*arguments)
    return ("write", "") if operation in WRITES else (operation, _collection_of(arguments))


def _first_record_of(operation: str, arguments: Arguments) -> str:
    """One record of a call, which tells it from calls of other records."""
    if operation != COMMIT:
        return next(iter(arguments[1]), "")
    (change_set,) = arguments
    return change_set.puts[0].record_id if change_set.puts else ""


def _collections_of(change_set: ChangeSet) -> str:
    return " ".join(sorted({put.collection for put in change_set.puts}))


def _collection_of(arguments: Arguments) -> str:
    first = arguments[0] if arguments else ""
    return first if isinstance(first, str) else getattr(first, "collection", "")
