"""Since when a process has seen a store answer without a gap."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adapters.ownership.comparison import BEAT_SECONDS
from adapters.records.lanes import LaneLost
from domain.errors import StoreUnavailable


class Sight:
    """The silence of others in a store says nothing about them while the store did not answer to this process either.

    So the watch begins anew with every call that failed, was given up, or took longer than a beat.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since = monotonic()

    @property
    def seconds(self) -> float:
        """For how long the store has answered without a gap."""
        return self._monotonic() - self._since

    def lose(self) -> None:
        """The store did not answer: the watch begins anew."""
        self._since = self._monotonic()

    @contextmanager
    def of_call(self) -> Iterator[None]:
        """Watches one call to the store; LaneLost is an answer."""
        began = self._monotonic()
        try:
            yield
        except LaneLost:
            raise
        except (StoreUnavailable, OSError, asyncio.CancelledError):
            self.lose()
            raise
        finally:
            if self._monotonic() - began > BEAT_SECONDS:
                self.lose()
