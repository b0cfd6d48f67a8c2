"""A source and a target in memory, and processes that share them, each with lanes of its own."""

import asyncio
import sqlite3
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from adapters.monty.lane_rows import MontyLanes, register_write
from adapters.monty.own_lane import OwnLane
from adapters.monty.record_store import MontyRecordStore
from adapters.monty.writes import Write
from adapters.ownership import control
from adapters.ownership.control import Held
from adapters.ownership.last_seen import LastSeen
from adapters.ownership.owned_stores import OwnedSource, OwnedTarget, Step
from adapters.ownership.source_side import SourceSettings, SourceSide
from adapters.ownership.stamps import AppliedStamps
from adapters.ownership.target_side import TargetSide
from adapters.records.change_set import Blocked, ChangeSet, DeliveryMark, LaneStamp, stamped
from adapters.records.criteria import Question
from adapters.records.lanes import Applied, Lane, Positions, ProcessIdentity
from adapters.records.record import Record
from adapters.records.specs import AUDIT_LOGS
from domain.audit import SyncStatus
from domain.errors import StoreUnavailable
from tests.unit.builders import NOON
from tests.unit.contracts.builders import change_set, entry, put, task

TARGET = "postgres"


class ClosedAtItsEnd(sqlite3.Connection):
    """A connection that nobody has to close."""

    def __del__(self) -> None:
        self.close()


class Database:
    """One store in memory. Its content can be copied and put back under the processes that use it."""

    def __init__(self) -> None:
        self.store = MontyRecordStore(None)
        self.is_down = False
        self.takes_writes = True
        self.answers_searches = asyncio.Event()
        self.answers_searches.set()
        self.answers_positions = asyncio.Event()
        self.answers_positions.set()

    async def opened(self) -> "Database":
        await self.store.open()
        for connection in self.store._file._connections:
            weakref.finalize(self, connection.close)
        return self

    def copied(self) -> sqlite3.Connection:
        copy = sqlite3.connect(":memory:", check_same_thread=False, factory=ClosedAtItsEnd)
        self._connection.backup(copy)
        return copy

    def put_back(self, copy: sqlite3.Connection) -> None:
        copy.backup(self._connection)

    async def silence(self, seconds: float) -> None:
        """Lets time pass in which nobody beats."""
        self._connection.execute("UPDATE lanes SET beaten_at = beaten_at - ?", (seconds,))

    @property
    def _connection(self) -> sqlite3.Connection:
        return self.store._file.writer


class View(MontyRecordStore):
    """The connection of one process to a database: the same content, lanes of its own."""

    def __init__(self, database: Database) -> None:
        self.__dict__.update(database.store.__dict__)
        self._database_in_memory = database
        self._lanes = MontyLanes(self._submit, lambda: self._reads)
        self._own_lanes = OwnLane(
            lambda lane, admission, previous: self._submit(register_write(lane, admission, previous=previous))
        )
        self.writes = 0
        self.blocked: Blocked | None = None
        """The outcome of every apply, unless None."""
        self.before: Callable[[str], Awaitable[None]] = _nothing
        """Called with the name of `register` and `lower` before they run."""

    async def open(self) -> None:
        self._require_up()

    async def close(self) -> None:
        """The database stays open for the other processes."""

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        self._require_up()
        return await super().fetch(collection, ids)

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        self._require_up()
        return await super().scan(collection, after=after, limit=limit)

    async def find(self, question: Question) -> list[Record]:
        self._require_up()
        await self._database_in_memory.answers_searches.wait()
        return await super().find(question)

    async def positions(self, *, with_checkpointed: bool = False) -> Positions:
        self._require_up()
        await self._database_in_memory.answers_positions.wait()
        return await super().positions(with_checkpointed=with_checkpointed)

    async def apply_by_lane(self, change_sets: Sequence[ChangeSet]) -> Applied:
        if self.blocked is None:
            return await super().apply_by_lane(change_sets)
        return Applied([self.blocked for _ in change_sets], None)

    async def register(self) -> None:
        await self.before("register")
        await super().register()

    async def lower(self, numbers: Mapping[int, int]) -> None:
        await self.before("lower")
        await super().lower(numbers)

    async def _submit(self, write: Write, stamp: LaneStamp | None = None, *, rows: int = 1) -> None:
        self._require_up()
        if not self._database_in_memory.takes_writes:
            raise StoreUnavailable("It takes no writes.")
        self.writes += 1
        await super()._submit(write, stamp, rows=rows)

    def _require_up(self) -> None:
        if self._database_in_memory.is_down:
            raise StoreUnavailable("It is down.")


@dataclass
class Time:
    """The time that passes for processes and databases alike."""

    now: float = 100.0
    databases: list[Database] = field(default_factory=list)


class World:
    """A source and a target, and the data directory of the processes that use them."""

    def __init__(
        self, source: Database, target: Database, directory: Path | None = None, *, time: Time | None = None
    ) -> None:
        self.source, self.target, self.directory = source, target, directory
        self.time = time or Time(databases=[target])
        self.time.databases.append(source)

    async def pass_time(self, seconds: float, *beating: "Service") -> None:
        """These processes beat once at the end."""
        self.time.now += seconds
        for database in self.time.databases:
            await database.silence(seconds)
        for service in beating:
            await service.beat()


class Service:
    """The stores of one process, as the service wires them."""

    def __init__(
        self, world: World, name: str, *, is_alone: bool = False, bring_up: Step | None = None
    ) -> None:
        self.world = world
        self.raw_source, self.raw_target = self.views()
        settings = SourceSettings(
            target=self.target_name,
            last_seen=LastSeen(world.directory),
            is_alone=is_alone,
            process=ProcessIdentity(name, f"host-{name}", "", 1),
            monotonic=lambda: world.time.now,
        )
        self.side = SourceSide(self.raw_source, settings)
        self.target_side = TargetSide(self.raw_target, self.side)
        stamps = AppliedStamps()
        self.source = OwnedSource(self.raw_source, self.side, stamps)
        self.target = OwnedTarget(
            self.raw_target,
            self.target_side,
            stamps,
            bring_up=bring_up,
            require_current=_nothing,
            monotonic=lambda: world.time.now,
        )

    def views(self) -> tuple[View, View]:
        """The connections to the source and the target."""
        return View(self.world.source), View(self.world.target)

    @property
    def target_name(self) -> str:
        return TARGET

    async def start(self) -> Self:
        """Enters the source, tries the target, and begins writes, as opening the stores does. Raises as that does."""
        await self.side.enter()
        with suppress(StoreUnavailable):  # The relay tries again.
            await self.target.open()
            await self.target.compare()
        await self.side.begin_writes()
        return self

    async def join(self, *others: "Service") -> Self:
        """Starts beside others, which have to be heard first."""
        try:
            return await self.start()
        except StoreUnavailable:
            await self.world.pass_time(2, *others)
            return await self.start()

    async def beat(self) -> None:
        """What the heartbeat does."""
        for beat in (self.side.beat, self.target.beat):
            try:
                await beat()
            except StoreUnavailable:
                continue

    async def stop(self) -> None:
        """Ends in order."""
        await self.target.close()
        await self.source.close()

    async def write(self, *numbers: int) -> list[ChangeSet]:
        """One new task for each number, not mirrored yet."""
        written = []
        for number in numbers:
            change = put("tasks", task(number))
            changes = change_set(change, entries=[entry(change, syncStatus="PENDING")])
            written.append(stamped(changes, await self.source.commit(changes)))
        return written

    async def mirror(self, change_sets: Sequence[ChangeSet]) -> None:
        """Applies to the target, and marks what it confirmed."""
        await self.target.apply(change_sets)
        marks = [
            DeliveryMark(entry_id=id_, status=SyncStatus.SYNCED, at=NOON)
            for change_set_ in change_sets
            for id_ in change_set_.entry_ids
        ]
        await self.source.mark(marks)

    async def held(self) -> Held:
        held = await control.read(self.raw_source)
        assert held is not None
        return held

    async def statuses(self) -> list[str]:
        entries = await self.raw_source.scan(AUDIT_LOGS.collection, after=None, limit=10_000)
        return [str(one["syncStatus"]) for one in entries]

    async def lanes(self, database: Database) -> Mapping[str, list[Lane]]:
        """The open lanes in a database by process."""
        found: dict[str, list[Lane]] = {}
        for lane in (await database.store.positions()).lanes.values():
            if lane.is_open:
                found.setdefault(lane.by.process, []).append(lane)
        return found


async def world_in_memory(directory: Path | None = None) -> World:
    return World(await Database().opened(), await Database().opened(), directory)


async def cloned(world: World) -> World:
    """A copy of the source as it is now, that mirrors to the same target."""
    source = await Database().opened()
    source.put_back(world.source.copied())
    return World(source, world.target, time=world.time)


async def _nothing(_: object) -> None:
    return
