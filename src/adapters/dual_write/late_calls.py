"""Calls to the target that are late: whether the target does not answer, or only what was sent takes long."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from adapters.dual_write.bounded_calls import TimedOut
from adapters.dual_write.breaker import CircuitBreaker
from domain.errors import StoreUnavailable


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
        meanwhile, or soon afterwards. Otherwise tells the breaker. Until that is known, nobody else has to wait.
        """
        is_over = asyncio.Event()
        pinging = asyncio.ensure_future(self._ping_unless(is_over, after_ms=timeout_ms / 2))
        pinging.add_done_callback(_retrieve)
        try:
            yield
        except TimedOut as late:
            await self._require_answer(pinging, late)
            raise TakesLong from late
        finally:
            is_over.set()

    async def _ping_unless(self, is_over: asyncio.Event, *, after_ms: float) -> None:
        try:
            async with asyncio.timeout(after_ms / 1000):
                await is_over.wait()
        except TimeoutError:
            await self._ping()

    async def _require_answer(self, pinging: asyncio.Future[None], late: TimedOut) -> None:
        """Returns once the store has answered the ping. Raises `late` where it does not, with the breaker told."""
        was_open = self._breaker.is_open
        if not pinging.done() or pinging.exception() is not None:
            self._breaker.timed_out(late)
        try:
            await pinging
        except StoreUnavailable as cause:
            if cause.names_cause:
                self._breaker.trip_by(cause)
            raise late from cause
        if not was_open and self._breaker.reason == late.message:
            self._breaker.close()


def _retrieve(ended: asyncio.Future[None]) -> None:
    """The event loop would report an exception that nobody asks for."""
    if not ended.cancelled():
        ended.exception()
