"""When a collection is routed no more, because the target answers too often otherwise or not at all."""

import time
from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 60.0
DIFFERENCES_MAX = 5
"""So many differences of a collection within the window are borne."""
ERRORS_MAX = 50
"""So many reads that the target did not answer within the window are borne."""


class Setbacks:
    """Differences and errors by collection, within the window and up to their bounds."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._times: dict[tuple[str, int], deque[float]] = {}

    def difference(self, collection: str) -> bool:
        """Notes one; returns whether there are too many now."""
        return self._noted(collection, DIFFERENCES_MAX)

    def error(self, collection: str) -> bool:
        """Notes one; returns whether there are too many now."""
        return self._noted(collection, ERRORS_MAX)

    def forget(self, collection: str) -> None:
        """Another route of the collection was set."""
        for bound in (DIFFERENCES_MAX, ERRORS_MAX):
            self._times.pop((collection, bound), None)

    def _noted(self, collection: str, bound: int) -> bool:
        times = self._times.setdefault((collection, bound), deque(maxlen=bound + 1))
        now = self._monotonic()
        times.append(now)
        return len(times) > bound and now - times[0] <= WINDOW_SECONDS
