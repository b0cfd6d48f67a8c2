"""Two stores in memory, and processes that move the ownership between them: each may end or sleep at any call."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeVar

from adapters.migration.following import SourceState, source_state, successor_of
from adapters.migration.ownership_change import ChangeOfOwner
from adapters.migration.recheck import Recheck
from adapters.ownership import control
from adapters.ownership.control import Gate, Ownership, Role
from adapters.records.change_set import ChangeSet, DeliveryMark, LaneStamp, Put
from adapters.records.criteria import Question
from adapters.records.indexes import UNDELIVERED_ENTRIES
from adapters.records.lanes import Applied, Positions
from adapters.records.record import ID, Record
from adapters.records.specs import AUDIT_LOGS
from domain.audit import SyncStatus
from tests.unit.adapters.ownership.world import Database, Service, View, World
from tests.unit.builders import NOON

T = TypeVar("T")
FIRST, SECOND = "monty", "postgres"
LATER = datetime.now(UTC) + timedelta(days=1)
"""When the time of every move of these tests is over."""


class Ended(BaseException):
    """The process was killed at this call."""


class Calls:
    """Counts the calls of one process to both stores, and ends or stops it at one of them.

    `is_late`: the call itself still has its effect, and only its reply is lost.
    """

    def __init__(self, stop_at: int | None = None, *, is_late: bool = False, sleeps: bool = False) -> None:
        self.count = 0
        self._stop_at, self._is_late, self._sleeps = stop_at, is_late, sleeps
        self.asleep, self.awake = asyncio.Event(), asyncio.Event()

    def stop_at(self, call: int, *, is_late: bool) -> None:
        """Ends the process at this call."""
        self._stop_at, self._is_late = call, is_late

    async def around(self, call: Callable[[], Awaitable[T]]) -> T:
        self.count += 1
        if self._stop_at is None or self.count < self._stop_at:
            return await call()
        if self._sleeps:
            if self.count > self._stop_at:
                return await call()
            return await self._slept(call)
        if self._is_late and self.count == self._stop_at:
            await call()
        raise Ended

    async def _slept(self, call: Callable[[], Awaitable[T]]) -> T:
        answer = await call() if self._is_late else None
        self.asleep.set()
        await self.awake.wait()
        return await call() if answer is None else answer


class NamedView(View):
    """One process's connection to a store with a name of its own."""

    def __init__(self, database: Database, name: str, calls: Calls) -> None:
        super().__init__(database)
        self._own_name, self._calls = name, calls

    @property
    def name(self) -> str:  # type: ignore[override]
        return self._own_name

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        fetch = super().fetch
        return await self._calls.around(lambda: fetch(collection, ids))

    async def positions(self, *, with_checkpointed: bool = False) -> Positions:
        positions = super().positions
        return await self._calls.around(lambda: positions(with_checkpointed=with_checkpointed))

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        commit = super().commit
        return await self._calls.around(lambda: commit(change_set))

    async def close_lane(self, lane: int) -> int:
        close_lane = super().close_lane
        return await self._calls.around(lambda: close_lane(lane))

    async def apply_by_lane(self, change_sets: Sequence[ChangeSet]) -> Applied:
        apply_by_lane = super().apply_by_lane
        return await self._calls.around(lambda: apply_by_lane(change_sets))

    async def mark(self, marks: Sequence[DeliveryMark]) -> None:
        mark = super().mark
        await self._calls.around(lambda: mark(marks))


class MovingService(Service):
    """A process that mirrors from one store to the other, and may move the ownership."""

    kind_of_change: ClassVar[type[ChangeOfOwner]] = ChangeOfOwner

    def __init__(self, world: World, name: str, *, source: str = FIRST, calls: Calls | None = None) -> None:
        self.source_name, self.calls = source, calls or Calls()
        super().__init__(world, name)

    def views(self) -> tuple[View, View]:
        return (
            NamedView(self.world.source, self.source_name, self.calls),
            NamedView(self.world.target, self.target_name, self.calls),
        )

    @property
    def target_name(self) -> str:
        return SECOND if self.source_name == FIRST else FIRST

    async def deliver(self) -> None:
        """Delivers everything that is undelivered, as the relay does."""
        question = Question(collection=AUDIT_LOGS.collection, where=UNDELIVERED_ENTRIES, limit=100)
        for entry in await self.raw_source.find(question):
            records = await self.raw_source.fetch(entry["collection"], [entry["entityId"]])
            record = records[entry["entityId"]]
            await self.target.apply([ChangeSet((Put(entry["collection"], record, 0),), (entry,))])
            await self.source.mark([DeliveryMark(entry_id=entry[ID], status=SyncStatus.SYNCED, at=NOON)])

    async def undelivered(self) -> int:
        return await self.raw_source.count(AUDIT_LOGS.collection, UNDELIVERED_ENTRIES)

    def change(self, recheck: Recheck | None = None) -> ChangeOfOwner:
        """The move of the ownership to the target."""
        return self.kind_of_change(
            source=self.side,
            successor=self.raw_target,
            hold=_nothing_held,
            deliver=self.deliver,
            undelivered=self.undelivered,
            follow=self.follow,
            recheck=recheck,
        )

    async def follow(self) -> bool:
        """Takes over the target if it is the owner now; returns whether the owner takes writes."""
        standing = await source_state(self.side, now=LATER)
        if standing is SourceState.SUCCEEDED:
            await successor_of(self.raw_source, self.raw_target)
            return True
        return standing is SourceState.OWNER and self.side.refusal is None

    async def end_move(self) -> None:
        """Undoes the move of a coordinator that has ended."""
        await source_state(self.side, now=LATER)

    async def compare_successor(self) -> None:
        """Makes sure that the source of this process, which takes over from its target, is the decided successor."""
        await successor_of(self.raw_target, self.raw_source)


def opposite(world: World) -> World:
    """The same two stores, the other way round."""
    return World(world.target, world.source, world.directory, time=world.time)


async def ownership_of(database: Database) -> Ownership:
    held = await control.read(database.store)
    assert held is not None
    return held.ownership


async def task_ids(database: Database) -> set[str]:
    return {record[ID] for record in await database.store.scan("tasks", after=None, limit=1_000)}


def takes_writes(own: Ownership, other: Ownership) -> bool:
    """Whether a process may write in a store with this control record beside one with the other record."""
    if own.role is not Role.OWNER:
        return False
    is_cited = other.owner == own.store and other.opening == own.opening
    return own.gate is Gate.OPEN or (own.gate is Gate.ARMED and is_cited)


@asynccontextmanager
async def _nothing_held() -> AsyncIterator[None]:
    yield
