"""A token bucket for each caller of this process."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic
from typing import Self

from entrypoints.composition.settings import RateLimit
from entrypoints.http.protocol.problems import TooManyRequests

BUCKETS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """The remaining allowance of a caller. `retry_after_seconds` is 0 if the request is allowed."""

    limit: int
    remaining: int
    reset_seconds: int
    retry_after_seconds: int

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The RateLimit headers."""
        return (
            (b"ratelimit-limit", str(self.limit).encode()),
            (b"ratelimit-remaining", str(self.remaining).encode()),
            (b"ratelimit-reset", str(self.reset_seconds).encode()),
        )


class RateLimiter:
    """At most `requests` in a burst, refilled evenly over `period_seconds`.

    Beyond BUCKETS_MAX callers, the least recently seen one is dropped and starts with a full bucket again.
    """

    def __init__(self, requests: int, period_seconds: float) -> None:
        self._requests = requests
        self._per_second = requests / period_seconds
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @classmethod
    def of(cls, limit: RateLimit | None) -> Self | None:
        """The limiter for a setting; None without one."""
        return None if limit is None else cls(limit.requests, limit.period_seconds)

    def require(self, caller: str) -> None:
        """Takes one request from the caller's bucket now. Raises TooManyRequests if the bucket is empty."""
        allowance = self.take(caller, monotonic())
        if allowance.retry_after_seconds:
            raise TooManyRequests(retry_after_seconds=allowance.retry_after_seconds)

    def require_some(self, caller: str) -> None:
        """Takes nothing. Raises TooManyRequests if the caller's bucket is empty now."""
        level, last_seen = self._buckets.get(caller, (float(self._requests), monotonic()))
        level += (monotonic() - last_seen) * self._per_second
        if level < 1.0:
            raise TooManyRequests(retry_after_seconds=max(1, math.ceil((1.0 - level) / self._per_second)))

    def take(self, caller: str, now_seconds: float) -> Allowance:
        """Takes one request from the caller's bucket; `now_seconds` is a monotonic clock."""
        level, last_seen = self._buckets.get(caller, (float(self._requests), now_seconds))
        level = min(float(self._requests), level + (now_seconds - last_seen) * self._per_second)
        is_empty = level < 1.0
        if not is_empty:
            level -= 1.0
        self._buckets[caller] = (level, now_seconds)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)
        return Allowance(
            limit=self._requests,
            remaining=int(level),
            reset_seconds=math.ceil((self._requests - level) / self._per_second),
            retry_after_seconds=max(1, math.ceil((1.0 - level) / self._per_second)) if is_empty else 0,
        )
