"""Stops requests from calling a target that does not answer."""

import asyncio
from collections.abc import Callable

from loguru import logger

from domain.errors import StoreUnavailable


class CircuitBreaker:
    """Closed while the target answers; opens after consecutive outages. Once the target was probed, `close` closes it,
    and `withdraw` does where a time-out was no outage.

    While it is open, requests do not wait for the target. A rejection is not an outage.
    """

    def __init__(self, *, timeouts_max: int, errors_max: int) -> None:
        self._timeouts_max = timeouts_max
        self._errors_max = errors_max
        self._timeouts = 0
        self._errors = 0
        self._listeners: list[Callable[[], None]] = []
        self.reason: str | None = None
        """Why it is open, without secrets; None while it is closed."""
        self._cause: str | None = None
        self._opened_by: StoreUnavailable | None = None
        """The time-out that opened it, while nothing but time-outs keeps it open."""
        self.opened_at: float | None = None
        """When it opened, by the loop's clock; None while it is closed."""
        self.probes_at: float | None = None
        """When the relay of this process probes again, by the loop's clock; None if it probes now or not at all."""

    @property
    def is_open(self) -> bool:
        """Whether calls to the target are blocked; readiness then reports the target as down."""
        return self.reason is not None

    def when_opened(self, listener: Callable[[], None]) -> None:
        """Calls the listener each time it opens, at once and in the same turn of the loop."""
        self._listeners.append(listener)

    def succeeded(self) -> None:
        """The target answered. Does not close an open breaker, because the answer may be a late one."""
        self._timeouts = self._errors = 0

    def timed_out(self, late: StoreUnavailable) -> None:
        """The target did not answer in time."""
        self._timeouts += 1
        if self._timeouts >= self._timeouts_max:
            opened_by = self._opened_by if self.is_open else late
            self.trip_by(late)
            self._opened_by = opened_by

    def withdraw(self, late: StoreUnavailable) -> None:
        """The target answers others, so this was no outage: closes the breaker if nothing else keeps it open."""
        if self._opened_by is late:
            self.close()

    def failed(self, error: StoreUnavailable) -> None:
        """The target could not be reached."""
        self._errors += 1
        if self._errors >= self._errors_max:
            self.trip_by(error)

    def trip_by(self, error: StoreUnavailable) -> None:
        """`trip`, for the reason that a call met."""
        self.trip(error.message, names_cause=error.names_cause)

    def trip(self, reason: str, *, names_cause: bool = True) -> None:
        """Opens it now, and notifies the listeners. A mere delay does not hide the cause that the target named before:
        that cause may be the only remedy anybody is shown.
        """
        was_open = self.is_open
        self._opened_by = None
        if names_cause:
            self._cause = reason
        self.reason = reason if self._cause in (None, reason) else f"{reason} Before: {self._cause}"
        if was_open:
            return
        self.opened_at = asyncio.get_running_loop().time()
        logger.warning("The target is not called until it answers again: {}", reason)
        for listener in self._listeners:
            listener()

    def close(self) -> None:
        """The probe succeeded: requests may use the target again."""
        self.succeeded()
        if self.is_open:
            logger.info("The target answers again.")
        self.reason = self._cause = self._opened_by = self.opened_at = self.probes_at = None
