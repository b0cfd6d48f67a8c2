"""What a cache server still has to be told to forget."""

from collections.abc import Iterable, Sequence
from itertools import count, islice

OWED_MAX = 10_000


class OwedForgets:
    """Keys that may hold something old, bounded. Beyond OWED_MAX it no longer knows which, so all must run out."""

    def __init__(self, *, keys_max: int = OWED_MAX) -> None:
        self._keys_max = keys_max
        self._numbers = count()
        self._owed: dict[str, int] = {}
        self._all_old_until: float | None = None

    def __len__(self) -> int:
        """How many keys are known to be owed."""
        return len(self._owed)

    def add(self, keys: Iterable[str], *, runs_out_at: float) -> None:
        """Notes keys whose places may be old, until the server drops them by itself at `runs_out_at`."""
        for key in keys:
            self._owed[key] = next(self._numbers)
        if self._all_old_until is not None or len(self._owed) > self._keys_max:
            self._owed.clear()
            self._all_old_until = runs_out_at

    def some(self, at_most: int) -> Sequence[tuple[str, int]]:
        """Keys to forget next, each with the number that `settled` wants back."""
        return list(islice(self._owed.items(), at_most))

    def settled(self, forgotten: Iterable[tuple[str, int]]) -> None:
        """The server forgot these keys; those that were owed again meanwhile stay owed."""
        for key, number in forgotten:
            if self._owed.get(key) == number:
                del self._owed[key]

    def has_run_out(self, now: float) -> bool:
        """Whether nothing is owed beyond the keys known."""
        if self._all_old_until is not None and now >= self._all_old_until:
            self._all_old_until = None
        return self._all_old_until is None
