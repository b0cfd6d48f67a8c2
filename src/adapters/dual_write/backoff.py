"""How long to wait before the next attempt: doubling, with jitter, capped."""

from random import Random

# The pause has reached its maximum long before this number of attempts; the bound keeps the power small.
_ATTEMPT_MAX = 30


class BackOff:
    """Pauses of `first`, twice `first`, and so on up to `longest` seconds, each with up to `first` of jitter more."""

    def __init__(self, *, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest

    def seconds_after(self, attempt: int, *, jitter: int | None = None) -> float:
        """The pause after this many failed attempts, counted from one; the same for the same `jitter`."""
        doublings = min(max(attempt, 1), _ATTEMPT_MAX) - 1
        pause = min(self._first * float(2**doublings), self._longest)
        return pause + Random(jitter).uniform(0, self._first)  # noqa: S311 - jitter, not a secret
