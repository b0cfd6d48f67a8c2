"""An event loop whose clock jumps to the next timer when nothing else is left to do.

Time-outs, back-off and leases take no real time and no chance: the same test takes the same steps each time.
"""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Stuck(Exception):
    """Every task waits for another one: no timer runs and nothing is ready."""


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck
        self.now += max(timeout, 0.0)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def advance(self, seconds: float) -> None:
        """Lets time pass although there is work."""
        self._jumping.now += seconds


class LoopClock:
    """The port Clock, on the time of the running loop."""

    def now(self) -> datetime:
        elapsed = timedelta(milliseconds=int(asyncio.get_running_loop().time() * 1000))
        return NOON + elapsed


def simulate(scenario: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end in virtual time. Errors that were never retrieved fail it, too."""
    forgotten: list[Mapping[str, Any]] = []
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.get_loop().set_exception_handler(lambda _loop, context: forgotten.append(context))
        result = runner.run(scenario)
    assert not forgotten, forgotten
    return result


def advance(seconds: float) -> None:
    """Lets the running loop's time pass without letting anything run."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.advance(seconds)
