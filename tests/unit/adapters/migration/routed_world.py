"""A source that is mirrored by relay, a target, and the routed store of one process above them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.mirrored_store import MirroredStore
from adapters.dual_write.settings import DualWriteSettings, MirrorMode
from adapters.migration.own_writes import NOTHING_UNCONFIRMED, OwnWrites, Unconfirmed
from adapters.migration.request_reads import CURRENT, RequestReads
from adapters.migration.routed_store import ReadRules, RoutedStore
from adapters.migration.routes import PROPAGATION_SECONDS, Routes
from adapters.migration.undelivered_watch import UndeliveredWatch
from adapters.records.change_set import ChangeSet, DeliveryMark
from adapters.records.criteria import EVERYTHING, Question
from adapters.records.record import ID, Record
from adapters.records.specs import AUDIT_LOGS
from domain.audit import SyncStatus
from domain.errors import StoreUnavailable
from domain.migration import Route
from tests.unit.contracts.builders import change_set, entry, put, task
from tests.unit.memory_store import MemoryRecordStore

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ALL_TO_TARGET = Route(target_percent=100)
ALL_SHADOWED = Route(shadow_percent=100)
T = TypeVar("T")
WRITER, READER = "a" * 24, "b" * 24


class CountedStore(MemoryRecordStore):
    """A store that counts what is asked of it, and answers late, wrongly or not at all where a test wants it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked: list[str] = []
        self.trouble: Exception | None = None
        self.delay_seconds = 0.0

    def overwrite(self, collection: str, record: Record) -> None:
        """Changes a record behind the back of everybody."""
        self._collections[collection][record[ID]] = record

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        await self._ask(f"fetch {collection}")
        return await super().fetch(collection, ids)

    async def find(self, question: Question) -> list[Record]:
        await self._ask(f"find {question.collection}")
        return await super().find(question)

    async def _ask(self, what: str) -> None:
        self.asked.append(what)
        await asyncio.sleep(self.delay_seconds)
        if self.trouble is not None:
            raise self.trouble


class Time:
    """The clock and the monotonic time of one process."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class RoutedWorld:
    """One process over both stores. Nothing is delivered unless the test does it."""

    def __init__(self, *, is_shared: bool = True) -> None:
        self.time = Time()
        self.source, self.target_store = CountedStore("source"), CountedStore("target")
        settings = DualWriteSettings(mode=MirrorMode.RELAY, mark_interval_ms=1)
        self.target = MirrorTarget(self.target_store, settings=settings)
        self.mirrored = MirroredStore(
            self.source, self.target, settings=settings, clock=self.time, wake_relay=lambda: None
        )
        self.routes = Routes(monotonic=self.time.monotonic)
        self.own_writes = OwnWrites(now_ms=lambda: round(self.time.now().timestamp() * 1000))
        self.mirrored.on_unconfirmed = self.own_writes.note
        self.watch = UndeliveredWatch(
            lambda: self.source, is_needed=lambda: True, clock=self.time, monotonic=self.time.monotonic
        )
        self.errors: list[str] = []
        self.store = RoutedStore(
            self.mirrored,
            target=lambda: self.target,
            rules=ReadRules(
                routes=self.routes,
                own_writes=self.own_writes,
                watch=self.watch,
                is_shared=lambda: is_shared,
            ),
            on_error=self.errors.append,
        )

    async def route(self, route: Route, *, collection: str = "tasks") -> None:
        """Sets the route, and lets as much time pass as all processes need to learn it."""
        self.routes.learn({collection: route}, asked_at=self.time.seconds)
        self.time.seconds += PROPAGATION_SECONDS
        self.routes.learn({collection: route}, asked_at=self.time.seconds)
        await self.watch.look()

    async def write(
        self, number: int, *, by: str = WRITER, version: int = 1, at: datetime | None = None
    ) -> str:
        """One version of a task; returns the id of its entry."""
        change = put("tasks", task(number, version=version, title=f"Task {number}, {version}"))
        made = entry(change, actorId=by, at=at or self.time.now())
        await self.store.commit(change_set(change, entries=[made]))
        entry_id: str = made[ID]
        return entry_id

    async def deliver(self, *entry_ids: str) -> None:
        """Delivers entries, or all, with the present state of their records."""
        question = Question(collection=AUDIT_LOGS.collection, where=EVERYTHING, limit=1_000)
        for one in await MemoryRecordStore.find(self.source, question):
            if one["syncStatus"] == SyncStatus.SYNCED or (entry_ids and one[ID] not in entry_ids):
                continue
            found = await MemoryRecordStore.fetch(self.source, one["collection"], [one["entityId"]])
            change = put(one["collection"], found[one["entityId"]])
            await self.target_store.apply([ChangeSet((change,), (one,))])
            mark = DeliveryMark(entry_id=one[ID], status=SyncStatus.SYNCED, at=self.time.now())
            await self.source.mark([mark])

    async def title(
        self, number: int, *, by: str | None = READER, read_after: Unconfirmed | None = NOTHING_UNCONFIRMED
    ) -> str | None:
        """The title of a task, as this caller reads it; None where they find nothing."""
        record = task(number)
        found = await self.read(lambda: self.store.fetch("tasks", [record[ID]]), by=by, read_after=read_after)
        return found[record[ID]]["title"] if record[ID] in found else None

    async def read(
        self,
        read: Callable[[], Awaitable[T]],
        *,
        by: str | None,
        read_after: Unconfirmed | None = None,
    ) -> T:
        """One read in a request of this caller."""
        token = CURRENT.set(RequestReads(caller_id=by, read_after=read_after))
        self.source.asked.clear()
        self.target_store.asked.clear()
        try:
            return await read()
        finally:
            CURRENT.reset(token)

    @property
    def is_from_target(self) -> bool:
        """Whether the last read of tasks was answered by the target alone."""
        return "fetch tasks" in self.target_store.asked and "fetch tasks" not in self.source.asked


OUTAGE = StoreUnavailable("It is down.")
