"""How fast a backfill goes: the size of its pages, and its rests."""

import asyncio
from collections import deque
from collections.abc import Callable

from adapters.records.loading import LOAD_MAX

PAGE_MIN = 50
"""The first page, and the smallest one."""
PAGE_SECONDS = 0.3
"""The time that a page should take: requests that write the same records wait for no longer than that."""
GROWTH_MAX = 2.0
"""By how much a page may be larger than the one before."""
SLOWER_MAX = 1.5
"""How much slower than before the backfill requests may become."""
LATENCY_FLOOR_MS = 20.0
"""Requests that are as fast as this are never too slow, and it stands for the latency where nobody had measured any."""
REST_SECONDS_MIN, REST_SECONDS_MAX = 0.05, 2.0
"""The first rest once requests are too slow, and the longest one. The rest doubles as long as they stay too slow."""
WINDOW = 20
"""Pages by which the present rate is judged."""

Latency = Callable[[], float | None]
"""The recent 99th percentile of requests in milliseconds, or None."""


class PageSize:
    """Adapts the number of records in a page to the time that the last one took."""

    def __init__(self, *, page_max: int = LOAD_MAX) -> None:
        self._max = min(page_max, LOAD_MAX)
        self.records = min(PAGE_MIN, self._max)

    def note(self, records: int, seconds: float) -> None:
        """Notes how long a page took that had so many records."""
        if records == 0:
            return
        fitting = records * PAGE_SECONDS / max(seconds, 1e-6)
        grown = min(fitting, self.records * GROWTH_MAX)
        self.records = max(min(round(grown), self._max), min(PAGE_MIN, self._max))

    def shrink(self) -> None:
        """Begins again with the smallest page, after a failure."""
        self.records = min(PAGE_MIN, self._max)


class Throttle:
    """Rests between pages: for a rate that must not be exceeded, and while requests are slow."""

    def __init__(self, *, rate: int | None, latency: Latency) -> None:
        if rate is not None and rate < 1:
            raise ValueError(f"a rate is at least 1 record per second, not {rate}")
        self._rate = rate
        self._latency = latency
        self._allowed_ms = SLOWER_MAX * max(latency() or 0.0, LATENCY_FLOOR_MS)
        self._free_at = 0.0
        self._rest = 0.0

    def page_max(self, fitting: int) -> int:
        """How many records the next page may have, so that a low rate does not come in bursts of many seconds."""
        return fitting if self._rate is None else max(1, min(fitting, self._rate))

    async def after_page(self, records: int) -> None:
        """Rests as long as it takes."""
        measured = self._latency()
        if measured is not None and measured > self._allowed_ms:
            self._rest = min(max(2 * self._rest, REST_SECONDS_MIN), REST_SECONDS_MAX)
        else:
            self._rest = self._rest / 2 if self._rest > REST_SECONDS_MIN else 0.0
        await asyncio.sleep(max(self._rest, self._seconds_until_free(records)))

    def _seconds_until_free(self, records: int) -> float:
        """The wait that keeps all workers together at the rate."""
        if self._rate is None:
            return 0.0
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + records / self._rate
        return self._free_at - now


class Speed:
    """The present and the mean rate, and the time that is left."""

    def __init__(self) -> None:
        self._pages: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._began: float | None = None
        self._records = 0

    def note(self, records: int) -> None:
        """Notes a page that was loaded just now."""
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        self._records += records
        self._pages.append((now, self._records))

    def rates(self) -> tuple[float, float]:
        """The lower and the higher one of the present and the mean rate, in records per second; 0 if unknown."""
        if len(self._pages) < 2 or self._began is None:
            return 0.0, 0.0
        (first_at, first), (last_at, last) = self._pages[0], self._pages[-1]
        present = (last - first) / max(last_at - first_at, 1e-6)
        mean = self._records / max(last_at - self._began, 1e-6)
        return min(present, mean), max(present, mean)

    def eta_seconds(self, left: int) -> tuple[int, int] | None:
        """The time that so many records take, at best and at worst."""
        slow, fast = self.rates()
        return (round(left / fast), round(left / slow)) if slow > 0 else None
