"""How fast the relay works through a backlog, so that requests do not feel it."""

import asyncio
from collections.abc import Iterator

from adapters.dual_write.grouping import Entries, connected

PART_MAX = 50
"""The largest number of entries delivered at once, unless more depend on each other: nothing else waits longer than for
these, on the event loop, for the writer of the source, and in the target.
"""
CALM_PART_MAX = 250
"""The same while no request has called the store for CALM_SECONDS: each part costs round trips and two `fsync`s."""
CALM_SECONDS = 1.0
QUIET_SECONDS = 0.05
"""A rest follows a part if a request called the store during it, or so long before its beginning."""
REST_SHARE = 3.0
"""While requests are served, the relay rests this many times as long as its last part took."""
REST_SECONDS_MAX = 0.5
"""The longest rest, so that a backlog drains under any load."""


class Pace:
    """Small parts always; after each, a rest in proportion to its time while requests are served, none otherwise.

    A part takes longer under more load, so the rests grow with the load by themselves.
    """

    def __init__(self) -> None:
        self._served_at: float | None = None

    def note_request(self) -> None:
        """A request calls the store now."""
        self._served_at = asyncio.get_running_loop().time()

    def parts(self, page: Entries) -> Iterator[Entries]:
        """The page in parts, oldest first. What shares a record or a change set stays together, so that many versions
        of one record are still carried as the latest.
        """
        part: Entries = []
        for group in connected(page):
            if part and len(part) + len(group) > self._part_max():
                yield part
                part = []
            part = part + group
        if part:
            yield part

    def _part_max(self) -> int:
        return PART_MAX if self._is_served_since(CALM_SECONDS) else CALM_PART_MAX

    async def rest(self, took_seconds: float) -> None:
        """Rests after a part that took this time; without requests it only lets others have the event loop."""
        is_busy = self._is_served_since(took_seconds + QUIET_SECONDS)
        await asyncio.sleep(min(REST_SHARE * took_seconds, REST_SECONDS_MAX) if is_busy else 0)

    def _is_served_since(self, seconds: float) -> bool:
        now = asyncio.get_running_loop().time()
        return self._served_at is not None and now - self._served_at < seconds
