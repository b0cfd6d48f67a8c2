"""A store that is only used as long as a comparison with another store allows it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from adapters.records.lanes import LaneLost
from domain.errors import StoreUnavailable

_OF_SOURCE = "It was a call to the source."


class SourceFailed(StoreUnavailable):
    """The stores were not compared, because the source does not answer; that says nothing about the other store."""


@contextmanager
def of_source() -> Iterator[None]:
    """Wraps calls to the source only: raises SourceFailed, with the same message, instead of StoreUnavailable. A call
    that is given up in the middle is marked, see `was_of_source`.
    """
    try:
        yield
    except asyncio.CancelledError as cancelled:
        cancelled.add_note(_OF_SOURCE)
        raise
    except (SourceFailed, LaneLost):
        raise
    except StoreUnavailable as error:
        if not error.is_of_the_store:
            raise
        raise SourceFailed(error.message) from error


def was_of_source(cancelled: asyncio.CancelledError) -> bool:
    """Whether a comparison was given up while it waited for the source."""
    return _OF_SOURCE in getattr(cancelled, "__notes__", ())


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
