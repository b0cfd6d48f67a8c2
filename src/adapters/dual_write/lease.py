"""The lease that lets one process at a time run the relay, or another background work."""

import asyncio

from adapters.records.control_records import read_control, write_control
from adapters.records.record_store import RecordStore
from domain.errors import Conflict

LEASE_ID = "relay-lease"
FREE = {"holder": None}
"""The value of a lease that nobody has."""


class RelayLease:
    """A control record of the source, taken and renewed by compare-and-set.

    No clock is shared: a process that waits for the lease watches its version, and takes it over when that has not
    changed for `lease_ms` by its own monotonic clock. Two concurrent relays do no harm; the lease only saves work.
    """

    def __init__(self, source: RecordStore, *, holder: str, lease_ms: int, id: str = LEASE_ID) -> None:
        self._source = source
        self._id = id
        self._holder = holder
        self._lease_seconds = lease_ms / 1000
        self._held_version: int | None = None
        self._renewed_at = 0.0
        self._watched_version: int | None = None
        self._watched_since = 0.0

    async def hold(self) -> bool:
        """Takes or renews the lease if that is due. Returns whether this process has it. Raises StoreUnavailable."""
        now = asyncio.get_running_loop().time()
        if self._held_version is not None and now - self._renewed_at < self._lease_seconds / 3:
            return True
        version, value = await read_control(self._source, self._id)
        if value is None or value.get("holder") is None or self._may_take(version, now):
            return await self._write(self._holder, version, now)
        self._held_version = None
        return False

    async def release(self) -> None:
        """Releases the lease, so that another process can take it at once. Harmless without it.

        Raises StoreUnavailable.
        """
        if self._held_version is not None:
            await self._write(None, self._held_version, asyncio.get_running_loop().time())
            self._held_version = None

    def _may_take(self, version: int, now: float) -> bool:
        """Whether the holder of this version is this process, or has not renewed it in time."""
        if version == self._held_version:
            return True
        if version != self._watched_version:
            self._watched_version, self._watched_since = version, now
            return False
        return now - self._watched_since >= self._lease_seconds

    async def _write(self, holder: str | None, expected_version: int, now: float) -> bool:
        try:
            await write_control(self._source, self._id, {"holder": holder}, over=expected_version)
        except Conflict:
            self._held_version = None
            return False
        self._held_version, self._renewed_at = expected_version + 1, now
        return True
