"""Sessions of the server that go on although this process has left them, because no answer came in time.

A session that executes a statement ends by its time limit at the latest, and holds its locks until then. One
that waits at its commit for a standby ends by no time limit at all, and each further commit would add another one.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any

from domain.errors import StoreUnavailable

LOOK_SECONDS = 0.5
"""How often it is looked whether commits wait for a standby, while writes depend on it."""
LEFT_MAX = 256
STATEMENTS_MAX = 512

LOOK = """
    SELECT pid, wait_event = 'SyncRep', CASE
        WHEN pid = ANY(%(ending)s::int[]) AND state = 'active' AND wait_event IS DISTINCT FROM 'SyncRep'
        THEN pg_catalog.pg_cancel_backend(pid) END
    FROM pg_catalog.pg_stat_activity
    WHERE usename = current_user AND pid <> pg_catalog.pg_backend_pid() AND (
        pid = ANY(%(left)s::int[]) OR wait_event = 'SyncRep' AND query_start < clock_timestamp() - interval '2 s')
"""
"""Which of the sessions still run, and which wait for a standby. Ends the statements of those that may be ended."""

_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b")

Look = Callable[[], Awaitable[None]]


class WaitsForStandby(StoreUnavailable):
    """PostgreSQL waits at each commit for a standby that does not confirm it. Start the standby, or change
    synchronous_standby_names and reload the configuration.
    """


class LeftSessions:
    """Those of one store, over all its connections."""

    def __init__(self) -> None:
        self._left: dict[int, bool] = {}
        """The server process of each, and whether its statement may be ended."""
        self._waits_for_standby = False
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    @property
    def parameters(self) -> dict[str, list[int]]:
        """Those of LOOK."""
        return {
            "left": list(self._left),
            "ending": [pid for pid, is_ending in self._left.items() if is_ending],
        }

    def note(self, server_process: int, *, look: Look | None) -> None:
        """A session was left. With `look`, which runs LOOK, its statement is ended soon: it is repeated, and must not
        wait for its own locks. What may be a commit that nobody repeats is never ended: it would be stored without
        its standby.
        """
        if len(self._left) >= LEFT_MAX:
            del self._left[next(iter(self._left))]
        self._left[server_process] = look is not None
        if look is not None and self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(_look_once(look))
            self._looking.add_done_callback(self._note_looked)

    def learn(self, rows: Sequence[Sequence[Any]]) -> None:
        """Takes the rows of LOOK. Raises WaitsForStandby."""
        running = {pid for pid, *_ in rows}
        self._left = {pid: may_be_ended for pid, may_be_ended in self._left.items() if pid in running}
        self._waits_for_standby = any(waits for _, waits, _ in rows)
        self._looked_at = asyncio.get_running_loop().time()
        self._require_no_wait()

    async def require_commits(self, look: Look) -> None:
        """Raises WaitsForStandby while a session of this account waits for one, so that no more of them do."""
        if not (self._left or self._waits_for_standby):
            return
        if asyncio.get_running_loop().time() - self._looked_at >= LOOK_SECONDS:
            await look()
        self._require_no_wait()

    def _require_no_wait(self) -> None:
        if self._waits_for_standby:
            raise WaitsForStandby

    def _note_looked(self, _: asyncio.Task[None]) -> None:
        self._looking = None


@lru_cache(STATEMENTS_MAX)
def is_write(statement: str) -> bool:
    """Whether a statement changes rows, so that its commit may have to wait."""
    return _WRITES.search(statement) is not None


async def _look_once(look: Look) -> None:
    try:
        await look()
    except StoreUnavailable:
        return  # the next call meets the cause and reports it
