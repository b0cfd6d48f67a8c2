"""The reasons why an application cannot start, for entrypoints that may not import adapters."""

from adapters.auth.keys import UnusableKey
from adapters.ownership.refusals import WritesRefused
from adapters.records.record_store import NothingStored, StoreRefused


class UnmigratedStore(StoreRefused):
    """A store whose schema is not the one that this program needs. The message names the command to type."""


__all__ = ["NothingStored", "StoreRefused", "UnmigratedStore", "UnusableKey", "WritesRefused"]
