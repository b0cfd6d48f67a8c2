"""How long a request may take, watched from outside: one look a second instead of one timer a request."""

import asyncio
from time import perf_counter

LOOK_SECONDS = 1.0


class Deadlines:
    """Cancels the tasks of requests that take longer than allowed, at the next look after that.

    A timer for each request would cost more than everything else around it. Bounded by the requests in flight.
    """

    def __init__(self, allowed_seconds: float, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._allowed_seconds = allowed_seconds
        self._look_seconds = look_seconds
        self._started: dict[asyncio.Task[object], float] = {}
        self._overdue: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def enter(self, task: asyncio.Task[object], now_seconds: float) -> None:
        """A request begins; `now_seconds` is the performance counter."""
        self._started[task] = now_seconds
        if self._timer is None or self._loop is not task.get_loop():
            self._loop = task.get_loop()
            self._timer = self._loop.call_later(self._look_seconds, self._look)

    def leave(self, task: asyncio.Task[object]) -> bool:
        """A request ends; answers whether it was cancelled here, and then takes the cancellation back."""
        self._started.pop(task, None)
        if task not in self._overdue:
            return False
        self._overdue.discard(task)
        task.uncancel()
        return True

    def _look(self) -> None:
        now = perf_counter()
        for task, started in list(self._started.items()):
            if now - started >= self._allowed_seconds and task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        self._timer = None
        if self._started and self._loop is not None:
            self._timer = self._loop.call_later(self._look_seconds, self._look)
