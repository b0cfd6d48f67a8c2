"""Calls to the target that are late: whether the target does not answer, or only what was sent takes long."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from adapters.dual_write.bounded_calls import TimedOut
from adapters.dual_write.breaker import CircuitBreaker
from domain.errors import StoreUnavailable

LEAD_MS_MAX = 1_000
"""How long before the time limit of a call the ping begins, unless half of that limit is shorter."""


class TakesLong(Exception):
    """The change sets take longer than their time limit, and the store answers."""


class LateCalls:
    """Pings the target beside a call that may be late, so that nobody waits for the answer after the time limit."""

    def __init__(self, breaker: CircuitBreaker, ping: Callable[[], Awaitable[None]]) -> None:
        self._breaker = breaker
        self._ping = ping

    @asynccontextmanager
    async def judged(self, timeout_ms: float) -> AsyncIterator[None]:
        """Around a call with this time limit: raises TakesLong instead of TimedOut where the store answers a ping
        meanwhile, or soon afterwards. Otherwise reports it to the breaker. Until that is known, nobody else waits.
        """
        pings: list[asyncio.Future[None]] = []
        after_ms = timeout_ms - min(timeout_ms / 2, LEAD_MS_MAX)
        timer = asyncio.get_running_loop().call_later(after_ms / 1000, self._begin_ping, pings)
        try:
            yield
        except TimedOut as late:
            if not pings:
                self._begin_ping(pings)
            await self._require_answer(pings[0], late)
            raise TakesLong from late
        finally:
            timer.cancel()

    def _begin_ping(self, pings: list[asyncio.Future[None]]) -> None:
        pings.append(asyncio.ensure_future(self._ping()))
        pings[0].add_done_callback(_retrieve)

    async def _require_answer(self, pinging: asyncio.Future[None], late: TimedOut) -> None:
        """Returns once the store has answered the ping. Otherwise reports it to the breaker and raises `late`."""
        if not pinging.done() or pinging.exception() is not None:
            self._breaker.timed_out(late)
        try:
            await pinging
        except StoreUnavailable as cause:
            if cause.names_cause:
                self._breaker.trip_by(cause)
            raise late from cause
        self._breaker.withdraw(late)


def _retrieve(ended: asyncio.Future[None]) -> None:
    """The event loop would report an exception that nobody asks for."""
    if not ended.cancelled():
        ended.exception()
