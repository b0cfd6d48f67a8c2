"""A store that is only used as long as a comparison with another store allows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from adapters.records.lanes import LaneLost
from domain.errors import StoreUnavailable


class SourceFailed(StoreUnavailable):
    """The stores were not compared, because the source does not answer; that says nothing about the other store."""


@contextmanager
def of_source() -> Iterator[None]:
    """Wraps calls to the source only: raises SourceFailed, with the same message, instead of StoreUnavailable."""
    try:
        yield
    except (SourceFailed, LaneLost):
        raise
    except StoreUnavailable as error:
        if not error.is_of_the_store:
            raise
        raise SourceFailed(error.message) from error


@runtime_checkable
class Compared(Protocol):
    """Comparing costs more than a ping and may write. So only who connects the store and the relay compare; probes read
    what was found.
    """

    async def compare(self) -> None:
        """Compares the stores now, and enters this one where that was not done yet.

        Raises StoreUnavailable, and StoreRefused for a store that must not be used.
        """

    def require_compared(self) -> None:
        """Raises StoreUnavailable if the last comparison spoke against the store, or was too long ago; SourceFailed
        where the source has kept it from being repeated.
        """
