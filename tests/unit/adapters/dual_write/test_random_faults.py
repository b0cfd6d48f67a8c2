"""Random writes, outages, crashes and repairs in any order; afterwards both stores are equal."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from domain.errors import Conflict, MirrorPending, StoreUnavailable
from tests.unit.adapters.dual_write.virtual_time import VirtualTimeLoop
from tests.unit.adapters.dual_write.world import (
    LABEL,
    QUICK,
    Process,
    Stores,
    assert_promises,
    change_set_of,
    end,
    erasure,
    recover,
    too_long,
)
from tests.unit.builders import numbered_id
from tests.unit.faults import Weather

NUMBERS = st.integers(min_value=1, max_value=4)
NAMES = st.sampled_from(["a", "b", "c", "d", "a name too long for the target"])
PLACES = st.integers(min_value=0, max_value=1)


class TwoProcesses(RuleBasedStateMachine):
    """Two processes over one pair of stores; each rule is something that happens to one of them."""

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.stores = Stores()
        self.weathers = [Weather(), Weather()]
        self.processes = [self._started(0), self._started(1)]

    @rule(place=PLACES, number=NUMBERS, name=NAMES)
    def create(self, place: int, number: int, name: str) -> None:
        self._try(self.processes[place].create(number, name=name))

    @rule(place=PLACES, number=NUMBERS, name=NAMES)
    def rename(self, place: int, number: int, name: str) -> None:
        self._try(self.processes[place].edit(number, name=name))

    @rule(place=PLACES, left=NUMBERS, right=NUMBERS, color=st.sampled_from(["#111111", "#222222"]))
    def paint_together(self, place: int, left: int, right: int, color: str) -> None:
        self._try(self.processes[place].edit(*{left, right}, color=color))

    @rule(place=PLACES, number=NUMBERS)
    def remove_for_good(self, place: int, number: int) -> None:
        self._try(self._remove(self.processes[place], number))

    @rule(place=PLACES, is_down=st.booleans())
    def target_goes_up_or_down(self, place: int, is_down: bool) -> None:
        self.weathers[place].is_down = is_down

    @rule(place=PLACES)
    def target_loses_an_answer(self, place: int) -> None:
        self.weathers[place].answers_lost += 1

    @rule(place=PLACES)
    def target_freezes(self, place: int) -> None:
        self.weathers[place].freeze()

    @rule(place=PLACES)
    def target_thaws(self, place: int) -> None:
        self.weathers[place].thaw()

    @rule(place=PLACES, steps=st.integers(min_value=0, max_value=30), number=NUMBERS, name=NAMES)
    def crash_in_the_middle_of_a_write(self, place: int, steps: int, number: int, name: str) -> None:
        self.runner.run(self._crash(place, steps, number, name))

    @rule(place=PLACES)
    def drain(self, place: int) -> None:
        self._try(self.processes[place].relay.drain())

    @rule(seconds=st.sampled_from([0.01, 1.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))

    def teardown(self) -> None:
        with self.runner:
            self.runner.run(self._check())

    async def _check(self) -> None:
        for weather in self.weathers:
            weather.thaw()
        for process in self.processes:
            process.kill()
        await end()
        # The target learns to hold what it could not; the operator puts back what was parked.
        for _ in range(3):
            await recover(self.stores)
            await self._put_back()
        await recover(self.stores)
        await assert_promises(self.stores)

    async def _put_back(self) -> None:
        process = Process(self.stores)
        for number in range(1, 5):
            await process.relay.deliver_record(LABEL, numbered_id(number))

    def _started(self, place: int) -> Process:
        process = Process(self.stores, settings=QUICK, target_gate=self.weathers[place], dislike=too_long)
        self.runner.run(process.store.open())
        process.target.breaker.close()
        return process

    async def _crash(self, place: int, steps: int, number: int, name: str) -> None:
        process = self.processes[place]
        request = asyncio.ensure_future(process.edit(number, name=name))
        for _ in range(steps):
            await asyncio.sleep(0)
        process.kill()
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        # What hangs in the frozen target hangs on in the dead process, without effect.
        self.weathers[place].thaw()
        self.weathers[place] = Weather()
        fresh = Process(self.stores, settings=QUICK, target_gate=self.weathers[place], dislike=too_long)
        await fresh.store.open()
        self.processes[place] = fresh

    @staticmethod
    async def _remove(process: Process, number: int) -> None:
        label = (await process.store.fetch(LABEL, (numbered_id(number),)))[numbered_id(number)]
        await process.commit(change_set_of(erasure(label)))

    def _try(self, attempt: Any) -> None:
        """Rejections and outages are expected; the stored state at the end is what counts."""
        try:
            self.runner.run(attempt)
        except (Conflict, KeyError, MirrorPending, StoreUnavailable):
            return


TwoProcesses.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestTwoProcesses = TwoProcesses.TestCase
