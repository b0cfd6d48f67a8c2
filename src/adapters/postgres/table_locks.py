"""Who keeps a table of Tandem locked. A locked row shows nothing here: the server keeps row locks in the rows."""

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psycopg

from adapters.postgres.errors import Contention, TableLocked
from adapters.postgres.installed_columns import Run
from adapters.postgres.installed_schema import OWN_COLUMNS
from adapters.postgres.rows import FORMS
from domain.errors import StoreUnavailable

KNOWN_SECONDS = 0.3
"""How long an answer is good for others who ask."""
NAMED_MAX = 3
"""How many locks one message names."""
LOCKS_MAX = 256
"""How many locks are read."""
PROGRAM_LENGTH_MAX = 40
_TABLES = [*OWN_COLUMNS, *(form.table for form in FORMS.values())]
_LOCKS = """
    SELECT name, held.pid, activity.application_name, activity.xact_start, pg_blocking_pids(held.pid)
    FROM unnest(%s::text[]) AS name
    JOIN pg_locks AS held ON held.locktype = 'relation' AND held.relation = to_regclass(quote_ident(name))
        AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    LEFT JOIN pg_stat_activity AS activity ON activity.pid = held.pid
    WHERE held.pid <> pg_backend_pid() AND held.mode IN
        ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    ORDER BY held.granted DESC, name, held.pid
    LIMIT %s
"""
"""The locks on tables that keep writes, and perhaps reads, from them. A session that waits for such a lock keeps
everybody waiting who comes after it.
"""
_TUPLE = re.compile(r"\(\d+,\d+\)")
"""The place of a row, in the context of an error about its lock, in whatever language the server speaks."""
_WORD = re.compile(r"\w+")


class TableLocks:
    """Looks for locks after a statement has waited in vain for one. Those who ask at the same time share an answer.

    `run` must not need a connection of the pool: those who wait for the lock hold all of them.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._looking = asyncio.Lock()
        self._looked_at = -KNOWN_SECONDS
        self._found: list[tuple[Any, ...]] = []

    async def explained(self, contention: Contention, statement: str) -> Contention:
        """TableLocked, with the table and the session, where a table that the failed statement names is locked; else
        the error itself: a row is locked, or the lock has gone, or that cannot be found out.
        """
        if _is_about_row(contention):
            return contention
        async with self._looking:
            if time.monotonic() - self._looked_at > KNOWN_SECONDS:
                self._found = []
                with suppress(StoreUnavailable):
                    self._found = await self._run(_LOCKS, [_TABLES, LOCKS_MAX])
                self._looked_at = time.monotonic()
            words = set(_WORD.findall(statement))
            found = [lock for lock in self._found if lock[0] in words][:NAMED_MAX]
        return TableLocked(_words(found)) if found else contention


def _is_about_row(contention: Contention) -> bool:
    cause = contention.__cause__
    return isinstance(cause, psycopg.Error) and _TUPLE.search(cause.diag.context or "") is not None


def _words(found: Sequence[tuple[Any, ...]]) -> str:
    tables = list(dict.fromkeys(str(name) for name, *_ in found))
    sessions = list(dict.fromkeys(_session(*row[1:]) for row in found))
    first = found[0][1]
    return (
        f"Another session has locked {' and '.join(tables)} of PostgreSQL, so nothing was read or saved there:"
        f" {', '.join(sessions)}. To end it, type in psql: SELECT pg_terminate_backend({first}). Or wait for it."
    )


def _session(pid: int, program: str | None, began: datetime | None, blocked_by: Sequence[int]) -> str:
    """One session. Its times are those of the server's record, so that the words stay the same while it lasts."""
    facts = [program[:PROGRAM_LENGTH_MAX]] if program else []
    if began is not None:
        facts.append(f"in a transaction since {began.astimezone(UTC):%H:%M:%S} UTC")
    if blocked_by:
        facts.append(f"waiting for session {blocked_by[0]}")
    return f"session {pid} ({', '.join(facts)})" if facts else f"session {pid}"
