"""Finds tables that drop every row without an error, as a trigger does that returns NULL."""

from collections.abc import Sequence

from adapters.postgres.classification import Meaning, meaning_of
from adapters.postgres.connections import Connections
from adapters.postgres.execution import Parameters
from adapters.postgres.fail_fast_connection import Row
from adapters.postgres.new_rows import NewRows, neutral_entry
from adapters.postgres.rehearsed_statements import REWRITE_SOME
from adapters.postgres.rows import encoded_rows
from adapters.postgres.statements import MIRROR_ROWS
from adapters.records.change_set import Blocked, ChangeSet, Put, Rejection
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS, SPECS
from domain.errors import TandemError

_DROPS = "It drops every row without an error: look for a trigger or a rule on it."

_DROPS_NEW = "It drops every new row without an error: look for a trigger or a rule on it."


class DroppedRows:
    """Looks for such tables once a row was dropped. Everything that it writes is rolled back."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._new_rows = NewRows(connections)

    async def blocked_by_entries(self, change_set: ChangeSet) -> Blocked | None:
        """What the table of entries drops besides an entry of this change set: every entry, or every entry about one
        of its collections; None if it lets others through.
        """
        at = change_set.entries[0]["at"]
        entries = [neutral_entry(spec.collection, at) for spec in ENTITY_SPECS]
        rows = {"rows": encoded_rows(AUDIT_LOGS.collection, entries)}
        found = await self._rehearsed(MIRROR_ROWS[AUDIT_LOGS.collection], rows)
        if found is None:
            return None
        stored = {str(name) for (name,) in found}
        if not stored:
            return Blocked(AUDIT_LOGS.collection, AUDIT_LOGS.table, _DROPS)
        for entry in change_set.entries:
            if entry["collection"] not in stored:
                table = SPECS[entry["collection"]].table
                cause = f"{AUDIT_LOGS.table} drops every entry about it without an error: look for a trigger."
                return Blocked(entry["collection"], table, cause)
        return None

    async def blocked_table(self, collection: str, dropped: Sequence[str]) -> Blocked | None:
        """A table that drops its other rows, too, not only these, or each of them under a new id; None for one without
        others.
        """
        found = await self._rehearsed(REWRITE_SOME[collection], {"ids": list(dropped)})
        if found is None:
            return None
        ((kept, written),) = found
        table = SPECS[collection].table
        if kept and not written:
            return Blocked(collection, table, _DROPS)
        if kept and await self._new_rows.are_dropped(collection, besides=list(dropped)):
            return Blocked(collection, table, _DROPS_NEW)
        return None

    async def _rehearsed(self, statement: str, parameters: Parameters) -> list[Row] | None:
        """The rows that a statement returns; None where the table rejects one of its rows with an error, so that it
        does not drop every row. Raises every other error, which is about the table or the server.
        """
        try:
            async with self._connections.transaction(is_rehearsal=True) as transaction:
                answer = await transaction.run(statement, parameters)
                return await answer.fetchall()
        except TandemError as error:
            meaning = meaning_of(error)
            if meaning is Meaning.CLAIM:
                await self._connections.require_writable()
            elif meaning is not Meaning.RECORD:
                raise
            return None


def swallowed(put: Put, version: int) -> Rejection:
    """The outcome where nothing was stored although nothing newer is there, as a trigger does that returns NULL."""
    table = SPECS[put.collection].table
    state = f"still holds version {version}" if version else "does not hold the record"
    reason = (
        f"The database dropped version {put.version} without an error and {state}: "
        f"look for a trigger on {table}."
    )
    return Rejection(reason, table=table)
