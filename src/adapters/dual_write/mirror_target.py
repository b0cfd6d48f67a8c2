"""The store that receives the mirror, with time limits and a circuit breaker."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from adapters.dual_write.blockages import Blockages
from adapters.dual_write.bounded_calls import BoundedCalls, TimedOut
from adapters.dual_write.breaker import CircuitBreaker
from adapters.dual_write.grouping import by_tables
from adapters.dual_write.late_calls import LateCalls, TakesLong
from adapters.dual_write.latency import DeliveryRate
from adapters.dual_write.settings import DualWriteSettings
from adapters.dual_write.slow_tables import SlowTables, tables_of
from adapters.records.change_set import ApplyOutcome, ChangeSet
from adapters.records.compared import Compared, SourceFailed
from adapters.records.isolation import Apply, apply_each, bisected
from adapters.records.record import Record
from adapters.records.record_store import RecordStore, StoreRefused
from adapters.records.slow_change_sets import taking_long, too_slow
from domain.errors import RuleBroken, StoreUnavailable

T = TypeVar("T")


class MirrorTarget:
    """One per process, shared by the mirrored store, the relay and the operator's view.

    It may be down when the process starts: the breaker is open from then on and the relay connects later. The same
    holds for a store that answers but must not be used: no method raises StoreRefused.
    """

    def __init__(self, store: RecordStore, *, settings: DualWriteSettings) -> None:
        self._store = store
        self._settings = settings
        self._calls = BoundedCalls(abandoned_max=settings.abandoned_max)
        # Reads that hang must not stop the mirror.
        self._reads = BoundedCalls(abandoned_max=settings.abandoned_max)
        self._connecting = asyncio.Lock()
        self._is_open = False
        self._is_prepared = True
        self.breaker = CircuitBreaker(
            timeouts_max=settings.breaker_timeouts_max, errors_max=settings.breaker_errors_max
        )
        self._late = LateCalls(self.breaker, self.ping)
        self.blockages = Blockages()
        self.breaker.when_opened(self.blockages.forget_all)
        self.rate = DeliveryRate()
        """Of the relay's deliveries, which shorten the backlog."""

    @property
    def name(self) -> str:
        """The name that operators use for the store."""
        return self._store.name

    @property
    def abandoned(self) -> int:
        """The number of abandoned calls that have not ended."""
        return self._calls.abandoned

    @property
    def trouble(self) -> str | None:
        """Why requests must not read it, as far as this process knows without asking; None if they may."""
        if self.breaker.is_open:
            return self.breaker.reason
        if isinstance(self._store, Compared):
            try:
                self._store.require_compared()
            except StoreUnavailable as error:
                return error.message
        return None

    def request_preparation(self) -> None:
        """Requests that the store's collections and tables are created or upgraded, now or once it can be reached."""
        self._is_prepared = False

    async def connect(self) -> None:
        """Opens the store, compares it, and prepares it if that was requested. Harmless when done already.

        Raises StoreUnavailable and opens the breaker, unless the source failed, or a store that answers was not
        compared in time. Never closes it.
        """
        async with self._connecting:
            try:
                if not self._is_open:
                    await self._within(self._settings.connect_timeout_ms, self._store.open())
                    self._is_open = True
                await self.compare()
                if not self._is_prepared:
                    await self._within(self._settings.prepare_timeout_ms, self._store.prepare())
                    self._is_prepared = True
            except StoreUnavailable as error:
                outage = await self._outage_of(error)
                if outage is not None:
                    self.breaker.trip_by(outage)
                raise

    async def _outage_of(self, error: StoreUnavailable) -> StoreUnavailable | None:
        """Why the store cannot be used; None for one that was connected and was only not compared: the source has
        failed, or the comparison was late and the store answers.
        """
        if not (self._is_open and self._is_prepared):
            return error
        if isinstance(error, TimedOut):
            try:
                await self.ping()
            except StoreUnavailable as cause:
                return cause if cause.names_cause else error
            return None
        return None if isinstance(error, SourceFailed) else error

    async def ping(self) -> None:
        """Returns if the store answers and may be used. Raises StoreUnavailable.

        Only a store that must not be used is reported to the breaker.
        """
        await self._within(self._settings.probe_timeout_ms, self._store.ping())

    async def compare(self) -> None:
        """Compares the store with the source, where it can be compared, and otherwise pings it. Raises as `connect`."""
        store = self._store
        comparison = store.compare() if isinstance(store, Compared) else store.ping()
        await self._within(self._settings.probe_timeout_ms, comparison)

    async def probe(self) -> None:
        """For whoever only asks: returns if the store answers and its last comparison with the source was good.

        Compares and writes nothing. Raises StoreUnavailable.
        """
        await self.ping()
        if isinstance(self._store, Compared):
            self._store.require_compared()

    async def apply(self, change_sets: Sequence[ChangeSet], *, timeout_ms: float) -> list[ApplyOutcome]:
        """The outcome of each change set, with one time limit for all; blocked ones are not sent.

        Raises StoreUnavailable for an outage or a time-out, and reports it to the breaker.
        """

        async def apply_together(sent: Sequence[ChangeSet]) -> list[ApplyOutcome]:
            return await self._apply_by_tables(sent, timeout_ms=timeout_ms)

        return await self._unless_blocked(apply_together, change_sets)

    async def _apply_by_tables(self, sent: Sequence[ChangeSet], *, timeout_ms: float) -> list[ApplyOutcome]:
        """Applies all together. If that takes too long while the store answers, each table's by themselves; those that
        take too long even so are blocked.
        """
        try:
            async with self._late.judged(timeout_ms):
                with self._reported():
                    return await self._within(timeout_ms, apply_each(self._store.apply, sent))
        except TakesLong:
            parts = by_tables(range(len(sent)), lambda place: tables_of(sent[place]))
        if len(parts) == 1:
            return [taking_long(change_set, timeout_ms, store=self.name) for change_set in sent]
        outcomes: list[ApplyOutcome] = [None] * len(sent)
        for places in parts:
            part = [sent[place] for place in places]
            applied = await self._apply_by_tables(part, timeout_ms=timeout_ms)
            for place, outcome in zip(places, applied, strict=True):
                outcomes[place] = outcome
        return outcomes

    async def apply_patiently(
        self, change_sets: Sequence[ChangeSet], *, timeout_ms: float
    ) -> list[ApplyOutcome]:
        """Like `apply`, but slower: distinguishes an outage from change sets that take long.

        Each call may take `timeout_ms`. After a time-out with a successful ping the batch is bisected. A single change
        set is blocked as slow then; it may have been stored nevertheless.
        """
        slow_tables = SlowTables(self.name)

        async def apply_or_bisect(part: Sequence[ChangeSet]) -> list[ApplyOutcome]:
            with self._reported():
                try:
                    async with self._late.judged(timeout_ms):
                        return await self._within(timeout_ms, self._store.apply(part))
                except TakesLong as long:
                    if len(part) == 1:
                        return [too_slow(part[0], timeout_ms, store=self.name)]
                    raise RuleBroken from long
                except TimedOut:
                    raise
                except StoreUnavailable:
                    await self._trip_unless_it_answers()
                    raise

        async def apply_unless_slow(part: Sequence[ChangeSet]) -> list[ApplyOutcome]:
            return await _unless(slow_tables, apply_or_bisect, part)

        async def apply_in_parts(sent: Sequence[ChangeSet]) -> list[ApplyOutcome]:
            return await bisected(apply_unless_slow, sent)

        return await self._unless_blocked(apply_in_parts, change_sets)

    def explained(self, error: StoreUnavailable) -> StoreUnavailable:
        """The error, or why the store is not called where the error only says that there was no answer."""
        reason = self.breaker.reason
        return error if error.names_cause or reason is None else StoreUnavailable(reason)

    async def require_answer(self) -> None:
        """Returns if the store answers. Raises StoreUnavailable with the cause that health shows."""
        try:
            await self.ping()
        except StoreUnavailable as error:
            raise self.explained(error) from error

    async def answers_now(self) -> bool:
        """Whether the store answers a ping, used and compared or not."""
        try:
            await self.ping()
        except StoreUnavailable:
            return False
        return True

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        """RecordStore.fetch with a time limit. Raises StoreUnavailable."""
        return await self._within(self._settings.probe_timeout_ms, self._store.fetch(collection, ids))

    async def read(self, call: Callable[[RecordStore], Coroutine[Any, Any, T]], *, timeout_ms: float) -> T:
        """The answer of one read by a request, with its own time limit, which does not affect the breaker.

        Raises StoreUnavailable, TimedOut, and the errors of the call.
        """
        return await self._reads.within(timeout_ms, call(self._store))

    async def close(self) -> None:
        """Closes the store, even while it hangs. Does not raise if the store does not answer."""
        await self.finish()
        try:
            await self._within(self._settings.close_timeout_ms, self._store.close())
        except StoreUnavailable as error:
            self.breaker.trip_by(error)

    async def finish(self) -> None:
        """Ends the calls under way; the store stays open."""
        await self._calls.close(self._settings.close_timeout_ms)
        await self._reads.close(self._settings.close_timeout_ms)

    async def is_reachable(self) -> bool:
        """Whether the breaker is closed and the store can be used as far as a probe shows. A source that keeps it from
        being compared says nothing about it.
        """
        if self.breaker.is_open:
            return False
        try:
            await self.probe()
        except SourceFailed:
            return True
        except StoreUnavailable:
            return False
        return True

    async def answers(self) -> bool:
        """Whether the store can be used as far as a probe shows, whatever the breaker says."""
        try:
            await self.probe()
        except StoreUnavailable:
            return False
        return True

    async def _within(self, timeout_ms: float, call: Coroutine[Any, Any, T]) -> T:
        """The result of one call to the store, as `BoundedCalls.within`.

        A store that must not be used is an outage of the target, not a rejection of what was sent: the breaker opens
        with its reason, and StoreUnavailable carries it.
        """
        try:
            return await self._calls.within(timeout_ms, call)
        except StoreRefused as refused:
            self.breaker.trip(str(refused))
            raise StoreUnavailable(str(refused)) from refused

    async def _unless_blocked(self, apply: Apply, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        """Applies the change sets that nothing blocks, as far as this process knows, and learns from the outcomes."""

        async def apply_to_ours(sent: Sequence[ChangeSet]) -> list[ApplyOutcome]:
            outcomes = await apply(sent)
            if any(map(self.blockages.is_new_table, outcomes)):
                # Another database at the same address has other tables, and none of this is known to be true of ours.
                await self.ping()
            return outcomes

        return await _unless(self.blockages, apply_to_ours, change_sets)

    async def _trip_unless_it_answers(self) -> None:
        try:
            await self.compare()
        except SourceFailed:
            return
        except StoreUnavailable as error:
            self.breaker.trip_by(error)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Reports the outcome of a call to the breaker."""
        try:
            yield
        except TimedOut:
            raise  # The caller decides, once it knows whether the store answers others.
        except StoreUnavailable as error:
            self.breaker.failed(error)
            raise
        self.breaker.succeeded()


async def _unless(
    blockages: Blockages | SlowTables, apply: Apply, change_sets: Sequence[ChangeSet]
) -> list[ApplyOutcome]:
    """Applies the change sets that nothing known blocks, and lets it be known what became of them."""
    outcomes: list[ApplyOutcome] = [blockages.blocking(change_set) for change_set in change_sets]
    places = [place for place, blocked in enumerate(outcomes) if blocked is None]
    if places:
        sent = [change_sets[place] for place in places]
        applied = await apply(sent)
        blockages.learn(sent, applied)
        for place, outcome in zip(places, applied, strict=True):
            outcomes[place] = outcome
    return outcomes
