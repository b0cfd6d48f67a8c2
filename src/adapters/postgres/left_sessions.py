"""Sessions of the server that go on although this process has left them, because no answer came in time.

A session that executes a statement ends by its time limit at the latest, and holds its locks until then. One
that waits at its commit for a standby ends by no time limit at all, and each further commit would add another one.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import lru_cache
from typing import Any

from domain.errors import StoreUnavailable

LOOK_SECONDS = 0.5
"""How often to check whether commits wait for a standby, while writes depend on it."""
AGAIN_SECONDS = 0.1
"""How long a session has to end before it is asked again."""
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
        self._again: asyncio.TimerHandle | None = None

    def parameters(self, *, is_ending: bool = False) -> dict[str, list[int]]:
        """Those of LOOK, which ends nothing unless `is_ending`."""
        return {
            "left": list(self._left),
            "ending": [pid for pid, may_be_ended in self._left.items() if may_be_ended and is_ending],
        }

    def note(self, server_process: int, *, look: Look | None) -> None:
        """A session was left. With `look`, which runs LOOK, its statement is ended soon: it is repeated, and must not
        wait for its own locks. What may be a commit that nobody repeats is never ended: it would be stored without
        its standby.
        """
        if len(self._left) >= LEFT_MAX:
            del self._left[next(iter(self._left))]
        self._left[server_process] = look is not None
        if look is not None:
            self._begin(look)

    def learn(self, asked: Collection[int], rows: Sequence[Sequence[Any]]) -> None:
        """Takes the rows of LOOK, which was asked about these of the sessions. Raises WaitsForStandby."""
        for pid in set(asked) - {pid for pid, *_ in rows}:
            self._left.pop(pid, None)
        self._waits_for_standby = any(waits for _, waits, _ in rows)
        self._looked_at = asyncio.get_running_loop().time()
        self._require_no_wait()

    async def require_commits(self, look: Look) -> None:
        """Raises WaitsForStandby while a session of this account waits for one, so that no more of them do.

        Those who ask at the same time share one look. Where it gets no answer, the write itself meets the cause.
        """
        if not (self._left or self._waits_for_standby):
            return
        if asyncio.get_running_loop().time() - self._looked_at >= LOOK_SECONDS:
            self._begin(look)
            if self._looking is not None:
                await asyncio.shield(self._looking)
        self._require_no_wait()

    def _require_no_wait(self) -> None:
        if self._waits_for_standby:
            raise WaitsForStandby

    def _begin(self, look: Look) -> None:
        self._looking = self._looking or asyncio.get_running_loop().create_task(self._look(look))

    async def _look(self, look: Look) -> None:
        """Looks once, and soon again while sessions are left that may be ended."""
        loop = asyncio.get_running_loop()
        if self._again is not None:
            self._again.cancel()
        try:
            await look()
        except WaitsForStandby:
            return  # the next write looks again
        except StoreUnavailable:
            self._waits_for_standby = False  # unknown; the next call meets the cause and reports it
            self._looked_at = loop.time()
        else:
            if any(self._left.values()):
                self._again = loop.call_later(AGAIN_SECONDS, self._begin, look)
        finally:
            self._looking = None


@lru_cache(STATEMENTS_MAX)
def is_write(statement: str) -> bool:
    """Whether a statement changes rows, so that its commit may have to wait."""
    return _WRITES.search(statement) is not None
