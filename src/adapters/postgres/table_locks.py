"""Who keeps a table of Tandem locked, and which prepared transactions keep rows of it locked.

Other locks on rows show nothing here: the server keeps them in the rows.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import starmap

import psycopg

from adapters.postgres.errors import Contention, RowLocked, TableLocked
from adapters.postgres.installed_columns import Run
from adapters.postgres.installed_schema import OWN_COLUMNS
from adapters.postgres.rows import FORMS
from domain.errors import StoreUnavailable

KNOWN_SECONDS = 0.3
"""How long an answer is good for others who ask."""
ROW_LOCKED = "Another transaction keeps a row of {} locked; end it, or try again in a moment."
NAMED_MAX = 3
"""How many locks one message names."""
LOCKS_MAX = 256
"""How many locks are read."""
PROGRAM_LENGTH_MAX = 40
_TABLES = [*OWN_COLUMNS, *(form.table for form in FORMS.values())]
_LOCKS = """
    SELECT name, held.mode IN ('RowShareLock', 'RowExclusiveLock'), held.pid, activity.application_name,
        coalesce(activity.xact_start, prepared.prepared), pg_blocking_pids(held.pid), quote_literal(prepared.gid)
    FROM unnest(%s::text[]) AS name
    JOIN pg_locks AS held ON held.locktype = 'relation' AND held.relation = to_regclass(quote_ident(name))
        AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    LEFT JOIN pg_stat_activity AS activity ON activity.pid = held.pid
    LEFT JOIN pg_prepared_xacts AS prepared ON held.pid IS NULL AND EXISTS (
        SELECT FROM pg_locks AS own WHERE own.pid IS NULL AND own.virtualtransaction = held.virtualtransaction
            AND own.locktype = 'transactionid' AND own.transactionid = prepared.transaction
    )
    WHERE held.pid IS DISTINCT FROM pg_backend_pid() AND (held.pid IS NOT NULL OR prepared.gid IS NOT NULL) AND (
        held.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        OR held.mode IN ('RowShareLock', 'RowExclusiveLock')
            AND prepared.prepared < clock_timestamp() - interval '1 s'
    )
    ORDER BY held.granted DESC, name, held.pid
    LIMIT %s
"""
"""The locks on tables that keep writes, and perhaps reads, from them, and those of prepared transactions that keep rows
of them locked. A session that waits for such a lock keeps everybody waiting who comes after it. A prepared transaction
has no session any more, and its virtual transaction has another number before a restart than after it. One that is
younger than a second is about to be ended by whoever has prepared it.
"""
_TABLE_NAMES = frozenset(_TABLES)
_TUPLE = re.compile(r"\(\d+,\d+\)")
"""The place of a row, in the context of an error about its lock, in whatever language the server speaks."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class _Lock:
    """A row of `_LOCKS`: the lock of a session, or of the prepared transaction `gid`, which has no `session`."""

    table: str
    is_of_rows: bool
    session: int | None
    program: str | None
    began: datetime | None
    blocked_by: Sequence[int]
    gid: str | None

    @property
    def holder(self) -> str:
        """Who holds it. Its times are those of the server's record, so that the words stay the same while it lasts."""
        since = None if self.began is None else f"since {self.began.astimezone(UTC):%H:%M:%S} UTC"
        if self.gid is not None:
            return f"{self.gid} ({since})"
        facts = [self.program[:PROGRAM_LENGTH_MAX]] if self.program else []
        if since is not None:
            facts.append(f"in a transaction {since}")
        if self.blocked_by:
            # The server names a prepared transaction by 0.
            other = f"session {self.blocked_by[0]}" if self.blocked_by[0] else "a prepared transaction"
            facts.append(f"waiting for {other}")
        return f"session {self.session} ({', '.join(facts)})" if facts else f"session {self.session}"

    @property
    def remedy(self) -> str:
        """How to end the transaction that holds it."""
        if self.gid is None:
            return f"To end it, type in psql: SELECT pg_terminate_backend({self.session})."
        kept = f"(or, to keep its changes: COMMIT PREPARED {self.gid})"
        return f"To end it, type in psql: ROLLBACK PREPARED {self.gid} {kept}."


class TableLocks:
    """Looks for locks after a statement has waited in vain for one. Those who ask at the same time share an answer.

    `run` must not need a connection of the pool: those who wait for the lock hold all of them.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._looking = asyncio.Lock()
        self._looked_at = -KNOWN_SECONDS
        self._found: list[_Lock] = []

    async def explained(self, contention: Contention, statement: str) -> Contention:
        """What says more than the error: TableLocked, with the table and who has locked it, where that is one that the
        failed statement names, or any table if it names none, as a question to the catalogue; RowLocked, with the
        prepared transaction, where one keeps rows of such a table locked; else Contention, with the table whose row is
        locked. The error itself where the lock has gone, or where that cannot be found out.
        """
        async with self._looking:
            if time.monotonic() - self._looked_at > KNOWN_SECONDS:
                self._found = []
                with suppress(StoreUnavailable):
                    rows = await self._run(_LOCKS, [_TABLES, LOCKS_MAX])
                    self._found = list(starmap(_Lock, rows))
                self._looked_at = time.monotonic()
            named = _TABLE_NAMES.intersection(_WORD.findall(statement))
            of_rows = [lock for lock in self._found if lock.is_of_rows and lock.table in named][:NAMED_MAX]
            locked = named or _TABLE_NAMES
            of_tables = [lock for lock in self._found if not lock.is_of_rows and lock.table in locked][
                :NAMED_MAX
            ]
        if of_tables and not _is_about_row(contention):
            return TableLocked(_words(of_tables))
        if of_rows:
            return RowLocked(_words_of_rows(of_rows))
        table = table_of_locked_row(contention)
        return Contention(ROW_LOCKED.format(table)) if table else contention


def table_of_locked_row(contention: Contention) -> str | None:
    """The table of Tandem that has the row for which a statement has waited in vain; None where it was no row."""
    context = _context_of(contention)
    if not _TUPLE.search(context):
        return None
    return next((word for word in _WORD.findall(context) if word in _TABLE_NAMES), None)


def _is_about_row(contention: Contention) -> bool:
    return _TUPLE.search(_context_of(contention)) is not None


def _context_of(contention: Contention) -> str:
    cause = contention.__cause__
    return (cause.diag.context or "") if isinstance(cause, psycopg.Error) else ""


def _words(found: Sequence[_Lock]) -> str:
    tables = _tables_of(found)
    holders = list(dict.fromkeys(lock.holder for lock in found))
    who = "A prepared transaction" if found[0].gid else "Another session"
    return (
        f"{who} has locked {tables} of PostgreSQL, so nothing was read or saved there: {', '.join(holders)}."
        f" {found[0].remedy} Or wait for it."
    )


def _words_of_rows(found: Sequence[_Lock]) -> str:
    holders = list(dict.fromkeys(lock.holder for lock in found))
    return (
        f"Nothing was saved. A prepared transaction keeps rows of {_tables_of(found)} of PostgreSQL locked:"
        f" {', '.join(holders)}. {found[0].remedy}"
    )


def _tables_of(found: Sequence[_Lock]) -> str:
    return " and ".join(dict.fromkeys(lock.table for lock in found))
