"""Processes that sleep before some of their calls, and whose connection or life may end at each of them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from random import Random
from typing import Any, TypeVar

from adapters.migration.following import SourceState, source_state
from domain.errors import StoreUnavailable
from tests.unit.adapters.dual_write.virtual_time import VirtualTimeLoop
from tests.unit.adapters.migration.move_world import LATER, Calls, Ended, MovingService

T = TypeVar("T")
IMPATIENT_SHARE = 0.2
"""Of the processes that find a move under way: for these its time is over."""
TURNS = (0, 0, 0, 1, 2, 5, 60)
"""For how many turns of the loop a process sleeps before a call."""


class Chance:
    """What happens by chance in one run, and how often it did. Nothing does while it `is_calm`."""

    def __init__(self, seed: int, *, fault_share: float) -> None:
        """`fault_share`: of the calls to a store, for each kind of fault."""
        self.random = Random(seed)
        self._fault_share = fault_share
        self.is_calm = True
        self.happened: Counter[str] = Counter()

    def fault(self) -> str | None:
        """What happens at a call, if anything."""
        kinds = ("failed", "reply lost", "ended before", "ended after")
        place = int(self.random.random() / self._fault_share)
        if self.is_calm or place >= len(kinds):
            return None
        self.happened[kinds[place]] += 1
        return kinds[place]

    def turns(self) -> int:
        """For how many turns of the loop a process sleeps now."""
        return 0 if self.is_calm else self.random.choice(TURNS)

    def now(self) -> datetime:
        """The time, or one at which the time of every move is over."""
        is_late = self.is_calm or self.random.random() < IMPATIENT_SHARE
        return LATER if is_late else datetime.now(UTC)


class OneThreadLoop(VirtualTimeLoop):
    """Runs what belongs into threads at once, so that a seed leads to the same steps each time."""

    def run_in_executor(self, executor: object, func: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:  # type: ignore[override]
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*arguments))
        except Exception as error:  # noqa: BLE001 - whoever waits for it gets it
            done.set_exception(error)
        return done


class RandomCalls(Calls):
    """The calls of one process, which sleeps before some of them, and whose connection or life may end at each."""

    def __init__(self, chance: Chance) -> None:
        super().__init__()
        self._chance = chance
        self.has_ended = False

    async def around(self, call: Callable[[], Awaitable[T]]) -> T:
        for _ in range(self._chance.turns()):
            await asyncio.sleep(0)
        if self.has_ended:
            raise Ended
        fault = self._chance.fault()
        if fault in ("failed", "ended before"):
            raise self._failure(fault)
        answer = await call()
        if fault is not None:
            raise self._failure(fault)
        if self.has_ended:
            raise Ended
        return answer

    def _failure(self, fault: str) -> BaseException:
        if fault in ("failed", "reply lost"):
            return StoreUnavailable("The connection was lost.")
        self.has_ended = True
        return Ended()


class Member:
    """One place where a process runs; another one begins there once it has ended."""

    def __init__(self, chance: Chance, entering: Callable[[RandomCalls], Awaitable[MovingService]]) -> None:
        """`entering` makes a process that has to start yet."""
        self._chance = chance
        self._entering = entering
        self._calls = RandomCalls(chance)
        self._starting: MovingService | None = None
        self.service: MovingService | None = None
        """The process, once it has started."""

    @property
    def beating(self) -> MovingService | None:
        """The process that can show that it is alive."""
        return self.service or self._starting

    async def begin(self, service: MovingService, calls: RandomCalls) -> None:
        """Starts this process. It tries again later where another one has to be heard, or silent, first."""
        self._calls, self._starting = calls, service
        await self._start()

    async def running(self) -> MovingService:
        """The process, which is started unless it runs. Raises the errors of a start."""
        if self._calls.has_ended:
            self.end()
        if self.service is None and self._starting is None:
            calls = RandomCalls(self._chance)
            await self.begin(await self._entering(calls), calls)
        elif self.service is None:
            await self._start()
        if self.service is None:
            raise StoreUnavailable("It starts already.")
        return self.service

    async def _start(self) -> None:
        starting, self._starting = self._starting, None
        if starting is None:
            return
        try:
            await starting.start()
        except StoreUnavailable:
            self._starting = starting
            raise
        self.service = starting

    def end(self) -> None:
        """Kills the process."""
        self._calls.has_ended = True
        self._calls = RandomCalls(self._chance)
        self.service = self._starting = None

    async def follow(self) -> None:
        """What a process does once a second: it looks for a move, and begins anew where the ownership has moved."""
        service = await self.running()
        if await source_state(service.side, now=self._chance.now()) is SourceState.SUCCEEDED:
            self.end()
