"""Why an application cannot start, in words of ours, for entrypoints that may not know the adapters."""

from adapters.auth.keys import UnusableKey
from adapters.records.record_store import StoreRefused


class UnmigratedStore(StoreRefused):
    """A store whose schema is not the one this program was written for; the message says what to type."""


__all__ = ["StoreRefused", "UnmigratedStore", "UnusableKey"]
