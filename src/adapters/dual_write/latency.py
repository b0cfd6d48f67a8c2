"""Latencies of the target's confirmations, by collection."""

from collections import deque

SAMPLES_MAX = 1_024
_COLLECTIONS_MAX = 64


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
