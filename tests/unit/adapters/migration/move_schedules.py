"""Every small schedule of a move: at each call of its coordinator something happens, and others write meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from adapters.migration.following import owner_among
from adapters.ownership.control import Ownership
from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable, TandemError
from tests.unit.adapters.migration.move_world import (
    FIRST,
    SECOND,
    Calls,
    Ended,
    MovingService,
    opposite,
    ownership_of,
    takes_writes,
    task_ids,
)
from tests.unit.adapters.ownership.world import world_in_memory
from tests.unit.contracts.builders import task

T = TypeVar("T")
WRITTEN_BEFORE = (1, 2, 3, 4)
CALLS_MAX = 100
SILENT_SECONDS = 20.0


class Event(StrEnum):
    """What happens at one call of the coordinator."""

    OTHERS_WRITE = "another process writes"
    ENDS_BEFORE = "the coordinator ends before the call"
    ENDS_AFTER = "the coordinator ends after the call"
    FAILS = "the call fails"
    LOSES_REPLY = "the reply is lost, and others go on before the coordinator notices"
    SLEEPS_BEFORE = "the coordinator sleeps before the call, and others go on"
    SLEEPS_AFTER = "the coordinator sleeps after the call, and others go on"
    WRITER_WAKES = "a writer that slept before its commit wakes"
    TARGET_RESTORED = "the target is restored from an older copy"


OTHERS_GO_ON = (Event.LOSES_REPLY, Event.SLEEPS_BEFORE, Event.SLEEPS_AFTER)


class ScheduledCalls(Calls):
    """Lets one event happen at one call."""

    def __init__(self) -> None:
        super().__init__()
        self.at: int | None = None
        self.event = Event.OTHERS_WRITE
        self.meanwhile: Callable[[], Awaitable[None]] = _nothing
        self.happened = False
        self._has_ended = False

    async def around(self, call: Callable[[], Awaitable[T]]) -> T:
        self.count += 1
        if self._has_ended:
            raise Ended
        if self.count != self.at:
            return await call()
        self.happened = True
        return await self._met(call)

    async def _met(self, call: Callable[[], Awaitable[T]]) -> T:
        match self.event:
            case Event.OTHERS_WRITE | Event.SLEEPS_BEFORE | Event.WRITER_WAKES | Event.TARGET_RESTORED:
                await self.meanwhile()
                return await call()
            case Event.SLEEPS_AFTER:
                answer = await call()
                await self.meanwhile()
                return answer
            case Event.ENDS_BEFORE | Event.FAILS:
                await self.meanwhile()
            case Event.ENDS_AFTER | Event.LOSES_REPLY:
                await call()
                await self.meanwhile()
        if self.event in (Event.FAILS, Event.LOSES_REPLY):
            raise StoreUnavailable("The connection was lost.")
        self._has_ended = True
        raise Ended


class SleepingCalls(Calls):
    """The calls of a process that is stopped before the next one, once told to sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.is_tired = False

    async def around(self, call: Callable[[], Awaitable[T]]) -> T:
        if self.is_tired:
            self.is_tired = False
            self.asleep.set()
            await self.awake.wait()
        return await call()


@dataclass(frozen=True, slots=True)
class Schedule:
    """An event at a call, counted from the first call of the move."""

    at: int
    event: Event


class Explored:
    """One schedule in a world of its own. `findings` are the promises that were broken, in words."""

    def __init__(self, service: type[MovingService], schedule: Schedule) -> None:
        self._kind = service
        self._schedule = schedule
        self._written = {str(task(number)["id"]) for number in WRITTEN_BEFORE}
        self._numbers = iter(range(50, 100))
        self._stopping = SleepingCalls()
        self._stopped: asyncio.Task[None] | None = None
        self.findings: list[str] = []

    async def run(self) -> bool:
        """Returns whether the move was still under way when the event was due."""
        calls = ScheduledCalls()
        self._world = await world_in_memory()
        service = await self._started(calls)
        self._writer = await MovingService(self._world, "writer", calls=self._stopping).join(service)
        if self._schedule.event is Event.WRITER_WAKES:
            self._stopping.is_tired = True
            self._stopped = asyncio.create_task(self._write(self._writer))
            await self._stopping.asleep.wait()
        calls.meanwhile, calls.event = self._meanwhile, self._schedule.event
        calls.at = calls.count + self._schedule.at
        with suppress(TandemError, StoreRefused, Ended):
            await service.change().run()
        if calls.happened:
            await self._check()
        if self._stopped is not None:
            self._stopping.awake.set()
            await self._stopped
        return calls.happened

    async def _started(self, calls: ScheduledCalls) -> MovingService:
        service = self._kind(self._world, "first", calls=calls)
        await service.start()
        self._older = self._world.target.copied()
        await service.mirror(await service.write(*WRITTEN_BEFORE[:3]))
        await service.write(*WRITTEN_BEFORE[3:])
        return service

    async def _meanwhile(self) -> None:
        await self._require_one_owner()
        if self._stopped is not None:
            self._stopping.awake.set()
            await self._stopped
            return
        await self._write(self._writer)
        if self._schedule.event is Event.TARGET_RESTORED:
            self._world.target.put_back(self._older)
        if self._schedule.event in OTHERS_GO_ON:
            await self._succeeded()

    async def _write(self, service: MovingService) -> None:
        """A write that is refused was not promised."""
        number = next(self._numbers)
        with suppress(TandemError, StoreRefused):
            await service.write(number)
            self._written.add(str(task(number)["id"]))

    async def _check(self) -> None:
        await self._require_one_owner()
        await self._write(self._writer)
        await self._succeeded()
        await self._require_one_owner()
        await self._require_movable()

    async def _succeeded(self) -> MovingService | None:
        """A process that starts now finishes what it finds, and writes."""
        try:
            successor = await self._entered()
        except (TandemError, StoreRefused, AssertionError) as failure:
            self._find_stuck(f"a process that starts cannot go on: {failure!r}")
            return None
        await self._require_complete(successor)
        await self._write(successor)
        return successor

    async def _entered(self) -> MovingService:
        probe = MovingService(self._world, "probe")
        found = await owner_among(probe.raw_source, probe.raw_target, seconds_max=1)
        assert found is not None
        if found.store == SECOND:
            return await self._taken_over(found)
        successor = self._kind(self._world, self._name())
        await successor.end_move()
        await self._entering(successor)
        return successor

    async def _taken_over(self, found: Ownership) -> MovingService:
        if found.mirror_to != FIRST:
            self._find("the new owner does not mirror to the former one")
        successor = self._kind(opposite(self._world), self._name(), source=SECOND)
        await successor.compare_successor()
        await successor.side.take_over()
        await self._entering(successor)
        return successor

    async def _entering(self, service: MovingService) -> None:
        """Starts it, once those that ended or sleep have been silent for long enough."""
        with suppress(StoreUnavailable):
            await service.start()
            return
        await self._world.pass_time(SILENT_SECONDS)
        await service.start()

    def _name(self) -> str:
        return f"process {next(self._numbers)}"

    async def _require_one_owner(self) -> None:
        first, second = await ownership_of(self._world.source), await ownership_of(self._world.target)
        if takes_writes(first, second) and takes_writes(second, first):
            self._find("both stores take writes")
        if takes_writes(second, first) and second.mirror_to != FIRST:
            self._find("the new owner does not mirror to the former one")

    async def _require_complete(self, owner: MovingService) -> None:
        missing = self._written - await task_ids(owner.world.source)
        if missing:
            self._find(f"acknowledged writes are missing in the owner: {len(missing)}")

    async def _require_movable(self) -> None:
        """The ownership can move (back), and everything moves with it."""
        try:
            service = await self._entered()
            await service.deliver()
            await service.change().run()
        except (TandemError, StoreRefused, AssertionError) as failure:
            self._find_stuck(f"the ownership cannot move any more: {failure!r}")
            return
        if self._written - await task_ids(service.world.target):
            self._find("acknowledged writes are missing after the next move")

    def _find_stuck(self, finding: str) -> None:
        """A successor that was restored to what it held before it was armed is left to a person."""
        if self._schedule.event is not Event.TARGET_RESTORED:
            self._find(finding)

    def _find(self, finding: str) -> None:
        self.findings.append(f"{self._schedule.event} (call {self._schedule.at}): {finding}")


async def explore(service: type[MovingService], events: Sequence[Event]) -> tuple[int, list[str]]:
    """Each of these events at every call of a move. Returns the number of schedules, and what was found."""
    count, findings = 0, []
    for event in events:
        for at in range(1, CALLS_MAX):
            explored = Explored(service, Schedule(at, event))
            if not await explored.run():
                break
            count += 1
            findings += explored.findings
    return count, findings


async def _nothing() -> None:
    return
