"""The store that receives the mirror, with time limits and a circuit breaker."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from adapters.dual_write.blockages import Blockages
from adapters.dual_write.bounded_calls import BoundedCalls, TimedOut
from adapters.dual_write.breaker import CircuitBreaker
from adapters.dual_write.isolation import apply_each, bisected
from adapters.dual_write.latency import DeliveryRate
from adapters.dual_write.settings import DualWriteSettings
from adapters.records.change_set import ApplyOutcome, ChangeSet
from adapters.records.record import Record
from adapters.records.record_store import RecordStore, StoreRefused
from domain.errors import RuleBroken, StoreUnavailable


class MirrorTarget:
    """One per process, shared by the mirrored store, the relay and the operator's view.

    It may be down when the process starts: the breaker is open from then on and the relay connects later.
    """

    def __init__(self, store: RecordStore, *, settings: DualWriteSettings) -> None:
        self._store = store
        self._settings = settings
        self._calls = BoundedCalls(abandoned_max=settings.abandoned_max)
        self._connecting = asyncio.Lock()
        self._is_open = False
        self._is_prepared = True
        self.breaker = CircuitBreaker(
            timeouts_max=settings.breaker_timeouts_max, errors_max=settings.breaker_errors_max
        )
        self.blockages = Blockages()
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

    def want_prepared(self) -> None:
        """Requests that the store's collections and tables are created or upgraded, now or once it can be reached."""
        self._is_prepared = False

    async def connect(self) -> None:
        """Opens the store, pings it, and prepares it if that was requested. Harmless when done already.

        Raises StoreUnavailable and opens the breaker, also for a store that answers but must not be used; its message
        is kept. Never closes the breaker.
        """
        async with self._connecting:
            try:
                if not self._is_open:
                    await self._calls.within(self._settings.connect_timeout_ms, self._store.open())
                    self._is_open = True
                await self.ping()
                if not self._is_prepared:
                    await self._calls.within(self._settings.prepare_timeout_ms, self._store.prepare())
                    self._is_prepared = True
            except StoreUnavailable as error:
                self.breaker.trip(error.message)
                raise
            except StoreRefused as refused:
                self.breaker.trip(str(refused))
                raise StoreUnavailable(str(refused)) from refused

    async def ping(self) -> None:
        """Returns if the store answers. Raises StoreUnavailable, without reporting it to the breaker."""
        await self._calls.within(self._settings.probe_timeout_ms, self._store.ping())

    async def apply(self, change_sets: Sequence[ChangeSet], *, timeout_ms: float) -> list[ApplyOutcome]:
        """The outcome of each change set, with one time limit for all; blocked ones are not sent.

        Raises StoreUnavailable for an outage or a time-out, and reports it to the breaker.
        """

        async def apply_together(sent: Sequence[ChangeSet]) -> list[ApplyOutcome]:
            with self._reported():
                return await self._calls.within(timeout_ms, apply_each(self._store.apply, sent))

        return await self._unless_blocked(apply_together, change_sets)

    async def apply_patiently(
        self, change_sets: Sequence[ChangeSet], *, timeout_ms: float
    ) -> list[ApplyOutcome]:
        """Like `apply`, but slower: distinguishes an outage from change sets that take long.

        Each call may take `timeout_ms`. After a time-out with a successful ping the batch is bisected, and a single
        change set is rejected; it may have been stored nevertheless.
        """

        async def apply_or_reject(part: Sequence[ChangeSet]) -> list[ApplyOutcome]:
            with self._reported():
                try:
                    return await self._calls.within(timeout_ms, self._store.apply(part))
                except TimedOut as late:
                    if not await self._answers():
                        raise
                    raise RuleBroken(f"It takes longer than {timeout_ms:.0f} ms to store.") from late
                except StoreUnavailable:
                    await self._trip_unless_it_answers()
                    raise

        async def apply_in_parts(sent: Sequence[ChangeSet]) -> list[ApplyOutcome]:
            return await bisected(apply_or_reject, sent)

        return await self._unless_blocked(apply_in_parts, change_sets)

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        """RecordStore.fetch with a time limit. Raises StoreUnavailable."""
        return await self._calls.within(self._settings.probe_timeout_ms, self._store.fetch(collection, ids))

    async def close(self) -> None:
        """Closes the store, even while it hangs. Does not raise if the store does not answer."""
        await self._calls.close(self._settings.close_timeout_ms)
        try:
            await self._calls.within(self._settings.close_timeout_ms, self._store.close())
        except StoreUnavailable as error:
            self.breaker.trip(error.message)

    async def is_reachable(self) -> bool:
        """Whether the breaker is closed and the store answers a ping."""
        return not self.breaker.is_open and await self._answers()

    async def _unless_blocked(
        self,
        apply: Callable[[Sequence[ChangeSet]], Awaitable[list[ApplyOutcome]]],
        change_sets: Sequence[ChangeSet],
    ) -> list[ApplyOutcome]:
        """Applies the change sets that nothing blocks, as far as this process knows, and learns from the outcomes."""
        outcomes: list[ApplyOutcome] = [self.blockages.blocking(change_set) for change_set in change_sets]
        places = [place for place, blocked in enumerate(outcomes) if blocked is None]
        if places:
            applied = await apply([change_sets[place] for place in places])
            for place, outcome in zip(places, applied, strict=True):
                outcomes[place] = outcome
                self.blockages.learn(change_sets[place], outcome)
        return outcomes

    async def _answers(self) -> bool:
        try:
            await self.ping()
        except StoreUnavailable:
            return False
        return True

    async def _trip_unless_it_answers(self) -> None:
        try:
            await self.ping()
        except StoreUnavailable as error:
            self.breaker.trip(error.message)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Reports the outcome of a call to the breaker."""
        try:
            yield
        except TimedOut as late:
            self.breaker.timed_out(late.message)
            raise
        except StoreUnavailable as error:
            self.breaker.failed(error.message)
            raise
        self.breaker.succeeded()
