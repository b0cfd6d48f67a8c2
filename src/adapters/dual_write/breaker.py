"""Stops asking a target that does not answer."""

from collections.abc import Callable

from loguru import logger


class CircuitBreaker:
    """Closed while the target answers; opens on consecutive outages; closed again by the relay's probe alone.

    Requests never probe: while it is open no request pays for the target. A rejection is no outage.
    """

    def __init__(self, *, timeouts_max: int, errors_max: int) -> None:
        self._timeouts_max = timeouts_max
        self._errors_max = errors_max
        self._timeouts = 0
        self._errors = 0
        self._listeners: list[Callable[[], None]] = []
        self.reason: str | None = None
        """Why it is open, in words safe to show; None while it is closed."""

    @property
    def is_open(self) -> bool:
        """Whether the target is not asked at present; readiness reports it as down."""
        return self.reason is not None

    def when_opened(self, listener: Callable[[], None]) -> None:
        """Calls the listener each time it opens, at once and in the same turn of the loop."""
        self._listeners.append(listener)

    def succeeded(self) -> None:
        """The target answered. Does not close an open breaker: a late answer from before is no proof."""
        self._timeouts = self._errors = 0

    def timed_out(self, reason: str) -> None:
        """The target did not answer in time."""
        self._timeouts += 1
        if self._timeouts >= self._timeouts_max:
            self.trip(reason)

    def failed(self, reason: str) -> None:
        """The target could not be reached."""
        self._errors += 1
        if self._errors >= self._errors_max:
            self.trip(reason)

    def trip(self, reason: str) -> None:
        """Opens it now, and notifies the listeners."""
        was_open = self.is_open
        self.reason = reason
        if was_open:
            return
        logger.warning("The target is not asked until it answers again: {}", reason)
        for listener in self._listeners:
            listener()

    def close(self) -> None:
        """The probe succeeded: requests may use the target again."""
        self.succeeded()
        if self.is_open:
            logger.info("The target answers again.")
        self.reason = None
