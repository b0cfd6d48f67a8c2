"""A record store that fails on command: down, frozen, slow, crashing at any step, or refusing what it dislikes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from adapters.records.change_set import ApplyOutcome, ChangeSet, DeliveryMark, Rejection
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from domain.errors import StoreUnavailable

T = TypeVar("T")


class Moment(Enum):
    """On which side of an operation's effect."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Step:
    """One side of one operation of one store."""

    store: str
    operation: str
    moment: Moment


Gate = Callable[[Step], Awaitable[None]]
"""Called at every step; may wait, raise, or never return."""


async def open_gate(step: Step) -> None:
    """Lets everything pass, with a turn of the loop, so that others can come between."""
    await asyncio.sleep(0)


class Weather:
    """A gate that an outage can be made with."""

    def __init__(self) -> None:
        self.is_down = False
        self.latency_seconds = 0.0
        self.failures_left = 0
        self.answers_lost = 0
        self.calls: list[str] = []
        self._thawed = asyncio.Event()
        self._thawed.set()

    def freeze(self) -> None:
        """From now on nothing returns, as from a server that was stopped by a signal."""
        self._thawed.clear()

    def thaw(self) -> None:
        """What was frozen goes on."""
        self._thawed.set()

    async def __call__(self, step: Step) -> None:
        if step.moment is Moment.AFTER:
            if step.operation == "apply" and self.answers_lost:
                self.answers_lost -= 1
                raise StoreUnavailable
            return
        self.calls.append(step.operation)
        await asyncio.sleep(self.latency_seconds)
        if not self._thawed.is_set():
            # A frozen server does not answer the driver's request to cancel either.
            await _stubbornly(self._thawed)
        if self.failures_left:
            self.failures_left -= 1
            raise StoreUnavailable
        if self.is_down:
            raise StoreUnavailable


async def _stubbornly(event: asyncio.Event) -> None:
    """Waits on although it is told to stop; only when told again (the test is over) it obeys."""
    try:
        await event.wait()
    except asyncio.CancelledError:
        await event.wait()
        raise


class Mortality:
    """A gate that a whole process dies at: from then on none of its operations has an effect or an end."""

    def __init__(self, gate: Gate = open_gate) -> None:
        self._gate = gate
        self.is_dead = False

    def kill(self) -> None:
        """Nothing of this process reaches a store any more."""
        self.is_dead = True

    async def __call__(self, step: Step) -> None:
        await self._die_if_dead()
        await self._gate(step)
        await self._die_if_dead()

    async def _die_if_dead(self) -> None:
        if self.is_dead:
            await asyncio.get_running_loop().create_future()


Dislike = Callable[[ChangeSet], str | None]
"""The reason for which a change set is refused, or None."""


def likes_everything(change_set: ChangeSet) -> str | None:
    return None


class FaultyStore:
    """A RecordStore that passes a gate before and after each operation's effect, and may refuse change sets."""

    def __init__(
        self, store: RecordStore, gate: Gate = open_gate, *, dislike: Dislike = likes_everything
    ) -> None:
        self._store = store
        self.gate = gate
        self.dislike = dislike

    @property
    def name(self) -> str:
        return self._store.name

    async def open(self) -> None:
        await self._pass("open", self._store.open)

    async def close(self) -> None:
        await self._pass("close", self._store.close)

    async def prepare(self) -> None:
        await self._pass("prepare", self._store.prepare)

    async def ping(self) -> None:
        await self._pass("ping", self._store.ping)

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        return await self._pass("fetch", lambda: self._store.fetch(collection, ids))

    async def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        return await self._pass("gather", lambda: self._store.gather(ids_by_collection))

    async def find(self, question: Question) -> list[Record]:
        return await self._pass("find", lambda: self._store.find(question))

    async def count(self, collection: str, where: Criterion) -> int:
        return await self._pass("count", lambda: self._store.count(collection, where))

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        return await self._pass("scan", lambda: self._store.scan(collection, after=after, limit=limit))

    async def commit(self, change_set: ChangeSet) -> None:
        await self._pass("commit", lambda: self._store.commit(change_set))

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        return await self._pass("apply", lambda: self._apply(change_sets))

    async def mark(self, marks: Sequence[DeliveryMark]) -> None:
        await self._pass("mark", lambda: self._store.mark(marks))

    async def _apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        outcomes: list[ApplyOutcome] = []
        for change_set in change_sets:
            reason = self.dislike(change_set)
            outcomes += [Rejection(reason)] if reason else await self._store.apply((change_set,))
        return outcomes

    async def _pass(self, operation: str, effect: Callable[[], Awaitable[T]]) -> T:
        await self.gate(Step(self.name, operation, Moment.BEFORE))
        result = await effect()
        await self.gate(Step(self.name, operation, Moment.AFTER))
        return result
