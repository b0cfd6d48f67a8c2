"""How long operations took in the last seconds, for work in the background that gives way to them."""

from collections import deque
from collections.abc import Callable
from time import perf_counter

WINDOW_SECONDS = 10.0
SAMPLES_MAX = 2_048
"""Under more load, the newest ones speak for the window."""
SAMPLES_MIN = 20
"""Fewer operations say nothing about the latency."""
QUANTILE = 0.99


class RecentLatency:
    """The durations of the last operations of one process."""

    def __init__(self, *, monotonic: Callable[[], float] = perf_counter) -> None:
        self._monotonic = monotonic
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES_MAX)

    def note(self, seconds: float, *, ended_at: float) -> None:
        """Adds an operation; `ended_at` is monotonic."""
        self._samples.append((ended_at, seconds))

    def p99_ms(self) -> float | None:
        """The 99th percentile in milliseconds; None if too few operations have ended in the window."""
        since = self._monotonic() - WINDOW_SECONDS
        recent = sorted(seconds for ended_at, seconds in self._samples if ended_at >= since)
        if len(recent) < SAMPLES_MIN:
            return None
        return recent[min(int(QUANTILE * len(recent)), len(recent) - 1)] * 1000
