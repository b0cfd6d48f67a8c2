"""Calls to the target that are late: whether the target does not answer, or only what was sent takes long."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from adapters.dual_write.bounded_calls import TimedOut
from adapters.dual_write.breaker import CircuitBreaker
from adapters.records.cancellation import retrieve_error
from domain.errors import StoreUnavailable

LEAD_MS_MAX = 1_000
"""How long before the time limit of a call the ping begins, unless half of that limit is shorter."""

ANSWER_SECONDS_MAX = 0.25
"""How long after the time limit of a call the store may take for the ping."""


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
        at that time. Otherwise reports it to the breaker. Until that is known, nobody else waits.
        """
        pings: list[asyncio.Future[None]] = []
        after_ms = timeout_ms - min(timeout_ms / 2, LEAD_MS_MAX)
        timer = asyncio.get_running_loop().call_later(after_ms / 1000, self._begin_ping, pings)
        try:
            yield
        except TimedOut as late:
            await self._require_answer(pings, late)
            raise TakesLong from late
        finally:
            timer.cancel()

    def _begin_ping(self, pings: list[asyncio.Future[None]]) -> None:
        pings.append(asyncio.ensure_future(self._ping()))
        pings[-1].add_done_callback(retrieve_error)

    async def _require_answer(self, pings: list[asyncio.Future[None]], late: TimedOut) -> None:
        """Returns once the store has answered a ping that ended after the call. Otherwise raises `late`, and reports it
        to the breaker. One that answers later was frozen, or restarted, and not slow.
        """
        was_answered = bool(pings) and _is_answered(pings[0])
        if was_answered or not pings:
            # It may have stopped answering since the first one.
            self._begin_ping(pings)
        if not was_answered:
            self._breaker.timed_out(late)
        await asyncio.wait(pings[-1:], timeout=ANSWER_SECONDS_MAX)
        if _is_answered(pings[-1]):
            self._breaker.withdraw(late)
            return
        if was_answered:
            self._breaker.timed_out(late)
        cause = pings[-1].exception() if pings[-1].done() else None
        if isinstance(cause, StoreUnavailable) and cause.names_cause:
            self._breaker.trip_by(cause)
        raise late from cause


def _is_answered(ping: asyncio.Future[None]) -> bool:
    return ping.done() and ping.exception() is None
