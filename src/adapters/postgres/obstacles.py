"""Finds what keeps a target from accepting change sets: tables that accept no row, and rows that others have locked."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.postgres.classification import (
    FULL_STATES,
    Meaning,
    cause_and_state_of,
    is_raised,
    meaning_of,
    state_of,
)
from adapters.postgres.connections import Connections
from adapters.postgres.errors import RowLocked, TableLocked
from adapters.postgres.new_rows import NewRows
from adapters.postgres.rehearsed_statements import REWRITE, TABLE_OF_FILE
from adapters.postgres.statements import MIRROR_ROWS, UNLOCKED_ROWS, VERSIONS_OF
from adapters.records.change_set import Blocked, ChangeSet
from adapters.records.specs import AUDIT_LOGS, SPECS
from domain.errors import TandemError

SOUND_SECONDS = 1.0
"""How long a table that accepts rows is not looked into again, while one rejected row after another is isolated."""
SOUND_MAX = 256
ROW_LOCKED = "Another session holds a lock on its row (SQLSTATE 55P03)."
_ABOUT_TABLES = (Meaning.LOCK, Meaning.TABLE)
_FILE = re.compile(r'file "[^"]*/(\d+)[^/"]*"')


@dataclass(frozen=True, slots=True)
class Obstacles:
    """Blocked tables by collection, and locked rows by (collection, id)."""

    tables: dict[str, Blocked] = field(default_factory=dict)
    records: dict[tuple[str, str], Blocked] = field(default_factory=dict)

    def before(self, change_set: ChangeSet) -> Blocked | None:
        """What blocks a change set, if anything: it is applied as a whole, so one obstacle is enough."""
        if change_set.entries and (blocked := self.tables.get(AUDIT_LOGS.collection)):
            return blocked
        for collection, record_id in change_set.touched():
            if blocked := self.tables.get(collection) or self.records.get((collection, record_id)):
                return blocked
        return None


class ObstacleSearch:
    """Looks for obstacles after an error. Everything that it writes is rolled back."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._new_rows = NewRows(connections)
        self._sound: dict[tuple[str, str | None], float] = {}
        """When a table last accepted rows although one was rejected with this SQLSTATE, by the loop's clock."""

    async def after(self, error: TandemError, change_sets: Sequence[ChangeSet]) -> Obstacles:
        """The obstacles between the change sets and their tables. Raises StoreUnavailable for an outage."""
        ids: dict[str, list[str]] = {}
        for change_set in change_sets:
            for collection, record_id in change_set.touched():
                ids.setdefault(collection, []).append(record_id)
        obstacles = Obstacles()
        for collection in (*ids, AUDIT_LOGS.collection):
            found = await self._rejection(collection, error, besides=ids.get(collection, []))
            if found is not None:
                obstacles.tables[collection] = _blocked_table(collection, found, change_sets)
        if not obstacles.tables and state_of(error) in FULL_STATES and not is_raised(error):
            # A row that the table holds may still fit where it is.
            collection = await self._full_table(error) or next(iter(ids), AUDIT_LOGS.collection)
            obstacles.tables[collection] = _blocked_table(collection, error, change_sets)
        if meaning_of(error) in (Meaning.LOCK, Meaning.SLOW):
            for collection in ids.keys() - obstacles.tables.keys():
                obstacles.records.update(await self._locked(collection, ids[collection], error))
        return obstacles

    async def _rejection(
        self, collection: str, error: TandemError, *, besides: list[str]
    ) -> TandemError | None:
        """The error with which a table rejects every row: no rows at all, those that it already holds, or new ones.

        An error with another SQLSTATE than the one that is looked into only counts if it is about the table itself.
        """
        state = state_of(error)
        now = asyncio.get_running_loop().time()
        if now - self._sound.get((collection, state), -SOUND_SECONDS) < SOUND_SECONDS:
            return None
        found: TandemError | None = None
        for rewrite in REWRITE[collection]:
            found = await self._error_of(collection, rewrite, besides)
            if found is None or not (meaning_of(found) in _ABOUT_TABLES or state_of(found) == state):
                found = None
                break
        if found is None and await self._new_rows.are_rejected(collection, error, besides=besides):
            found = error
        if found is not None:
            return found
        if len(self._sound) >= SOUND_MAX:
            self._sound.clear()
        self._sound[collection, state] = now
        return None

    async def _error_of(self, collection: str, rewrite: str, besides: list[str]) -> TandemError | None:
        """With which error the table rejects no rows, or one that it holds; one of these only if it has no other."""
        try:
            async with self._connections.transaction(is_rehearsal=True) as transaction:
                await transaction.run(MIRROR_ROWS[collection], {"rows": "[]"})
                written = await transaction.run(rewrite, {"ids": besides})
                if besides and not written.rowcount:
                    await transaction.run(rewrite, {"ids": []})
        except TandemError as error:
            meaning = meaning_of(error)
            if meaning in (Meaning.OUTAGE, Meaning.LOST, Meaning.SILENT):
                raise
            if meaning is Meaning.CLAIM:
                await self._connections.require_writable()
            return error
        return None

    async def _full_table(self, error: TandemError) -> str | None:
        """The collection of the table that cannot grow: the server names its file."""
        named = _FILE.search(str(error.__cause__))
        if named is None:
            return None
        answer = await self._connections.run(TABLE_OF_FILE, [named.group(1)])
        tables = {str(name) for (name,) in await answer.fetchall()}
        return next((spec.collection for spec in SPECS.values() if spec.table in tables), None)

    async def _locked(
        self, collection: str, ids: list[str], error: TandemError
    ) -> dict[tuple[str, str], Blocked]:
        present = await self._ids(VERSIONS_OF[collection], ids)
        locked = present - await self._ids(UNLOCKED_ROWS[collection], ids)
        cause = cause_and_state_of(error, ()) if isinstance(error, RowLocked) else ROW_LOCKED
        return {(collection, record_id): _locked_row(collection, record_id, cause) for record_id in locked}

    async def _ids(self, statement: str, ids: list[str]) -> set[str]:
        answer = await self._connections.run(statement, {"ids": ids})
        return {str(row[0]) for row in await answer.fetchall()}


def _locked_row(collection: str, record_id: str, cause: str) -> Blocked:
    return Blocked(collection, SPECS[collection].table, cause, "55P03", record_id)


def waiting_for_lock(change_set: ChangeSet, error: TandemError) -> Blocked:
    """The outcome of a change set that needs a lock of another session, though none on its own rows was found."""
    put = change_set.puts[0]
    cause = f"Another session holds a lock that it needs: {cause_and_state_of(error, [change_set])}"
    return Blocked(put.collection, SPECS[put.collection].table, cause, state_of(error), put.record_id)


def _blocked_table(collection: str, error: TandemError, change_sets: Sequence[ChangeSet]) -> Blocked:
    state = state_of(error)
    if meaning_of(error) is Meaning.LOCK and not isinstance(error, TableLocked):
        cause = f"Another session holds a lock on the table (SQLSTATE {state})."
    else:
        cause = cause_and_state_of(error, change_sets)
    return Blocked(collection, SPECS[collection].table, cause, state)
