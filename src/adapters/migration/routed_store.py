"""A record store that lets the target answer reads, or check them, as far as the routes say."""

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from adapters.dual_write.bounded_calls import TimedOut
from adapters.migration.own_writes import NOTHING_UNCONFIRMED, OwnWrites
from adapters.migration.request_reads import CURRENT, RequestReads
from adapters.migration.routes import Answerer, Routes, answerer_of
from adapters.migration.shadow import ShadowReads
from adapters.migration.undelivered_watch import LAG_LOOK_SECONDS_MAX, UndeliveredWatch
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS
from adapters.records.wrapped_store import Answer, WrappedStore
from domain.errors import StoreUnavailable

T = TypeVar("T")
OneRead = Callable[[RecordStore], Coroutine[Any, Any, T]]
READ_TIMEOUT_MS = 250.0
"""A target that takes longer to answer a read is too slow: the source answers."""
SHADOW_TIMEOUT_MS = 2_000.0


class Fallback(StrEnum):
    """Why the source answers a read that is routed to the target."""

    PROPAGATING = "propagating"
    """Not all processes know of the route yet."""
    UNAVAILABLE = "unavailable"
    """The breaker is open, or the target was not compared."""
    LAG = "lag"
    """The mirror is too far behind, or that is not known."""
    OWN_WRITES = "own_writes"
    """The target may lack writes of the caller."""
    SLOW = "slow"
    ERROR = "error"


class ReadTarget(Protocol):
    """The target, with a time limit for each call."""

    @property
    def trouble(self) -> str | None:
        """Why it cannot be read at present, as far as this process knows."""
        ...

    async def read(self, call: OneRead[T], *, timeout_ms: float) -> T:
        """The answer of one call. Raises StoreUnavailable, TimedOut, and the errors of the call."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRules:
    """What decides who answers. `is_shared`: whether other processes write to the same source."""

    routes: Routes
    own_writes: OwnWrites
    watch: UndeliveredWatch
    is_shared: Callable[[], bool]


class RoutedStore(WrappedStore):
    """A RecordStore whose reads follow the routes; everything else goes to the source.

    It stands above the cache: answers of the target, which may be behind, must not be kept for callers whom the source
    answers. `on_error` is called with the collection of each read that the target was asked for and did not answer.
    """

    def __init__(
        self,
        inner: RecordStore,
        *,
        target: Callable[[], ReadTarget | None],
        rules: ReadRules,
        on_error: Callable[[str], None],
    ) -> None:
        super().__init__(inner)
        self._target = target
        self._routes = rules.routes
        self._own_writes = rules.own_writes
        self._watch = rules.watch
        self._is_shared = rules.is_shared
        self._on_error = on_error
        self.shadows: ShadowReads | None = None
        """What compares the answers of the source; None leaves them as they are."""
        self.fallbacks: Counter[tuple[str, str]] = Counter()
        """By collection and reason."""
        self.answered: Counter[str] = Counter()
        """The reads that the target has answered, by collection."""

    def fetch(self, collection: str, ids: Sequence[str]) -> Answer[dict[str, Record]]:
        if not self._routes.used or (routed := self._route_of(collection)) is None:
            return self._inner.fetch(collection, ids)
        return self._routed(collection, routed, lambda store: store.fetch(collection, ids))

    def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> Answer[dict[str, dict[str, Record]]]:
        if not self._routes.used or (current := CURRENT.get()) is None:
            return self._inner.gather(ids_by_collection)
        return self._gathered(ids_by_collection, current)

    def find(self, question: Question) -> Answer[list[Record]]:
        if not self._routes.used or (routed := self._route_of(question.collection)) is None:
            return self._inner.find(question)
        return self._routed(question.collection, routed, lambda store: store.find(question))

    def count(self, collection: str, where: Criterion) -> Answer[int]:
        if not self._routes.used or (routed := self._route_of(collection)) is None:
            return self._inner.count(collection, where)
        return self._routed(collection, routed, lambda store: store.count(collection, where))

    async def read_shadow(self, read: OneRead[T]) -> T:
        """The target's answer to a read that the source has answered. Raises StoreUnavailable."""
        target = self._target()
        if target is None or target.trouble is not None:
            raise StoreUnavailable("The target cannot be read at present.")
        return await target.read(read, timeout_ms=SHADOW_TIMEOUT_MS)

    async def close(self) -> None:
        if self.shadows is not None:
            await self.shadows.close()
        await super().close()

    def _route_of(self, collection: str) -> tuple[Answerer, RequestReads] | None:
        """Who answers this read, and of which request it is; None for the source, as almost always."""
        current = CURRENT.get()
        if current is None or (answerer := self._answerer(collection, current)) is Answerer.SOURCE:
            return None
        return answerer, current

    async def _routed(self, collection: str, routed: tuple[Answerer, RequestReads], read: OneRead[T]) -> T:
        answerer, current = routed
        if answerer is Answerer.TARGET:
            return await self._by_target((collection,), current, read)
        answer = await read(self._inner)
        self._shadow(collection, read, answer)
        return answer

    async def _gathered(
        self, ids_by_collection: Mapping[str, Sequence[str]], current: RequestReads
    ) -> dict[str, dict[str, Record]]:
        """Each collection by its own route."""
        answerers = {name: self._answerer(name, current) for name in ids_by_collection}
        routed, own = (
            {
                name: ids
                for name, ids in ids_by_collection.items()
                if (answerers[name] is Answerer.TARGET) is one
            }
            for one in (True, False)
        )
        found: dict[str, dict[str, Record]] = {}
        if routed:
            found |= await self._by_target(tuple(routed), current, lambda store: store.gather(routed))
        if own:
            found |= await self._inner.gather(own)
        for name, answerer in answerers.items():
            if answerer is Answerer.SHADOW:
                self._shadow(name, _fetching(name, own[name]), found[name])
        return {name: found[name] for name in ids_by_collection}

    def _answerer(self, collection: str, current: RequestReads) -> Answerer:
        caller_id, route = current.caller_id, self._routes.used.get(collection)
        return Answerer.SOURCE if caller_id is None or route is None else answerer_of(route, caller_id)

    def _shadow(self, collection: str, read: OneRead[Any], answer: Any) -> None:
        if self.shadows is not None:
            self.shadows.begin(collection, read, answer)

    async def _by_target(
        self,
        collections: Sequence[str],
        current: RequestReads,
        read: OneRead[T],
    ) -> T:
        target = self._target()
        reason = self._obstacle(collections, target)
        if reason is None and target is not None:
            try:
                if not await self._holds_own_writes(target, current):
                    reason = Fallback.OWN_WRITES
                else:
                    answer = await target.read(read, timeout_ms=READ_TIMEOUT_MS)
                    self.answered.update(collections)
                    return answer
            except TimedOut:
                reason = Fallback.SLOW
            except StoreUnavailable:
                reason = Fallback.UNAVAILABLE
            except Exception:  # noqa: BLE001 - whatever the target cannot answer, the source answers
                reason = Fallback.ERROR
            if reason is not Fallback.OWN_WRITES:
                self._on_error(collections[0])
        self.fallbacks.update((name, reason or Fallback.UNAVAILABLE) for name in collections)
        return await read(self._inner)

    def _obstacle(self, collections: Sequence[str], target: ReadTarget | None) -> Fallback | None:
        """Why the target is not asked."""
        if not all(map(self._routes.may_use_target, collections)):
            return Fallback.PROPAGATING
        if target is None or target.trouble is not None:
            return Fallback.UNAVAILABLE
        if any(map(self._watch.is_behind, collections)):
            return Fallback.LAG
        return None

    async def _holds_own_writes(self, target: ReadTarget, current: RequestReads) -> bool:
        """Whether the target holds everything that the caller wrote, wherever they wrote it.

        Asked before the read, so that the read sees at least as much.
        """
        caller_id = current.caller_id or ""
        if current.read_after is None and not self._others_confirmed(caller_id):
            return False
        unconfirmed = self._own_writes.of(caller_id)
        for said in (current.read_after, current.unconfirmed):
            if said:
                unconfirmed = unconfirmed.joined(said, now_ms=self._own_writes.now_ms())
        if unconfirmed.until_ms > self._own_writes.now_ms():
            return False
        ids = unconfirmed.entry_ids
        if not ids:
            return True
        found = await target.read(
            lambda store: store.fetch(AUDIT_LOGS.collection, ids), timeout_ms=READ_TIMEOUT_MS
        )
        self._own_writes.confirm(caller_id, found)
        if len(found) < len(ids):
            return False
        current.unconfirmed = NOTHING_UNCONFIRMED
        if current.read_after is not None:
            current.read_after = NOTHING_UNCONFIRMED
        return True

    def _others_confirmed(self, caller_id: str) -> bool:
        """Of a caller who repeats no token: whether the target holds what they wrote through other processes, and what
        they wrote before this process started. Other processes hold back the response to a write that the target has
        not confirmed for longer than a look may be old.
        """
        if self._is_shared():
            return self._watch.has_confirmed(caller_id)
        return self._watch.has_confirmed(caller_id, age_seconds_max=LAG_LOOK_SECONDS_MAX)


def _fetching(collection: str, ids: Sequence[str]) -> OneRead[dict[str, Record]]:
    return lambda store: store.fetch(collection, ids)
