"""How long the target takes to confirm change sets, and how many entries of the backlog it takes in a second."""

import asyncio
from collections import deque

SAMPLES_MAX = 1_024
_COLLECTIONS_MAX = 64
RATE_SECONDS = 10


class MirrorLatencies:
    """The last SAMPLES_MAX confirmations of each collection, in milliseconds."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[float]] = {}

    def note(self, collection: str, elapsed_ms: float) -> None:
        """Adds the latency of one confirmation."""
        samples = self._samples.get(collection)
        if samples is None:
            if len(self._samples) >= _COLLECTIONS_MAX:
                return
            samples = self._samples[collection] = deque(maxlen=SAMPLES_MAX)
        samples.append(elapsed_ms)

    def quantile(self, collection: str, share: float) -> float | None:
        """The latency quantile (0 to 1) of a collection in milliseconds; None without confirmations."""
        samples = sorted(self._samples.get(collection, ()))
        return samples[min(int(share * len(samples)), len(samples) - 1)] if samples else None


class DeliveryRate:
    """Counts delivered entries by second, for the last RATE_SECONDS full seconds."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque(maxlen=RATE_SECONDS + 1)

    def note(self, entries: int) -> None:
        """Adds entries that were delivered now."""
        second = int(asyncio.get_running_loop().time())
        count = 0
        if self._seconds and self._seconds[-1][0] == second:
            _, count = self._seconds.pop()
        self._seconds.append((second, count + entries))

    def per_second(self) -> int:
        """The mean rate since the first delivery of this period, in entries a second."""
        now = asyncio.get_running_loop().time()
        recent = [(second, count) for second, count in self._seconds if now - second <= RATE_SECONDS]
        if not recent:
            return 0
        return round(sum(count for _, count in recent) / max(now - recent[0][0], 1.0))
